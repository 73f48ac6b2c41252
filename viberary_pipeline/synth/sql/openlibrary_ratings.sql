-- openlibrary_ratings: one row per rating $first to $last - 1, a line of ol_dump_ratings in `line`: work, edition or
-- nothing, stars, day. Inputs: variables. One in 5,000 is of a work that is not there, one in 20,000 has odd stars.
WITH drawn AS (
    SELECT id, offset_of(book_of_rank(rank_drawn(draw(id, 'rated')))) AS place
    FROM range($first, $last) AS ids(id)
)

SELECT concat(
    CASE
        WHEN below(id, 'unknown', 5000) = 0 THEN unknown_work_key(id)
        ELSE named_work(work_at(place), id, 'old work')
    END, chr(9),
    CASE WHEN chance(id, 'names edition', 0.6) THEN edition_key(book_at(place)) END, chr(9),
    CASE
        WHEN below(id, 'odd stars', 20000) = 0 THEN pick(['', '0', '6', '10', '4.5', 'NULL'], id, 'odd')
        WHEN draw(id, 'stars') < 0.05 THEN '1'
        WHEN draw(id, 'stars') < 0.12 THEN '2'
        WHEN draw(id, 'stars') < 0.30 THEN '3'
        WHEN draw(id, 'stars') < 0.60 THEN '4'
        ELSE '5'
    END, chr(9),
    strftime(DATE '1970-01-01' + (17500 + below(id, 'day', 3200)::INTEGER), '%Y-%m-%d'), chr(10)
) AS line
FROM drawn
