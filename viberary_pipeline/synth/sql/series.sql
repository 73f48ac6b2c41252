-- series: one row per series $first to $last - 1, a line of goodreads_book_series.json.gz in `line`.
-- Inputs: variables. Series without a work in the books file exist, as in UCSD's.
SELECT concat(
    '{"numbered": "', CASE WHEN chance(id, 'numbered', 0.88) THEN 'true' ELSE 'false' END,
    '", "note": "", "description": "',
    CASE
        WHEN chance(id, 'described', 0.3)
            THEN concat('A series of books set in ', pick(getvariable('towns'), id, 'place'), '.\n\n')
    END,
    '", "title": "', series_name(id),
    '", "series_works_count": "', 2 + heavy_tail(id, 'works', 0.6, 1.1),
    '", "series_id": "', series_id(id),
    '", "primary_work_count": "', 1 + heavy_tail(id, 'primary', 0.6, 1.3),
    '"}', chr(10)
) AS line
FROM range($first, $last) AS ids(id)
