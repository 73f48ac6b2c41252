-- exclusions: one row, what the joins of documents leave out, one column per reason. A review counts for the first
-- reason that applies. Inputs: books, editions, authors, reviews, series. Variables: least_review.
SELECT *
FROM (
    SELECT
        count(*) FILTER (e.book_id IS NULL) AS review_of_unknown_book,
        count(*) FILTER (e.book_id IS NOT NULL AND r.text_length = 0) AS review_without_text,
        count(*) FILTER (
            e.book_id IS NOT NULL AND r.text_length > 0 AND r.text_length < getvariable('least_review')
        ) AS review_too_short,
        count(*) FILTER (e.book_id IS NOT NULL AND r.text_length >= getvariable('least_review')) AS long_enough
    FROM reviews AS r
    LEFT JOIN editions AS e USING (book_id)
), (
    SELECT count(*) AS unknown_author_id
    FROM (SELECT unnest(authors).author_id AS author_id FROM books) AS links
    ANTI JOIN authors USING (author_id)
), (
    -- Without the file of the series none is known, and none is missed.
    SELECT count(*) FILTER (EXISTS (FROM series)) AS unknown_series_id
    FROM (SELECT unnest(series) AS series_id FROM books) AS links
    ANTI JOIN series USING (series_id)
)
