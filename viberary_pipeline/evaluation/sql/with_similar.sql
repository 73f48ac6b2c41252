-- Grain: a work that can be found and has an edition which calls some book similar. Inputs: `books` and `documents`.
SELECT DISTINCT coalesce(work_id, 'b' || book_id) AS name
FROM books
WHERE len(similar_books) > 0 AND coalesce(work_id, 'b' || book_id) IN (SELECT work_id FROM documents)
ORDER BY name
