-- authors_rejects: one row per line of the authors file that is not in authors, with the first reason that applies.
-- Input:  authors_staged.
-- Kept of several rows with one author_id: the one with the most ratings, then the earliest line.
WITH ranked AS (
    SELECT line, row_number() OVER (PARTITION BY author_id ORDER BY ratings_count DESC NULLS LAST, line) AS copy
    FROM authors_staged
    WHERE author_id IS NOT NULL AND "name" IS NOT NULL
)
SELECT
    line,
    CASE
        WHEN malformed THEN 'malformed_json'
        WHEN author_id IS NULL THEN 'missing_author_id'
        WHEN "name" IS NULL THEN 'missing_name'
        ELSE 'duplicate_author_id'
    END AS reason,
    author_id AS record_id,
    CASE WHEN NOT malformed THEN excerpt({'author_id': author_id, 'name': "name"}) END AS raw
FROM authors_staged
LEFT JOIN ranked USING (line)
WHERE malformed OR author_id IS NULL OR "name" IS NULL OR copy > 1
ORDER BY line
