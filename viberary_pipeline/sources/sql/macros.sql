-- Macros that make values of fields. A field is the text of a JSON string or number; of an object or array its JSON.

-- The text without white space, control and other invisible characters at its ends, or null where nothing is
-- left ("" means missing in UCSD's files). Most values begin and end with a printable ASCII character, which is
-- seen many times faster than the general rule is applied.
CREATE OR REPLACE TEMP MACRO blank_to_null(value) AS
    CASE
        WHEN value = '' THEN NULL
        WHEN unicode(value) BETWEEN 33 AND 126 AND regexp_matches(value, '[!-~]$') THEN value
        ELSE nullif(regexp_replace(value, '^[\s\p{C}\p{Z}]+|[\s\p{C}\p{Z}]+$', '', 'g'), '')
    END;

-- Programs' words for "no value": Python's json writes NaN, pandas as text nan, <NA>, NaT and None. A book may be
-- called None or Null, so titles and names lose only the first four. (Not IN: DuckDB joins with a list of many.)
CREATE OR REPLACE TEMP MACRO is_nan(value) AS
    strlen(value) BETWEEN 3 AND 4 AND regexp_full_match(value, 'NaN|nan|<NA>|NaT');
CREATE OR REPLACE TEMP MACRO is_missing(value) AS
    strlen(value) BETWEEN 3 AND 4 AND regexp_full_match(value, 'NaN|nan|<NA>|NaT|None|null|NULL|N/A');

-- Whether a field of text may be JSON of another type: an object, array, boolean or infinity. It may be a string that
-- only looks so; the line itself tells (sources/irregular.py).
CREATE OR REPLACE TEMP MACRO is_other_json(value) AS
    (starts_with(value, '{') OR starts_with(value, '[')) AND (json_valid(value) OR contains(value, 'NaN'))
    OR strlen(value) BETWEEN 4 AND 9 AND regexp_full_match(value, 'true|false|-?Infinity');

-- An id that may be any text (trimmed_id and respelled_id are functions of ours: sources/ids.py).
CREATE OR REPLACE TEMP MACRO opaque_id(value) AS
    CASE WHEN regexp_full_match(value, '[0-9a-z]{10,}') THEN value ELSE trimmed_id(value) END;

-- An id that is a number, in one spelling: 77 for '077', '+77', '77.0', '7.7e1'. Plain digits are seen at once.
CREATE OR REPLACE TEMP MACRO canonical_id(value) AS
    CASE
        WHEN CAST(try_cast(value AS BIGINT) AS VARCHAR) = value AND NOT starts_with(value, '-') THEN value
        ELSE respelled_id(value)
    END;

-- Those of a list that are ids, each in one spelling.
CREATE OR REPLACE TEMP MACRO canonical_ids(ids) AS
    CASE
        -- Nearly always all are: two casts of the whole list are several times faster than a look at each.
        WHEN
            CAST(try_cast(ids AS BIGINT[]) AS VARCHAR[]) = ids
            AND list_count(ids) = len(ids) AND coalesce(list_min(try_cast(ids AS BIGINT[])), 0) >= 0
            THEN ids
        ELSE [canonical_id(id) FOR id IN ids IF canonical_id(id) IS NOT NULL]
    END;

-- An ISBN as written, but without the decimal point that a table of floats gave it.
CREATE OR REPLACE TEMP MACRO isbn_text(value) AS
    CASE
        WHEN regexp_matches(value, '^\s*[0-9]*\.[0-9]+(?:[eE]\+?[0-9]+)?\s*$') THEN canonical_id(value)
        ELSE blank_to_null(value)
    END;

-- Whether a picture is Goodreads' stand-in for a cover that it lacks.
CREATE OR REPLACE TEMP MACRO is_stand_in(value) AS contains(value, '/nophoto/');

-- The address of a picture, or null.
CREATE OR REPLACE TEMP MACRO picture_address(value) AS
    CASE
        WHEN regexp_full_match(value, '\s*https?://[^\s/]+/\S+\s*') AND NOT is_stand_in(value)
            THEN blank_to_null(value)
    END;

-- The value, or null where it lies outside [low, high].
CREATE OR REPLACE TEMP MACRO in_range(value, low, high) AS CASE WHEN value BETWEEN low AND high THEN value END;

-- A whole number in [low, high], or null: '4' and '4.0' are one, '4.6' is none (a cast alone would make 5 of it).
CREATE OR REPLACE TEMP MACRO whole_number(value, low, high) AS
    in_range(
        CASE WHEN try_cast(value AS DOUBLE) = try_cast(value AS BIGINT) THEN try_cast(value AS BIGINT) END, low, high
    );

-- Whether a field said something that its column cannot hold: no id, number or date, or one out of range.
CREATE OR REPLACE TEMP MACRO unreadable(field, typed) AS typed IS NULL AND field IS NOT NULL AND field <> '';

-- The number in its file of a line of the block, counted from 1. `numbers` has them where blank or bad lines were
-- left out between.
CREATE OR REPLACE TEMP MACRO line_number(block_line) AS
    coalesce((getvariable('numbers')::BIGINT[])[block_line], getvariable('first_line') + block_line - 1);
