-- again: one row per line of a record that an earlier line has, too. Of such a record the first line counts.
-- Input: record_keys.
CREATE TEMP TABLE again AS
SELECT line, is_edition, id, work_id
FROM record_keys
SEMI JOIN (SELECT id FROM record_keys WHERE id IS NOT NULL GROUP BY id HAVING count(*) > 1) AS candidates USING (id)
QUALIFY row_number() OVER (PARTITION BY id ORDER BY line) > 1
