-- review_languages: one row per usable review whose language has to be known and is not. Inputs: usable_reviews,
-- review_texts. Variables: reader_language, reviews_per_work.
-- Dropped: the reviews of works that have no more of them than places, because no choice is made there; and of works
-- that have enough plainly in the reader's language, because those fill all places.
CREATE TEMP TABLE review_languages AS
SELECT u.work_no, u.candidate_rank, detect_language(t.review) AS "language"
FROM (
    SELECT work_no, candidate_rank, "language"
    FROM usable_reviews
    WINDOW work AS (PARTITION BY work_no)
    QUALIFY
        count(*) OVER work > getvariable('reviews_per_work')
        AND count(*) FILTER ("language" = getvariable('reader_language')) OVER work < getvariable('reviews_per_work')
) AS u
JOIN review_texts AS t ON t.work_no = u.work_no AND t.candidate_rank = u.candidate_rank
WHERE u."language" IS NULL
