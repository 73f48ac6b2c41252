-- Grain: one row, one column per metric of the table `books`.
-- Inputs: the view `books`; the macros is_blank, rows_where and share_where. Nothing is dropped.
SELECT
    count(*) AS row_count,
    rows_where(book_id IS NULL, concat('line ', line)) AS rows_without_book_id,
    (
        SELECT rows_where(copies > 1, concat('book ', book_id))
        FROM (SELECT book_id, count(*) AS copies FROM books WHERE book_id IS NOT NULL GROUP BY book_id)
    ) AS repeated_book_ids,
    rows_where(title IS NULL, concat('book ', book_id)) AS rows_without_title,
    share_where(NOT is_blank(title), concat('book ', book_id)) AS share_with_title,
    rows_where(
        average_rating NOT BETWEEN 0 AND 5, concat('book ', book_id, ': ', average_rating)
    ) AS ratings_out_of_range,
    rows_where(
        ratings_count < 0 OR text_reviews_count < 0,
        concat('book ', book_id, ': ', least(ratings_count, text_reviews_count))
    ) AS negative_counts,
    rows_where(
        publication_year NOT BETWEEN 1 AND 2100, concat('book ', book_id, ': ', publication_year)
    ) AS years_out_of_range,
    share_where(description IS NOT NULL, concat('book ', book_id)) AS share_with_description,
    share_where(len(authors) > 0, concat('book ', book_id)) AS share_with_author,
    share_where(work_id IS NOT NULL, concat('book ', book_id)) AS share_with_work_id,
    share_where(language_code IS NOT NULL, concat('book ', book_id)) AS share_with_language
FROM books
