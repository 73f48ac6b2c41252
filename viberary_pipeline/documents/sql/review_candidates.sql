-- review_candidates: one row per review that is looked at closely; narrow. Inputs: distinct_reviews.
-- Variables: candidates, how many of a work.
-- Rule: readers who liked the work (4 or 5 stars) and all others (1 to 3, or unrated) take turns, the best of each
-- first: most votes, then longest, then first in the table. So a text does not hold the praise alone.
-- Dropped: all other reviews, because no more are needed.
CREATE TEMP TABLE review_candidates AS
SELECT
    work_no,
    review_row,
    liked,
    row_number() OVER (PARTITION BY work_no ORDER BY turn, liked DESC) AS candidate_rank,
    count(*) OVER (PARTITION BY work_no) AS candidates
FROM (
    SELECT work_no, review_row, liked, row_number() OVER best AS turn
    FROM distinct_reviews
    WINDOW best AS (PARTITION BY work_no, liked ORDER BY votes DESC, text_length DESC, review_row)
    QUALIFY turn <= getvariable('candidates')
)
QUALIFY candidate_rank <= getvariable('candidates')
