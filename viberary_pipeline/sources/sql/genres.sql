-- genres: one row per line of a block of goodreads_book_genres_initial.json.gz (optional): a book and how many
-- readers shelved it under each genre, most first. No row is dropped here: `reason` says why one is to be rejected.
-- Dropped: genres without a count above 0; `nulled` then names the column.
-- Input:  the variables path (a file of JSON lines), file, first_line, numbers.
WITH lines AS (
    SELECT row_number() OVER () AS place, *
    FROM read_json(
        getvariable('path'), format = 'newline_delimited', compression = 'uncompressed', ignore_errors = true,
        maximum_object_size = 16777216,
        columns = {book_id: 'VARCHAR', genres: 'MAP(VARCHAR, VARCHAR)'}
    )
),
typed AS (
    SELECT
        place,
        blank_to_null(book_id) AS book_id,
        coalesce(
            list_reverse_sort(
                [{'count': try_cast(g.value AS BIGINT), 'name': trim(g.key)}
                 FOR g IN map_entries(genres) IF try_cast(g.value AS BIGINT) > 0]
            ).list_transform(lambda g: {'name': g."name", 'count': g."count"}),
            []
        ) AS genres,
        cardinality(genres) AS raw_genres,
        book_id IS NULL AND genres IS NULL AS malformed
    FROM lines
)
SELECT
    getvariable('file') AS file,
    line_number(place) AS line,
    book_id, genres,
    CASE WHEN raw_genres > len(genres) THEN 'genres' END AS nulled,
    place,
    CASE WHEN malformed THEN 'malformed_json' WHEN book_id IS NULL THEN 'missing_book_id' END AS reason
FROM typed
