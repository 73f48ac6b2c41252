-- wanted_works: one row per work that no filter left out, numbered from 0 in the order of work_id.
-- Inputs: joined_works. Dropped: the works that a filter leaves out (left_out_by, counted). The number is a narrow
-- key for everything below.
CREATE TEMP TABLE wanted_works AS
SELECT (row_number() OVER (ORDER BY work_id) - 1)::INTEGER AS work_no, * EXCLUDE (in_languages, shown_year, first_year, left_out_by)
FROM joined_works
WHERE left_out_by IS NULL
