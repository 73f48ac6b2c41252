-- read_units: one row per work, or edition without one, that a reader may count for: each that readers.sql finds and, in
-- case a work's record turns out to be none, that of the edition that the reader named.
-- Inputs: readings, live_works, edition_units.
CREATE TEMP TABLE read_units AS
SELECT work_id AS unit FROM readings SEMI JOIN live_works USING (work_id)
UNION
SELECT unit FROM edition_units SEMI JOIN readings USING (edition_id)
