-- editions: one row per book, narrow: which work it belongs to, and its rank among the editions of that work.
-- Inputs: books; same_works and same_editions (empty, but where the catalogue is of two sources).
-- Variables: reader_language, languages.
-- A book without a work_id is a work of its own, named 'b' || book_id (work ids are digits). A work of Open Library that
-- is one of UCSD has that one's id. repeats: the edition is also there as UCSD's, which is shown instead of it.
-- preference: 1 is the representative edition, which is shown. In a language that the filter lets through before any
-- other; in the reader's language before unknown before other; with a description before without; most ratings;
-- lowest book_id.
-- Dropped: nothing.
CREATE TEMP TABLE editions AS
SELECT
    *,
    row_number() OVER (
        PARTITION BY work_id
        ORDER BY
            repeats, NOT in_languages,
            CASE WHEN "language" = getvariable('reader_language') THEN 0 WHEN "language" IS NULL THEN 1 ELSE 2 END,
            NOT described, ratings_count DESC, try_cast(book_id AS BIGINT), book_id
    )::INTEGER AS preference
FROM (
    SELECT
        coalesce(s.work_id, b.work_id, 'b' || b.book_id) AS work_id,
        s.open_library_work_id,
        b.book_id,
        source_of(b.book_id) AS source,
        e.book_id IS NOT NULL AS repeats,
        "language",
        len(getvariable('languages')) = 0
        OR list_contains(getvariable('languages'), coalesce("language", 'und')) AS in_languages,
        description IS NOT NULL AS described,
        publication_year,
        average_rating,
        coalesce(ratings_count, 0) AS ratings_count,
        coalesce(text_reviews_count, 0) AS text_reviews_count,
        -- hash(NULL) is a number like any other.
        CASE WHEN title_key(title) IS NOT NULL THEN hash(title_key(title)) END AS title_key,
        coalesce(list_filter(authors, lambda a: a."role" = '')[1], authors[1]).author_id AS first_author_id,
        len(popular_shelves) > 0 AS shelved
    FROM books AS b
    LEFT JOIN same_works AS s ON s.open_library_work_id = coalesce(b.work_id, 'b' || b.book_id)
    LEFT JOIN same_editions AS e ON e.open_library_book_id = b.book_id
)
