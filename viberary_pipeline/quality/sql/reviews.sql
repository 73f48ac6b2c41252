-- Grain: one row per review: `label`, which names it among examples, and what its expectations look at. Nothing is
-- dropped.
-- Inputs: the view `reviews`. The texts themselves (11 GB of them in the full UCSD files) are not read: text_length and
-- text_hash say what is needed.
SELECT
    coalesce('review ' || review_id, 'line ' || line) AS label,
    review_id,
    book_id,
    rating,
    text_hash,
    nullif(text_length, 0) AS positive_length,
    coalesce((text_length > 0) = (text_hash IS NOT NULL), false) AS is_measured,
    date_added
FROM reviews
