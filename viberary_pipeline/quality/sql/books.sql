-- Grain: one row per book: `label`, which names it among examples, and what its expectations look at. Nothing is dropped.
-- Inputs: the view `books`; the macro visible.
SELECT
    coalesce('book ' || book_id, 'line ' || line) AS label,
    book_id,
    work_id,
    coalesce(work_id, 'b' || book_id) AS work,
    title,
    visible(title) AS visible_title,
    description,
    length(description) AS description_length,
    authors[1].author_id AS first_author_id,
    language_code,
    "language",
    ("language" IS NULL) = (language_source IS NULL) AS source_is_stated,
    isbn13,
    publisher,
    publication_year,
    publication_month,
    publication_day,
    num_pages,
    average_rating,
    least(ratings_count, text_reviews_count) AS lowest_count,
    link
FROM books
