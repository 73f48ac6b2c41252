-- authors_staged: one row per non-blank line of goodreads_book_authors.json.gz, typed. Nothing is dropped here.
-- Input:  $path, the decompressed stream (newline-delimited JSON).
WITH raw AS (
    SELECT row_number() OVER () AS line, *
    FROM read_json(
        $path, format = 'newline_delimited', compression = 'uncompressed', ignore_errors = true,
        maximum_object_size = 67108864,
        columns = {
            author_id: 'VARCHAR', "name": 'VARCHAR', average_rating: 'VARCHAR', ratings_count: 'VARCHAR',
            text_reviews_count: 'VARCHAR'
        }
    )
)
SELECT
    line,
    blank_to_null(author_id) AS author_id,
    blank_to_null(regexp_replace("name", '\s+', ' ', 'g')) AS "name",
    in_range(try_cast(average_rating AS DOUBLE), 0, 5) AS average_rating,
    in_range(try_cast(ratings_count AS BIGINT), 0, 1000000000000) AS ratings_count,
    in_range(try_cast(text_reviews_count AS BIGINT), 0, 1000000000000) AS text_reviews_count,
    author_id IS NULL AND "name" IS NULL AND ratings_count IS NULL AS malformed
FROM raw
