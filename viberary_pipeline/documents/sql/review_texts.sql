-- review_texts: one row per candidate with its clean text: the one time that the texts of the reviews are read.
-- It is kept on disk, by portion: at full scale it would take most of the memory.
-- Inputs: reviews, review_candidates. Variables: most_review, most_raw_review, least_review, reviews_per_work.
-- review: null where cleaning leaves too little. plainly_english: asked where there are more candidates than places.
-- review_hash: null where review is; what comes next reads it alone.
-- Dropped: nothing of the candidates. One step per level: a macro repeats its argument wherever it names it.
-- A review that opens with a spoiler or a row of images may lose all of its beginning: where little is left of a cut
-- one, more of it is cleaned, and the cut comes after.
WITH cut AS (
    SELECT c.*, r.review_text, cut_text(r.review_text, getvariable('most_review')) AS raw
    FROM reviews AS r
    JOIN review_candidates AS c USING (review_row)
),
once AS (
    SELECT *, clean_text(raw) AS clean_once FROM cut
),
cleaned AS (
    SELECT
        * EXCLUDE (review_text, clean_once),
        CASE
            WHEN
                length(review_text) > getvariable('most_review')
                AND coalesce(length(clean_once), 0) < getvariable('most_review') // 2
                THEN cut_text(
                    clean_text(cut_text(review_text, getvariable('most_raw_review'))), getvariable('most_review')
                )
            ELSE clean_once
        END AS clean
    FROM once
),
kept AS (
    SELECT *, CASE WHEN length(clean) >= getvariable('least_review') THEN clean END AS review FROM cleaned
)
SELECT
    work_no // getvariable('works_at_once') AS portion,
    work_no,
    candidate_rank,
    liked,
    candidates > getvariable('reviews_per_work') AND is_plainly_english(review) AS plainly_english,
    CASE WHEN review IS NOT NULL THEN hash(review) END AS review_hash,
    review
FROM kept
