-- authors: one row per author (author_id), in the order of the file.
-- Inputs: authors_staged, authors_rejects. Dropped: the lines in authors_rejects.
SELECT * EXCLUDE (malformed)
FROM authors_staged
WHERE line NOT IN (SELECT line FROM authors_rejects)
ORDER BY line
