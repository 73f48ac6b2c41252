-- Grain: one row, one column per metric of the table `authors`.
-- Inputs: the view `authors`; the macros is_blank, rows_where and share_where. Nothing is dropped.
SELECT
    count(*) AS row_count,
    rows_where(author_id IS NULL, concat('line ', line)) AS rows_without_author_id,
    (
        SELECT rows_where(copies > 1, concat('author ', author_id))
        FROM (SELECT author_id, count(*) AS copies FROM authors WHERE author_id IS NOT NULL GROUP BY author_id)
    ) AS repeated_author_ids,
    rows_where(is_blank(name), concat('author ', author_id)) AS rows_without_name,
    rows_where(
        average_rating NOT BETWEEN 0 AND 5, concat('author ', author_id, ': ', average_rating)
    ) AS ratings_out_of_range,
    rows_where(
        ratings_count < 0 OR text_reviews_count < 0,
        concat('author ', author_id, ': ', least(ratings_count, text_reviews_count))
    ) AS negative_counts,
    (
        SELECT share_where(copies = 1, concat(copies, ' times ', name))
        FROM (SELECT name, count(*) AS copies FROM authors WHERE name IS NOT NULL GROUP BY name)
    ) AS share_of_names_used_once
FROM authors
