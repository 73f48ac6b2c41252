-- Macros that make values of the fields of Open Library's records. A field is JSON in one of the shapes that it has come
-- in over the years; an object that holds a text has it under `value`.

-- The elements of a list; what is no list is its own only element.
CREATE OR REPLACE TEMP MACRO json_items(field) AS
    CASE WHEN json_type(field) = 'ARRAY' THEN CAST(field AS JSON[]) WHEN field IS NOT NULL THEN [field] ELSE [] END;

-- The texts of a list: strings, numbers, and objects with a text. One alone is a list of one.
CREATE OR REPLACE TEMP MACRO json_texts_of_any_shape(field) AS
    list_filter(
        [
            blank_to_null(
                CASE json_type(item)
                    WHEN 'OBJECT' THEN
                        coalesce(
                            CASE WHEN json_type(item, '$.value') = 'VARCHAR' THEN item->>'$.value' END,
                            CASE WHEN json_type(item, '$.name') = 'VARCHAR' THEN item->>'$.name' END
                        )
                    WHEN 'ARRAY' THEN NULL
                    WHEN 'BOOLEAN' THEN NULL
                    ELSE item->>'$'
                END
            )
            FOR item IN json_items(field)
        ],
        lambda one: one IS NOT NULL
    );

-- The same. Nearly every list is one of strings of printable ASCII with single blanks between words, which are had as they
-- stand; one with a bracket in it may hold objects.
CREATE OR REPLACE TEMP MACRO json_texts(field) AS
    CASE
        WHEN field IS NULL THEN []
        WHEN regexp_full_match(CAST(field AS VARCHAR), '\["[!#-Z^-z|~]+(?:(?: |", ?")[!#-Z^-z|~]+)*"\]') THEN CAST(field AS VARCHAR[])
        WHEN regexp_full_match(CAST(field AS VARCHAR), '\["[^{}\[]*')
            THEN list_filter([blank_to_null(item) FOR item IN CAST(field AS VARCHAR[])], lambda one: one IS NOT NULL)
        ELSE json_texts_of_any_shape(field)
    END;

-- The text of a string, a number or an object with a text; of a list all its texts, with blanks between.
CREATE OR REPLACE TEMP MACRO json_text(field) AS
    CASE json_type(field)
        WHEN 'VARCHAR' THEN field->>'$'
        WHEN 'OBJECT' THEN CASE WHEN json_type(field, '$.value') = 'VARCHAR' THEN field->>'$.value' END
        WHEN 'ARRAY' THEN nullif(array_to_string(json_texts(field), ' '), '')
        WHEN 'BOOLEAN' THEN NULL
        ELSE field->>'$'
    END;

-- The same of a field that is read as text: a string is had as it stands, anything else as its JSON. A text may begin like
-- JSON ('[Poems]', '[1894]'); only what goes on like it is looked at.
CREATE OR REPLACE TEMP MACRO plain_text(value) AS
    CASE
        WHEN unicode(value) NOT IN (91, 123) AND value <> 'true' AND value <> 'false' THEN value
        WHEN value IN ('true', 'false', '[]', '{}') THEN NULL
        WHEN regexp_matches(value, '^\{\s*"') AND json_valid(value)
            THEN CASE WHEN json_type(value, '$.value') = 'VARCHAR' THEN json_extract_string(value, '$.value') END
        WHEN regexp_matches(value, '^\[\s*"') AND json_valid(value)
            THEN nullif(array_to_string(CAST(CAST(value AS JSON) AS VARCHAR[]), ' '), '')
        ELSE value
    END;
-- Whether such a field said something that is no text.
CREATE OR REPLACE TEMP MACRO plain_text_is_lost(value, typed) AS
    CASE
        WHEN typed IS NULL AND value IS NOT NULL
            THEN value IN ('true', 'false') OR (unicode(value) IN (91, 123) AND value NOT IN ('[]', '{}'))
        ELSE false
    END;

-- The people in a list of objects with a name and, most of them, a role.
CREATE OR REPLACE TEMP MACRO json_people(field) AS
    CASE
        WHEN field IS NULL THEN []
        ELSE
            [
                {'name': clean_text(item->>'$.name'), 'role': coalesce(blank_to_null(item->>'$.role'), 'Contributor')}
                FOR item IN json_items(field)
                IF json_type(item, '$.name') = 'VARCHAR' AND clean_text(item->>'$.name') IS NOT NULL
            ]
    END::STRUCT("name" VARCHAR, "role" VARCHAR)[];

-- Contributors of editions have no id of their own: their name is one.
CREATE OR REPLACE TEMP MACRO contributor_id(name) AS 'contributor ' || name;

-- The keys in a list: {"author": {"key": K}} as works have them, {"author": K}, {"key": K} as editions have them, K.
CREATE OR REPLACE TEMP MACRO json_keys(field) AS
    list_filter(
        [
            CASE
                WHEN json_type(item) = 'VARCHAR' THEN item->>'$'
                WHEN json_type(item, '$.author.key') = 'VARCHAR' THEN item->>'$.author.key'
                WHEN json_type(item, '$.author') = 'VARCHAR' THEN item->>'$.author'
                WHEN json_type(item, '$.key') = 'VARCHAR' THEN item->>'$.key'
            END
            FOR item IN json_items(field)
        ],
        lambda one: one IS NOT NULL
    );

-- The id in a key: OL1A in '/authors/OL1A', '/a/OL1A' (old records) and 'OL1A'. `letters`: A author, M edition, W work.
CREATE OR REPLACE TEMP MACRO ol_id(key, letters) AS
    nullif(upper(regexp_extract(trim(key), '^(?:.*/)?(?i:(ol[0-9]+[' || letters || ']))/?$', 1)), '');

-- The same of a column of the dump: nearly always '/works/OL1W' and so on.
CREATE OR REPLACE TEMP MACRO column_id(key, letters) AS
    CASE
        WHEN regexp_full_match(split_part(key, '/', 3), 'OL[0-9]+[' || letters || ']') AND starts_with(key, '/') THEN split_part(key, '/', 3)
        ELSE ol_id(key, letters)
    END;

-- Those of a list, each once, in their order.
CREATE OR REPLACE TEMP MACRO each_once(items) AS
    list_filter(items, lambda item, place: item IS NOT NULL AND list_position(items, item) = place);
CREATE OR REPLACE TEMP MACRO ol_ids(keys, letters) AS each_once([ol_id(key, letters) FOR key IN keys]);

-- The same of a field. Nearly always every element has one key as it is written today, or there is one element with
-- nothing else: `found` and `alone` are what the first two macros say of the field.
CREATE OR REPLACE TEMP MACRO keys_found(field, letters) AS
    regexp_extract_all(CAST(field AS VARCHAR), '"/[a-z]+/(OL[0-9]+[' || letters || '])"', 1);
CREATE OR REPLACE TEMP MACRO lone_key(field, letters) AS
    regexp_extract(CAST(field AS VARCHAR), '^\[\{"key": ?"/[a-z]+/(OL[0-9]+[' || letters || '])"\}\]$', 1);
CREATE OR REPLACE TEMP MACRO ids_found(field, found, letters) AS
    CASE
        WHEN field IS NULL THEN []
        WHEN len(found) = 1 AND json_array_length(field) = 1 THEN found
        WHEN len(found) = json_array_length(field) THEN each_once(found)
        ELSE ol_ids(json_keys(field), letters)
    END;
CREATE OR REPLACE TEMP MACRO ids_of(field, alone, letters) AS
    CASE
        WHEN field IS NULL THEN []
        WHEN alone <> '' THEN [alone]
        ELSE ids_found(field, keys_found(field, letters), letters)
    END;

-- 'eng' in '/languages/eng'. Nearly always there is one language.
CREATE OR REPLACE TEMP MACRO languages_of(field, alone) AS
    CASE WHEN field IS NULL THEN [] WHEN alone <> '' THEN [alone] ELSE language_codes(json_keys(field)) END;
CREATE OR REPLACE TEMP MACRO lone_language(field) AS
    regexp_extract(CAST(field AS VARCHAR), '^\[\{"key": ?"/languages/([a-z]+)"\}\]$', 1);
CREATE OR REPLACE TEMP MACRO language_codes(keys) AS
    list_filter([nullif(regexp_extract(key, '([^/]+)/?$', 1), '') FOR key IN keys], lambda one: one IS NOT NULL);

-- The numbers of cover images; -1 stands for none.
CREATE OR REPLACE TEMP MACRO cover_ids_of_any_shape(field) AS
    [whole_number(one, 1, 1000000000000) FOR one IN json_texts(field) IF whole_number(one, 1, 1000000000000) IS NOT NULL];
CREATE OR REPLACE TEMP MACRO cover_ids(field) AS
    CASE
        WHEN field IS NULL THEN []
        -- Nearly always one number.
        WHEN try_cast(trim(CAST(field AS VARCHAR), '[]') AS BIGINT) BETWEEN 1 AND 1000000000000
            THEN [CAST(trim(CAST(field AS VARCHAR), '[]') AS BIGINT)]
        WHEN CAST(field AS VARCHAR) = '[-1]' THEN []
        ELSE cover_ids_of_any_shape(field)
    END;

-- A description without what editors of Open Library put around it: what follows a rule of dashes (what else the volume
-- holds), marks of sources, addresses of links. Their texts are Markdown.
CREATE OR REPLACE TEMP MACRO prose(text) AS
    regexp_replace(
        regexp_replace(
            regexp_replace(
                regexp_replace(text, '\r', '', 'g'),
                '\n\s*(?:-{4,}|={4,}|\*{4,}|_{4,})\s*\n.*\z|\n\s*\[[^\]\n]+\]:\s*\S+[^\n]*', '', 'gs'
            ),
            '\(?\[\s*(?i:source|from|quelle|fuente|fonte)[^\]\n]*\](?:\[[^\]\n]*\]|\([^)\n]*\))?\)?', '', 'g'
        ),
        '\[([^\]\n]+)\](?:\[[^\]\n]*\]|\([^)\n]*\))', '\1', 'g'
    );

-- Whether a field said something of which nothing is left.
-- Nearly always something is, or nothing was said; CASE looks at the rest alone.
CREATE OR REPLACE TEMP MACRO json_is_lost(field, nothing_is_left) AS
    CASE
        WHEN field IS NOT NULL AND nothing_is_left
            THEN json_type(field) <> 'NULL' AND CAST(field AS VARCHAR) NOT IN ('""', '[]', '{}')
        ELSE false
    END;
CREATE OR REPLACE TEMP MACRO json_text_is_lost(field, typed) AS
    CASE WHEN json_is_lost(field, typed IS NULL) THEN json_text(field) IS NULL ELSE false END;

-- Years in dates that people wrote. A date is text in any language and calendar.

-- The text that is looked at: its digits in ASCII.
CREATE OR REPLACE TEMP MACRO plain_date(date) AS
    lower(translate(date, '٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹０１２３４５６７８９〇一二三四五六七八九', '0123456789012345678901234567890123456789'));

-- The year, or null where none is named ('n.d.', '18--'). In this order: before our era ('720 B.C.': -720); a year in
-- brackets, which cataloguers put beside what the title page says ('1370 [1991]', '1960 [i.e. 1961]'); any year from
-- 1000 ('June 1987', 'c1960', '1894-96'); a decade, which is its first year ('189-?', '198u'); three digits alone ('868').
CREATE OR REPLACE TEMP MACRO year_in_words(date) AS
    coalesce(
        -CAST(nullif(regexp_extract(plain_date(date), '(?:^|[^0-9])([1-9][0-9]{0,3})\s*b\.?\s*c', 1), '') AS INTEGER),
        CAST(
            coalesce(
                nullif(regexp_extract(plain_date(date), '\[(?:[^\]]*?[^0-9\]])??((?:1[0-9]|20)[0-9]{2})(?:[^0-9]|$)', 1), ''),
                nullif(regexp_extract(plain_date(date), '(?:^|[^0-9])((?:1[0-9]|20)[0-9]{2})(?:[^0-9]|$)', 1), ''),
                nullif(regexp_extract(plain_date(date), '(?:^|[^0-9])((?:1[0-9]|20)[0-9])[-–?_xu]', 1), '') || '0',
                nullif(regexp_extract(plain_date(date), '^\W*(?:ca?\.?\s*)?([1-9][0-9]{2})(?:\s*a\.?\s*d\.?)?\W*$', 1), '')
            ) AS INTEGER
        )
    );

-- Whether the year may be another one: about, before, after, or, a question mark, a decade, a span of years. 'c1960' is a
-- copyright, which is certain; 'c. 1960' is not. Null where there is no year.
CREATE OR REPLACE TEMP MACRO words_are_uncertain(date) AS
    CASE
        WHEN year_in_words(date) IS NOT NULL THEN
            regexp_matches(
                plain_date(date),
                '\?|\bca\b|\bca?\.\s*\[?[0-9]|\bc\s+\[?[0-9]|circa|\bor\b|\bbefore\b|\bafter\b|\bbetween\b|\babout\b|approx|\bearly\b'
                '|\blate\b|\bvers\b|\bum\b|\bhacia\b|\bcirka\b|b\.?\s*c\b'
                '|(?:^|[^0-9])(?:1[0-9]|20)[0-9][-–_xu](?:[^0-9]|$)|[0-9]{3}0[''’]?s\b'
                '|[0-9]{4}\s*[-–—/]\s*[0-9]{4}(?:[^0-9]|$)|^\D*[0-9]{4}\s*[-–—/]\s*(?:1[3-9]|[2-9][0-9])\D*$'
            )
    END;

-- The same. Nearly every date is a year, or one with a month and a day, which one pattern sees.
CREATE OR REPLACE TEMP MACRO is_plain_date(date) AS
    regexp_full_match(
        date,
        '(?:(?:[0-9]{1,2} )?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* (?:[0-9]{1,2}, ?)?)?(?:1[0-9]|20)[0-9]{2}'
        '|(?:1[0-9]|20)[0-9]{2}-[01][0-9]-[0-3][0-9]'
    );
CREATE OR REPLACE TEMP MACRO year_in(date) AS
    CASE
        WHEN date IS NULL THEN NULL
        WHEN is_plain_date(date) THEN CAST(regexp_extract(date, '(?:1[0-9]|20)[0-9]{2}') AS INTEGER)
        ELSE year_in_words(date)
    END;
CREATE OR REPLACE TEMP MACRO year_is_uncertain(date) AS
    CASE WHEN date IS NULL THEN NULL WHEN is_plain_date(date) THEN false ELSE words_are_uncertain(date) END;
