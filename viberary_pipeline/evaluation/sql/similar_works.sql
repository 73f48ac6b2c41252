-- Grain: a work of $names and another one that some of its editions call similar. Inputs: `books` and `documents`.
-- Only works of `documents` count: no other can be found.
WITH known AS (
    SELECT coalesce(work_id, 'b' || book_id) AS work, book_id, similar_books
    FROM books
    WHERE coalesce(work_id, 'b' || book_id) IN (SELECT work_id FROM documents)
),

links AS (
    SELECT work AS name, unnest(similar_books::VARCHAR[]) AS book_id FROM known WHERE work IN (SELECT unnest($names))
)

SELECT DISTINCT name, work
FROM links JOIN known USING (book_id)
WHERE work <> name
ORDER BY name, work
