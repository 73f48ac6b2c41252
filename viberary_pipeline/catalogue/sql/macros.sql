-- Macros shared by the statements of the catalogue.

-- The text without white space, control and other invisible characters at its ends, or null where nothing is
-- left ("" means missing in UCSD's files).
CREATE OR REPLACE TEMP MACRO blank_to_null(value) AS
    nullif(regexp_replace(value, '^[\s\p{C}\p{Z}]+|[\s\p{C}\p{Z}]+$', '', 'g'), '');

-- The value, or null where it lies outside [low, high].
CREATE OR REPLACE TEMP MACRO in_range(value, low, high) AS CASE WHEN value BETWEEN low AND high THEN value END;

-- A record as JSON, cut to a length that a person reads.
CREATE OR REPLACE TEMP MACRO excerpt(record) AS left(CAST(to_json(record) AS VARCHAR), 500);
