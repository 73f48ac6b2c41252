-- Grain: one row, one column per metric of the table `reviews`.
-- Inputs: the view `reviews`; the macros rows_where and share_where. Nothing is dropped.
-- The texts themselves (11 GB of them in the full UCSD files) are not read: text_length and text_hash say what is
-- needed. Ids are grouped by their hash, which takes a quarter of the memory; only ids whose hash occurs twice are
-- then compared in full.
WITH id_hashes AS MATERIALIZED (
    SELECT hash(review_id) AS id_hash, count(*) AS copies
    FROM reviews
    WHERE review_id IS NOT NULL
    GROUP BY id_hash
),

repeated_ids AS (
    SELECT review_id
    FROM reviews
    WHERE hash(review_id) IN (SELECT id_hash FROM id_hashes WHERE copies > 1)
    GROUP BY review_id
    HAVING count(*) > 1
),

texts AS MATERIALIZED (
    SELECT text_hash, count(*) AS copies
    FROM reviews
    WHERE text_hash IS NOT NULL
    GROUP BY text_hash
),

most_repeated AS (  -- a review of each, to be looked up: the text itself may be long
    SELECT min(review_id) AS review_id, count(*) AS copies
    FROM reviews
    WHERE text_hash IN (SELECT text_hash FROM texts WHERE copies > 1 ORDER BY copies DESC, text_hash LIMIT 3)
    GROUP BY text_hash
)

SELECT
    count(*) AS row_count,
    rows_where(review_id IS NULL, concat('line ', line)) AS rows_without_review_id,
    {
        'value': (SELECT count(*) FROM repeated_ids)::DOUBLE,
        'against': (SELECT count(*) FROM repeated_ids),
        'total': (SELECT count(*) FROM id_hashes),
        'examples': (SELECT min('review ' || review_id, 3) FROM repeated_ids)
    } AS repeated_review_ids,
    rows_where(book_id IS NULL, concat('review ', review_id)) AS rows_without_book_id,
    share_where(text_length > 0, concat('review ', review_id)) AS share_with_text,
    rows_where(
        text_length IS NULL OR (text_length > 0) <> (text_hash IS NOT NULL), concat('review ', review_id)
    ) AS texts_without_measure,
    median(text_length) FILTER (text_length > 0) AS median_text_length,
    {
        'value': (SELECT count(*) / nullif(sum(copies), 0) FROM texts)::DOUBLE,
        'against': (SELECT coalesce(sum(copies - 1), 0)::BIGINT FROM texts),
        'total': (SELECT coalesce(sum(copies), 0)::BIGINT FROM texts),
        'examples': (
            SELECT list(concat(copies, ' times the text of review ', review_id) ORDER BY copies DESC, review_id)
            FROM most_repeated
        )
    } AS share_of_texts_new,
    rows_where(rating NOT BETWEEN 1 AND 5, concat('review ', review_id, ': ', rating)) AS ratings_out_of_range,
    share_where(rating IS NOT NULL, concat('review ', review_id)) AS share_with_rating,
    share_where(date_added IS NOT NULL, concat('review ', review_id)) AS share_with_date
FROM reviews
