-- books_rejects: one row per line of the books file that is not in books, with the first reason that applies.
-- Input:  books_staged.
-- Kept of several rows with one book_id: the one with the most ratings, then the earliest line.
WITH ranked AS (
    SELECT line, row_number() OVER (PARTITION BY book_id ORDER BY ratings_count DESC NULLS LAST, line) AS copy
    FROM books_staged
    WHERE book_id IS NOT NULL AND title IS NOT NULL
)
SELECT
    line,
    CASE
        WHEN malformed THEN 'malformed_json'
        WHEN book_id IS NULL THEN 'missing_book_id'
        WHEN title IS NULL THEN 'missing_title'
        ELSE 'duplicate_book_id'
    END AS reason,
    book_id AS record_id,
    CASE WHEN NOT malformed THEN excerpt({'book_id': book_id, 'title': title, 'description': description}) END AS raw
FROM books_staged
LEFT JOIN ranked USING (line)
WHERE malformed OR book_id IS NULL OR title IS NULL OR copy > 1
ORDER BY line
