-- books_staged: one row per non-blank line of goodreads_books.json.gz, typed. Nothing is dropped here.
-- Input:  $path, the decompressed stream (newline-delimited JSON).
-- Casts:  "" is null; a number that is none, or out of range, is null (years 1 to 2100, months 1 to 12,
--         days 1 to 31, pages 1 to 20,000, ratings 0 to 5); a line that is no JSON object is a row of nulls.
WITH raw AS (
    SELECT row_number() OVER () AS line, *
    FROM read_json(
        $path, format = 'newline_delimited', compression = 'uncompressed', ignore_errors = true,
        maximum_object_size = 67108864,
        columns = {
            book_id: 'VARCHAR', work_id: 'VARCHAR', title: 'VARCHAR', title_without_series: 'VARCHAR',
            description: 'VARCHAR', language_code: 'VARCHAR', isbn13: 'VARCHAR', format: 'VARCHAR',
            publisher: 'VARCHAR', publication_year: 'VARCHAR', publication_month: 'VARCHAR',
            publication_day: 'VARCHAR', num_pages: 'VARCHAR', average_rating: 'VARCHAR',
            ratings_count: 'VARCHAR', text_reviews_count: 'VARCHAR', link: 'VARCHAR',
            authors: 'STRUCT(author_id VARCHAR, "role" VARCHAR)[]', similar_books: 'VARCHAR[]',
            popular_shelves: 'STRUCT("name" VARCHAR, "count" VARCHAR)[]'
        }
    )
)
SELECT
    line,
    blank_to_null(book_id) AS book_id,
    blank_to_null(work_id) AS work_id,
    blank_to_null(title) AS title,
    blank_to_null(title_without_series) AS title_without_series,
    blank_to_null(description) AS description,
    blank_to_null(language_code) AS language_code,
    blank_to_null(isbn13) AS isbn13,
    blank_to_null(format) AS format,
    blank_to_null(publisher) AS publisher,
    in_range(try_cast(publication_year AS INTEGER), 1, 2100) AS publication_year,
    in_range(try_cast(publication_month AS INTEGER), 1, 12) AS publication_month,
    in_range(try_cast(publication_day AS INTEGER), 1, 31) AS publication_day,
    in_range(try_cast(num_pages AS INTEGER), 1, 20000) AS num_pages,
    in_range(try_cast(average_rating AS DOUBLE), 0, 5) AS average_rating,
    in_range(try_cast(ratings_count AS BIGINT), 0, 1000000000000) AS ratings_count,
    in_range(try_cast(text_reviews_count AS BIGINT), 0, 1000000000000) AS text_reviews_count,
    blank_to_null(link) AS link,
    coalesce(
        [{'author_id': trim(a.author_id), 'role': trim(coalesce(a."role", ''))}
         FOR a IN authors IF blank_to_null(a.author_id) IS NOT NULL], []
    ) AS authors,
    coalesce(similar_books, []) AS similar_books,
    coalesce(
        [{'name': s."name", 'count': try_cast(s."count" AS BIGINT)} FOR s IN popular_shelves], []
    ) AS popular_shelves,
    book_id IS NULL AND title IS NULL AND work_id IS NULL AND authors IS NULL AND link IS NULL AS malformed
FROM raw
