-- compared_editions: one row per edition of either source: the work that it is of, and its ISBNs as written.
-- Inputs: books. unit is the work as documents name it: an edition without one is a work of its own.
CREATE TEMP TABLE compared_editions AS
SELECT
    coalesce(work_id, 'b' || book_id) AS unit,
    source_of(book_id) AS source,
    book_id,
    title,
    coalesce(ratings_count, 0) + coalesce(text_reviews_count, 0) AS readers,
    list_filter([isbn13, isbn] || other_isbns, lambda one: one IS NOT NULL) AS isbns,
    goodreads_ids
FROM books
