-- numbered_pairs: one row per work of Open Library and of UCSD with a number in common: by which rule ('goodreads' before
-- 'isbn'), how many editions of Open Library's work have one, and whether their names agree.
-- Inputs: linked_editions, compared_works.
-- They agree if both are such books about others or neither is any, no volume contradicts, and: a title of one is a title
-- of the other; or a person is the same, and half of the longer words of one title or a second edition.
CREATE TEMP TABLE numbered_pairs AS
WITH pairs AS (
    SELECT
        open_library_unit, unit,
        count(DISTINCT open_library_book) AS editions,
        CASE WHEN bool_or(number = 'goodreads') THEN 'goodreads' ELSE 'isbn' END AS rule
    FROM linked_editions
    GROUP BY ALL
),
compared AS (
    SELECT
        p.*,
        o.derived = u.derived
        AND (len(o.volumes) = 0 OR len(u.volumes) = 0 OR list_has_any(o.volumes, u.volumes)) AS of_one_kind,
        list_has_any(o.title_keys, u.title_keys) AS one_title,
        len(list_filter(o.people, lambda one: len(list_filter(u.people, lambda other: may_be_one_person(one, other))) > 0)) > 0 AS one_person,
        len(list_intersect(o.words, u.words)) / greatest(least(len(list_distinct(o.words)), len(list_distinct(u.words))), 1) AS words_shared
    FROM pairs AS p
    JOIN compared_works AS o ON o.unit = p.open_library_unit
    JOIN compared_works AS u ON u.unit = p.unit
)
SELECT
    open_library_unit, unit, rule, editions,
    of_one_kind AND (one_title OR (one_person AND (words_shared >= 0.5 OR editions > 1))) AS agrees
FROM compared
