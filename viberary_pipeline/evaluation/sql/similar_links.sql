-- Grain: an edition's link to a book that it calls similar, and the other book's work. Inputs: `books` and `documents`.
-- Only links between two works of `documents` count: no other work can be found.
WITH known AS NOT MATERIALIZED (
    SELECT coalesce(work_id, 'b' || book_id) AS work, book_id, similar_books
    FROM books
    WHERE coalesce(work_id, 'b' || book_id) IN (SELECT work_id FROM documents)
),

links AS (SELECT work AS name, unnest(similar_books::VARCHAR[]) AS book_id FROM known)

SELECT links.name, other.work
FROM links JOIN known AS other USING (book_id)
WHERE other.work <> links.name
