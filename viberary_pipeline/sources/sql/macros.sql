-- Macros shared by the statements of the catalogue.

-- The text without white space, control and other invisible characters at its ends, or null where nothing is
-- left ("" means missing in UCSD's files). Most values begin and end with a printable ASCII character, which is
-- seen many times faster than the general rule is applied.
CREATE OR REPLACE TEMP MACRO blank_to_null(value) AS
    CASE
        WHEN value = '' THEN NULL
        WHEN unicode(value) BETWEEN 33 AND 126 AND regexp_matches(value, '[!-~]$') THEN value
        ELSE nullif(regexp_replace(value, '^[\s\p{C}\p{Z}]+|[\s\p{C}\p{Z}]+$', '', 'g'), '')
    END;

-- The value, or null where it lies outside [low, high].
CREATE OR REPLACE TEMP MACRO in_range(value, low, high) AS CASE WHEN value BETWEEN low AND high THEN value END;

-- Whether a field said something that its column cannot hold: no number, no date, or one out of range.
CREATE OR REPLACE TEMP MACRO unreadable(field, typed) AS typed IS NULL AND field IS NOT NULL AND field <> '';

-- The number in its file of the line at a place (from 1) of the block. `numbers` has them where blank or bad lines
-- were left out between.
CREATE OR REPLACE TEMP MACRO line_number(place) AS
    coalesce((getvariable('numbers')::BIGINT[])[place], getvariable('first_line') + place - 1);
