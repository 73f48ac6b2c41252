-- same_editions: one row per edition of Open Library that is an edition of UCSD: of joined works, with a number in common.
-- Inputs: linked_editions, candidates. Of several the one that the record names, then the lowest id.
SELECT
    l.open_library_book AS open_library_book_id,
    arg_min(l.book_id, {'number': l.number, 'book_id': l.book_id}) AS book_id
FROM linked_editions AS l
JOIN candidates AS c USING (open_library_unit, unit)
WHERE c.best_for_open_library = 1 AND c.best_for_ucsd = 1
GROUP BY l.open_library_book
ORDER BY open_library_book_id
