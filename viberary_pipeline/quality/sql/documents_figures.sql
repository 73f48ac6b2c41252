-- Grain: one row, one column per figure of how the four tables fit together (documents is downstream of the others).
-- Inputs: the views `documents`, `books`, `authors`, `reviews`; the macro share_where; $works_left_out, how many works
-- are no documents on purpose: left out by a filter, or joined with a work of another source.
-- Nothing is dropped. A book without a work_id is a work of its own, as in documents/sql/documents.sql.
SELECT
    (SELECT count(*) FROM documents) + $works_left_out
    - (SELECT count(DISTINCT coalesce(work_id, 'b' || book_id)) FROM books) AS documents_minus_works,
    (
        SELECT share_where(known.book_id IS NOT NULL, concat('review ', review_id))
        FROM reviews LEFT JOIN (SELECT DISTINCT book_id FROM books) AS known USING (book_id)
    ) AS share_of_reviews_with_known_book,
    (
        SELECT share_where(known.author_id IS NOT NULL, concat('book ', book_id, ': author ', author_id))
        FROM (SELECT book_id, unnest(authors).author_id AS author_id FROM books)
        LEFT JOIN (SELECT DISTINCT author_id FROM authors) AS known USING (author_id)
    ) AS share_of_author_links_found
