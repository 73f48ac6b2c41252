-- Grain: one query and one work that was opened after it. Inputs: `searches` and `clicks` of the query log.
-- Counts minutes in which it was opened: a reload is no other click. Counts a click only if a search for that query
-- showed the work: a link that somebody made up has no search behind it. Left out: what too few clicks, or too few days,
-- speak for.
WITH opened AS (
    SELECT DISTINCT vibe, work_id, date_trunc('minute', time) AS minute
    FROM clicks
    WHERE vibe <> '' AND regexp_full_match(work_id, '\S+')
),

shown AS (
    SELECT DISTINCT vibe, unnest(work_ids) AS work_id FROM searches WHERE vibe IN (SELECT vibe FROM opened)
)

SELECT vibe, work_id
FROM opened
SEMI JOIN shown USING (vibe, work_id)
GROUP BY vibe, work_id
HAVING count(*) >= $clicks AND count(DISTINCT minute::DATE) >= $days
ORDER BY vibe, work_id
