-- Grain: a shelf of $names and a work that has it among the first $used of an edition; shelves that hold fewer works
-- than $least, or more than $most, are left out. Inputs: `books` and `documents`.
-- Only works of `documents` count: no other can be found.
WITH shelved AS MATERIALIZED (
    SELECT DISTINCT name, work
    FROM (SELECT lower(unnest(popular_shelves[:$used])) AS name, coalesce(work_id, 'b' || book_id) AS work FROM books)
    WHERE name IN (SELECT unnest($names)) AND work IN (SELECT work_id FROM documents)
),

telling AS (SELECT name FROM shelved GROUP BY name HAVING count(*) BETWEEN $least AND $most)

SELECT name, work
FROM shelved SEMI JOIN telling USING (name)
ORDER BY name, work
