-- genres: one row per line of a block of goodreads_book_genres_initial.json.gz (optional): a book and how many
-- readers shelved it under each genre, most first. Nothing is dropped here: `reason` says why a row is to be rejected.
-- Input:  the variables path (a file of JSON lines), file, first_line, numbers.
WITH lines AS (
    SELECT row_number() OVER () AS place, *
    FROM read_json(
        getvariable('path'), format = 'newline_delimited', compression = 'uncompressed', ignore_errors = true,
        maximum_object_size = 16777216,
        columns = {book_id: 'VARCHAR', genres: 'MAP(VARCHAR, VARCHAR)'}
    )
)
SELECT
    getvariable('file') AS file,
    line_number(place) AS line,
    blank_to_null(book_id) AS book_id,
    coalesce(
        list_reverse_sort(
            [{'count': coalesce(try_cast(g.value AS BIGINT), 0), 'name': trim(g.key)} FOR g IN map_entries(genres)]
        ).list_transform(lambda g: {'name': g."name", 'count': g."count"}),
        []
    ) AS genres,
    NULL::VARCHAR AS nulled,
    place,
    CASE
        WHEN book_id IS NULL AND genres IS NULL THEN 'malformed_json'
        WHEN blank_to_null(book_id) IS NULL THEN 'missing_book_id'
    END AS reason
FROM lines
