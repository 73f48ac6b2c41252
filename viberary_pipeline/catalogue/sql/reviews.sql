-- reviews: one row per review (review_id), in the order of the file; its book may be unknown (documents counts that).
-- Inputs: reviews_staged, reviews_rejects. Dropped: the lines in reviews_rejects.
SELECT * EXCLUDE (malformed)
FROM reviews_staged
WHERE line NOT IN (SELECT line FROM reviews_rejects)
ORDER BY line
