-- works: one row per work that is worth indexing, with the columns of contracts/works.json.
-- Inputs: ol_works, units, worthy. Dropped: all other works.
SELECT
    w.file,
    w.line,
    w.work_id,
    u.main_edition AS best_book_id,
    w.title AS original_title,
    w.first_publish_year AS original_publication_year,
    w.year_is_uncertain,
    u.editions AS books_count,
    u.ratings AS ratings_count,
    u.readers AS reviews_count,
    NULL::BIGINT AS text_reviews_count,
    w.nulled
FROM ol_works AS w
JOIN units AS u USING (work_id)
JOIN worthy AS y ON y.unit = u.unit AND y.left_out IS NULL
