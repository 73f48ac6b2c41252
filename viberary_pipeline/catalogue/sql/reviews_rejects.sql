-- reviews_rejects: one row per line of the reviews file that is not in reviews, with the first reason that applies.
-- Input:  reviews_staged.
-- Kept of several rows with one review_id: the earliest line.
WITH ranked AS (
    SELECT line, row_number() OVER (PARTITION BY review_id ORDER BY line) AS copy
    FROM reviews_staged
    WHERE review_id IS NOT NULL AND book_id IS NOT NULL AND review_text IS NOT NULL
)
SELECT
    line,
    CASE
        WHEN malformed THEN 'malformed_json'
        WHEN review_id IS NULL THEN 'missing_review_id'
        WHEN book_id IS NULL THEN 'missing_book_id'
        WHEN review_text IS NULL THEN 'empty_review'
        ELSE 'duplicate_review_id'
    END AS reason,
    review_id AS record_id,
    CASE WHEN NOT malformed
        THEN excerpt({'review_id': review_id, 'book_id': book_id, 'review_text': review_text})
    END AS raw
FROM reviews_staged
LEFT JOIN ranked USING (line)
WHERE malformed OR review_id IS NULL OR book_id IS NULL OR review_text IS NULL OR copy > 1
ORDER BY line
