-- same_works: one row per work of Open Library that is a work of UCSD. Inputs: candidates, compared_works.
-- Two works are one if each is the best candidate of the other: so no work is joined twice, and no chain of candidates
-- joins two works of one source. Dropped: all other candidates (counted as conflicts).
SELECT
    c.open_library_unit AS open_library_work_id,
    c.unit AS work_id,
    c.rule,
    c.editions,
    o.title AS open_library_title,
    o.author AS open_library_author,
    u.title,
    u.author
FROM candidates AS c
JOIN compared_works AS o ON o.unit = c.open_library_unit
JOIN compared_works AS u ON u.unit = c.unit
WHERE c.best_for_open_library = 1 AND c.best_for_ucsd = 1
ORDER BY open_library_work_id
