-- again: one row per line of a record that an earlier line has, too. Of such a record the first line counts.
-- Inputs: record_keys, repeated (the ids that several lines may have).
CREATE TEMP TABLE again AS
SELECT line, record, id, work_id
FROM record_keys
SEMI JOIN repeated USING (id)
QUALIFY row_number() OVER (PARTITION BY id ORDER BY line) > 1
