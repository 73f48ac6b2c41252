-- exclusions: one row, what the joins of documents leave out, counted so that nothing is lost silently.
-- Inputs: books, authors, reviews.
SELECT
    (SELECT count(*) FROM reviews WHERE book_id NOT IN (SELECT book_id FROM books)) AS review_of_unknown_book,
    (
        SELECT count(*)
        FROM (SELECT unnest(authors).author_id AS author_id FROM books) AS links
        WHERE author_id NOT IN (SELECT author_id FROM authors)
    ) AS unknown_author_id
