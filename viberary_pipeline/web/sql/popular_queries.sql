-- Grain: one query, in lower case. Input: `searches` of the query log.
-- Counts minutes in which it was searched: a reload, or more of the same list, is no other search. Left out: what was
-- searched too seldom, or on too few days, to be more than one reader's, and what is too long for a chart.
-- In steps of plain groups, which DuckDB can move to disk, unlike count(DISTINCT ...).
WITH minutes AS (
    SELECT DISTINCT vibe, date_trunc('minute', time) AS minute FROM searches WHERE length(vibe) BETWEEN 1 AND 80
),

days AS (
    SELECT vibe, minute::DATE AS day, count(*) AS searches FROM minutes GROUP BY ALL
)

SELECT vibe, sum(searches)::INTEGER
FROM days
GROUP BY vibe
HAVING sum(searches) >= $searches AND count(*) >= $days
ORDER BY sum(searches) DESC, vibe
LIMIT $most
