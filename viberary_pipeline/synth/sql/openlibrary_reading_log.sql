-- openlibrary_reading_log: one row per entry $first to $last - 1, a line of ol_dump_reading-log in `line`: work, edition
-- or nothing, shelf, day. Inputs: variables. One in 5,000 is of a work that is not there.
WITH drawn AS (
    SELECT id, offset_of(book_of_rank(rank_drawn(draw(id, 'shelved')))) AS place
    FROM range($first, $last) AS ids(id)
)

SELECT concat(
    CASE
        WHEN below(id, 'unknown log', 5000) = 0 THEN unknown_work_key(id)
        ELSE named_work(work_at(place), id, 'old work of log')
    END, chr(9),
    CASE WHEN chance(id, 'log names edition', 0.6) THEN edition_key(book_at(place)) END, chr(9),
    CASE
        WHEN draw(id, 'shelf') < 0.72 THEN 'Want to Read'
        WHEN draw(id, 'shelf') < 0.82 THEN 'Currently Reading'
        WHEN draw(id, 'shelf') < 0.9999 THEN 'Already Read'
        ELSE 'Stopped Reading'
    END, chr(9),
    strftime(DATE '1970-01-01' + (17500 + below(id, 'log day', 3200)::INTEGER), '%Y-%m-%d'), chr(10)
) AS line
FROM drawn
