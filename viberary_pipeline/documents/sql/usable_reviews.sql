-- usable_reviews: one row per clean text of a work; narrow. Inputs: review_texts.
-- Dropped: candidates of which cleaning left too little, and texts that are the same once cleaned (both counted).
CREATE TEMP TABLE usable_reviews AS
SELECT work_no, candidate_rank, liked, CASE WHEN plainly_english THEN 'en' END AS "language"
FROM review_texts
WHERE review_hash IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY work_no, review_hash ORDER BY candidate_rank) = 1
