-- compared_people: one row per work and person who wrote it: the words of the name. Inputs: books, authors.
-- Dropped: those with a role (translators), where a work names somebody without one.
CREATE TEMP TABLE compared_people AS
WITH links AS (
    SELECT DISTINCT unit, link.author_id AS author_id, link."role" = '' AS wrote
    FROM (SELECT coalesce(work_id, 'b' || book_id) AS unit, unnest(authors) AS link FROM books)
    QUALIFY wrote OR NOT bool_or(wrote) OVER (PARTITION BY unit)
),
named AS (
    SELECT author_id, any_value(words_of_name("name")) AS words, any_value("name") AS "name" FROM authors GROUP BY author_id
)
SELECT DISTINCT l.unit, n.words, n."name"
FROM links AS l
JOIN named AS n USING (author_id)
WHERE len(n.words) > 0
