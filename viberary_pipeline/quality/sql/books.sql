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
    rows_where(
        publication_month NOT BETWEEN 1 AND 12 OR publication_day NOT BETWEEN 1 AND 31,
        concat('book ', book_id, ': month ', publication_month, ', day ', publication_day)
    ) AS dates_out_of_range,
    rows_where(num_pages < 1, concat('book ', book_id, ': ', num_pages)) AS pages_out_of_range,
    share_where(description IS NOT NULL, concat('book ', book_id)) AS share_with_description,
    median(length(description)) AS median_description_length,
    share_where(len(authors) > 0, concat('book ', book_id)) AS share_with_author,
    share_where(work_id IS NOT NULL, concat('book ', book_id)) AS share_with_work_id,
    count(*) / nullif(count(DISTINCT coalesce(work_id, 'b' || book_id)), 0) AS mean_editions_per_work,
    share_where(language_code IS NOT NULL, concat('book ', book_id)) AS share_with_language_code,
    share_where("language" IS NOT NULL, concat('book ', book_id)) AS share_with_language,
    (
        SELECT share_where("language" = 'en', concat('book ', book_id, ': ', "language"))
        FROM books
        WHERE "language" IS NOT NULL
    ) AS share_of_languages_english,
    rows_where(
        ("language" IS NULL) <> (language_source IS NULL), concat('book ', book_id)
    ) AS languages_without_source,
    share_where(isbn13 IS NOT NULL, concat('book ', book_id)) AS share_with_isbn13,
    share_where(num_pages IS NOT NULL, concat('book ', book_id)) AS share_with_pages,
    share_where(publisher IS NOT NULL, concat('book ', book_id)) AS share_with_publisher,
    share_where(publication_year IS NOT NULL, concat('book ', book_id)) AS share_with_year,
    share_where(link IS NOT NULL, concat('book ', book_id)) AS share_with_link
FROM books
