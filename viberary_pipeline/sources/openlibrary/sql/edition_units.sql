-- edition_units: one row per edition and work, or edition without one, that it may be of: that of its first line and, if the
-- record is there more than once, those that its other lines name: the first one may turn out to be no record.
-- Inputs: edition_links, again, moved.
CREATE TEMP VIEW edition_units AS
SELECT edition_id, unit FROM edition_links
UNION ALL
SELECT a.id, coalesce(m.next_id, a.work_id)
FROM again AS a
LEFT JOIN moved AS m ON m.id = a.work_id
WHERE a.record = 'edition' AND a.work_id IS NOT NULL
