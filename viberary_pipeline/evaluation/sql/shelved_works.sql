-- Grain: a shelf and the work of an edition that has it among its first $used. Inputs: `books` and `documents`.
-- Only works of `documents` count: no other can be found.
SELECT name, work
FROM (SELECT lower(unnest(popular_shelves[:$used])) AS name, coalesce(work_id, 'b' || book_id) AS work FROM books)
WHERE work IN (SELECT work_id FROM documents)
