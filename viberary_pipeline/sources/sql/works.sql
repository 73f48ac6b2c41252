-- works: one row per line of a block of goodreads_book_works.json.gz (optional), typed. Nothing is dropped here:
-- `reason` says why a row is to be rejected, `nulled` names the columns that could not hold what their field said.
-- Input:  the variables path (a file of JSON lines), file, first_line, numbers.
-- Casts:  a year may be negative (The Odyssey: -720); 0 and what lies outside -3000 to 2100 is null.
WITH lines AS (
    SELECT row_number() OVER () AS place, *
    FROM read_json(
        getvariable('path'), format = 'newline_delimited', compression = 'uncompressed', ignore_errors = true,
        maximum_object_size = 16777216,
        columns = {
            work_id: 'VARCHAR', best_book_id: 'VARCHAR', original_title: 'VARCHAR',
            original_publication_year: 'VARCHAR', books_count: 'VARCHAR', ratings_count: 'VARCHAR',
            reviews_count: 'VARCHAR', text_reviews_count: 'VARCHAR'
        }
    )
),
typed AS (
    SELECT
        place,
        blank_to_null(work_id) AS work_id,
        blank_to_null(best_book_id) AS best_book_id,
        clean_text(original_title) AS original_title,
        nullif(in_range(try_cast(original_publication_year AS INTEGER), -3000, 2100), 0) AS original_publication_year,
        in_range(try_cast(books_count AS BIGINT), 0, 1000000000000) AS books_count,
        in_range(try_cast(ratings_count AS BIGINT), 0, 1000000000000) AS ratings_count,
        in_range(try_cast(reviews_count AS BIGINT), 0, 1000000000000) AS reviews_count,
        in_range(try_cast(text_reviews_count AS BIGINT), 0, 1000000000000) AS text_reviews_count,
        original_publication_year AS raw_original_publication_year,
        books_count AS raw_books_count,
        ratings_count AS raw_ratings_count,
        reviews_count AS raw_reviews_count,
        text_reviews_count AS raw_text_reviews_count,
        work_id IS NULL AND best_book_id IS NULL AND books_count IS NULL AND ratings_count IS NULL AS malformed
    FROM lines
)
SELECT
    getvariable('file') AS file,
    line_number(place) AS line,
    work_id, best_book_id, original_title, original_publication_year, books_count, ratings_count, reviews_count,
    text_reviews_count,
    nullif(concat_ws(' ',
        CASE
            WHEN unreadable(raw_original_publication_year, original_publication_year) THEN 'original_publication_year'
        END,
        CASE WHEN unreadable(raw_books_count, books_count) THEN 'books_count' END,
        CASE WHEN unreadable(raw_ratings_count, ratings_count) THEN 'ratings_count' END,
        CASE WHEN unreadable(raw_reviews_count, reviews_count) THEN 'reviews_count' END,
        CASE WHEN unreadable(raw_text_reviews_count, text_reviews_count) THEN 'text_reviews_count' END
    ), '') AS nulled,
    place,
    CASE WHEN malformed THEN 'malformed_json' WHEN work_id IS NULL THEN 'missing_work_id' END AS reason
FROM typed
