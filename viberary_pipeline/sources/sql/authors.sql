-- authors: one row per line of a block of goodreads_book_authors.json.gz, typed. Nothing is dropped here: `reason`
-- says why a row is to be rejected, `nulled` names the columns that could not hold what their field said.
-- Input:  the variables path (a file of JSON lines), file, first_line, numbers.
WITH lines AS (
    SELECT row_number() OVER () AS place, *
    FROM read_json(
        getvariable('path'), format = 'newline_delimited', compression = 'uncompressed', ignore_errors = true,
        maximum_object_size = 16777216,
        columns = {
            author_id: 'VARCHAR', "name": 'VARCHAR', average_rating: 'VARCHAR', ratings_count: 'VARCHAR',
            text_reviews_count: 'VARCHAR'
        }
    )
),
typed AS (
    SELECT
        place,
        blank_to_null(author_id) AS author_id,
        coalesce(clean_text("name"), blank_to_null("name")) AS "name",
        in_range(try_cast(average_rating AS DOUBLE), 0, 5) AS average_rating,
        in_range(try_cast(ratings_count AS BIGINT), 0, 1000000000000) AS ratings_count,
        in_range(try_cast(text_reviews_count AS BIGINT), 0, 1000000000000) AS text_reviews_count,
        average_rating AS raw_average_rating,
        ratings_count AS raw_ratings_count,
        text_reviews_count AS raw_text_reviews_count,
        author_id IS NULL AND "name" IS NULL AND ratings_count IS NULL AS malformed
    FROM lines
)
SELECT
    getvariable('file') AS file,
    line_number(place) AS line,
    author_id, "name", average_rating, ratings_count, text_reviews_count,
    nullif(concat_ws(' ',
        CASE WHEN unreadable(raw_average_rating, average_rating) THEN 'average_rating' END,
        CASE WHEN unreadable(raw_ratings_count, ratings_count) THEN 'ratings_count' END,
        CASE WHEN unreadable(raw_text_reviews_count, text_reviews_count) THEN 'text_reviews_count' END
    ), '') AS nulled,
    place,
    CASE
        WHEN malformed THEN 'malformed_json'
        WHEN author_id IS NULL THEN 'missing_author_id'
        WHEN "name" IS NULL THEN 'missing_name'
    END AS reason
FROM typed
