-- eligible_reviews: one row per review of a wanted work that is long enough; narrow, without its text.
-- Inputs: reviews, wanted_editions. Variables: least_review.
-- Dropped: reviews of unknown books, without a text, or too short (all counted in exclusions.sql); reviews of works
-- that a filter left out. `review_row`: the file and the row in it, where the text is found again.
CREATE TEMP TABLE eligible_reviews AS
SELECT
    e.work_no,
    r.review_row,
    r.text_hash,
    r.text_length,
    greatest(coalesce(r.n_votes, 0), 0) AS votes,
    coalesce(r.rating >= 4, false) AS liked
FROM reviews AS r
JOIN wanted_editions AS e USING (book_id)
WHERE r.text_length >= getvariable('least_review')
