-- series: one row per line of a block of goodreads_book_series.json.gz (optional), typed. Nothing is dropped here:
-- `reason` says why a row is to be rejected.
-- Input:  the variables path (a file of JSON lines), file, first_line, numbers.
WITH lines AS (
    SELECT row_number() OVER () AS place, *
    FROM read_json(
        getvariable('path'), format = 'newline_delimited', compression = 'uncompressed', ignore_errors = true,
        maximum_object_size = 16777216,
        columns = {series_id: 'VARCHAR', title: 'VARCHAR', series_works_count: 'VARCHAR'}
    )
),
typed AS (
    SELECT
        place,
        blank_to_null(series_id) AS series_id,
        coalesce(clean_text(title), blank_to_null(title)) AS title,
        in_range(try_cast(series_works_count AS INTEGER), 0, 1000000) AS work_count,
        series_works_count AS raw_work_count,
        series_id IS NULL AND title IS NULL AS malformed
    FROM lines
)
SELECT
    getvariable('file') AS file,
    line_number(place) AS line,
    series_id, title, work_count,
    CASE WHEN unreadable(raw_work_count, work_count) THEN 'work_count' END AS nulled,
    place,
    CASE
        WHEN malformed THEN 'malformed_json'
        WHEN series_id IS NULL THEN 'missing_series_id'
        WHEN title IS NULL THEN 'missing_title'
    END AS reason
FROM typed
