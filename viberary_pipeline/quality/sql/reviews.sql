-- Grain: one row, one column per metric of the table `reviews`.
-- Inputs: the view `reviews`; the macros is_blank and rows_where. Nothing is dropped.
SELECT
    count(*) AS row_count,
    rows_where(review_id IS NULL, concat('line ', line)) AS rows_without_review_id,
    (
        SELECT rows_where(copies > 1, concat('review ', review_id))
        FROM (SELECT review_id, count(*) AS copies FROM reviews WHERE review_id IS NOT NULL GROUP BY review_id)
    ) AS repeated_review_ids,
    rows_where(book_id IS NULL, concat('review ', review_id)) AS rows_without_book_id,
    rows_where(
        is_blank(review_text), concat('review ', review_id)
    ) AS rows_without_text,
    rows_where(rating NOT BETWEEN 1 AND 5, concat('review ', review_id, ': ', rating)) AS ratings_out_of_range
FROM reviews
