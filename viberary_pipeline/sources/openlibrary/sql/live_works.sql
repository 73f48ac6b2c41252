-- live_works: one row per work that is one: neither merged nor deleted. Narrow. Inputs: ol_works.
CREATE TEMP TABLE live_works AS
SELECT work_id FROM ol_works WHERE kind IS NULL OR kind = 'work'
