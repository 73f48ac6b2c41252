-- distinct_reviews: one row per text of a work: of several, the one with the most votes, then the first.
-- Inputs: eligible_reviews. Dropped: the same text once more in the same work (the difference of the rows).
CREATE TEMP TABLE distinct_reviews AS
SELECT work_no, review_row, text_length, votes, liked
FROM eligible_reviews
QUALIFY row_number() OVER (PARTITION BY work_no, text_hash ORDER BY votes DESC, review_row) = 1
