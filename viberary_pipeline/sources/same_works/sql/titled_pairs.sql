-- titled_pairs: one row per work of Open Library and of UCSD with one title and one person.
-- Inputs: compared_titles, compared_people, compared_works. Variables: common_titles.
-- is_sure: neither work has such a pair with a second one.
-- Dropped: titles of books about others, and of several; titles that many books of one author have.
CREATE TEMP TABLE titled_pairs AS
WITH named AS (
    SELECT DISTINCT t.unit, t.source, t.title_key, p.words, unnest(list_distinct([p.words[1], p.words[-1]])) AS word
    FROM compared_titles AS t
    JOIN compared_works AS w USING (unit)
    JOIN compared_people AS p USING (unit)
    WHERE NOT t.derived AND len(w.derived) = 0 AND NOT list_contains(getvariable('common_titles'), t.title_key)
),
pairs AS (
    SELECT DISTINCT o.unit AS open_library_unit, u.unit
    FROM named AS o
    JOIN named AS u ON u.title_key = o.title_key AND u.word = o.word
    WHERE o.source = 'openlibrary' AND u.source = 'ucsd' AND may_be_one_person(o.words, u.words)
)
SELECT
    *,
    count(*) OVER (PARTITION BY open_library_unit) = 1 AND count(*) OVER (PARTITION BY unit) = 1 AS is_sure
FROM pairs
