-- genre_lists: one row per work with genres: their names, most votes first, over all editions.
-- Inputs: genres (may be empty), wanted_editions. Variables: least_genre_share.
-- Dropped: genres with less than that share of the work's votes.
CREATE TEMP TABLE genre_lists AS
WITH votes AS (
    SELECT work_no, genre."name" AS "name", sum(genre."count") AS votes
    FROM (SELECT e.work_no, unnest(g.genres) AS genre FROM genres AS g JOIN wanted_editions AS e USING (book_id))
    WHERE genre."count" > 0 AND genre."name" IS NOT NULL
    GROUP BY ALL
)
SELECT work_no, [g."name" FOR g IN list_sort(list({'votes': -votes, 'name': "name"}))] AS genres
FROM (
    SELECT * FROM votes
    QUALIFY votes >= getvariable('least_genre_share') * sum(votes) OVER (PARTITION BY work_no)
)
GROUP BY work_no
