-- moved_on: moved, each redirect followed by the one that it leads to. It doubles what is followed: after n times chains
-- of 2^n are. What is merged in a circle never arrives.
CREATE TEMP TABLE moved_on AS
SELECT m.id, coalesce(n.next_id, m.next_id) AS next_id
FROM moved AS m
LEFT JOIN moved AS n ON n.id = m.next_id
