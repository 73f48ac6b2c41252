-- review_texts: one row per candidate with its clean text: the one time that the texts of the reviews are read.
-- It is kept on disk, by portion: at full scale it would take most of the memory.
-- Inputs: reviews, review_candidates. Variables: most_review, least_review,
-- reviews_per_work.
-- review: null where cleaning leaves too little. plainly_english: asked where there are more candidates than places.
-- review_hash: null where review is; what comes next reads it alone.
-- Dropped: nothing of the candidates. One step per level: a macro repeats its argument wherever it names it.
WITH cut AS (
    SELECT c.*, cut_text(r.review_text, getvariable('most_review')) AS raw
    FROM reviews AS r
    JOIN review_candidates AS c USING (spot)
),
cleaned AS (
    SELECT *, clean_text(raw) AS clean FROM cut
),
kept AS (
    SELECT *, CASE WHEN length(clean) >= getvariable('least_review') THEN clean END AS review FROM cleaned
)
SELECT
    work_no // getvariable('works_at_once') AS portion,
    work_no,
    place,
    liked,
    candidates > getvariable('reviews_per_work') AND is_plainly_english(review) AS plainly_english,
    CASE WHEN review IS NOT NULL THEN hash(review) END AS review_hash,
    review
FROM kept
