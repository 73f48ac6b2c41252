-- repeated: one row per id that several lines may have: ids of lines that are not told at sight, which may be told elsewhere,
-- and the numbers that several lines told at sight have. Inputs: record_keys (without lines told at sight), repeated_W,
-- repeated_M.
CREATE TEMP TABLE repeated AS
SELECT id FROM record_keys WHERE id IS NOT NULL
UNION
SELECT number_with(number, 'W') FROM repeated_W
UNION
SELECT number_with(number, 'M') FROM repeated_M
