-- openlibrary_redirects: rows $first to $last - 1 of ol_dump_redirects in `line`. Inputs: variables.
-- Two rows per merged work (from its old key, and from a third one that a quarter go by), one per merged author, then
-- one per removed work. The third key of one merged work in 400 leads back: a circle.
WITH numbered AS (
    SELECT
        id,
        id // 2 AS merged,
        50 * (id // 2) AS work,
        100 * (id - 2 * getvariable('moved_works')) AS author,
        id - 2 * getvariable('moved_works') - getvariable('moved_authors') AS removed,
        id // 2 % 400 = 399 AS in_circle
    FROM range($first, $last) AS ids(id)
),

keyed AS (
    SELECT
        id,
        removed >= 0 AS is_removed,
        CASE
            WHEN removed >= 0 THEN deleted_work_key(removed)
            WHEN author >= 0 THEN old_author_key(author)
            WHEN id % 2 = 0 THEN old_work_key(work)
            ELSE middle_work_key(work)
        END AS key,
        CASE
            WHEN author >= 0 THEN author_key(author)
            WHEN id % 2 = 0 AND (merged % 4 = 0 OR in_circle) THEN middle_work_key(work)
            WHEN in_circle THEN old_work_key(work)
            ELSE work_key(work)
        END AS location
    FROM numbered
)

SELECT CASE
    WHEN is_removed THEN record('/type/delete', key, id, '')
    ELSE record('/type/redirect', key, id, field(true, 'location', quoted(location)))
END AS line
FROM keyed
