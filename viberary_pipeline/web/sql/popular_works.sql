-- Grain: one work. Input: `searches` of the query log.
-- Counts different queries for whose first ten books it was one. Left out: works that too few queries found, or that
-- were found on too few days, to say anything but what one reader asked.
-- In steps of plain groups, which DuckDB can move to disk, unlike count(DISTINCT ...).
WITH shown AS (
    SELECT hash(vibe) AS vibe, time::DATE AS day, unnest(work_ids[1:10]) AS work_id FROM searches
),

queries AS (
    SELECT work_id, count(*) AS queries
    FROM (SELECT DISTINCT work_id, vibe FROM shown)
    GROUP BY work_id
    HAVING count(*) >= $searches
),

days AS (
    SELECT work_id FROM (SELECT DISTINCT work_id, day FROM shown) GROUP BY work_id HAVING count(*) >= $days
)

SELECT work_id, queries
FROM queries
INNER JOIN days USING (work_id)
ORDER BY queries DESC, work_id
LIMIT $most
