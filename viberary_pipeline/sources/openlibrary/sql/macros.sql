-- Macros that make values of the fields of Open Library's records. A field is JSON in one of the shapes that it has come
-- in over the years; an object that holds a text has it under `value`.

-- The elements of a list; what is no list is its own only element.
CREATE OR REPLACE TEMP MACRO json_items(field) AS
    CASE WHEN json_type(field) = 'ARRAY' THEN CAST(field AS JSON[]) WHEN field IS NOT NULL THEN [field] ELSE [] END;

-- The texts of a list: strings, numbers, and objects with a text. One alone is a list of one. (texts_of_any_shape is a
-- function of ours, in shapes.py: such lists are rare, and as SQL their forms made each block's plan many times longer.)
CREATE OR REPLACE TEMP MACRO json_texts_of_any_shape(field) AS
    list_filter(
        [blank_to_null(one) FOR one IN texts_of_any_shape(CAST(field AS VARCHAR))], lambda one: one IS NOT NULL
    );

-- The same. Nearly every list is one of strings of visible characters with single blanks between words (printable ASCII,
-- Latin, Greek, Cyrillic, Arabic, kana, Chinese, Hangul), which are had as they stand.
CREATE OR REPLACE TEMP MACRO is_list_of_plain_texts(list) AS
    regexp_full_match(
        list,
        '\["[!#-\[\]-~\x{A1}-\x{AC}\x{AE}-\x{2AF}\x{391}-\x{3A1}\x{3A3}-\x{3FF}\x{400}-\x{481}\x{620}-\x{64A}\x{3041}-\x{3096}'
        '\x{30A1}-\x{30FE}\x{4E00}-\x{9FA5}\x{AC00}-\x{D7A3}]+(?:(?: |", ?")'
        '[!#-\[\]-~\x{A1}-\x{AC}\x{AE}-\x{2AF}\x{391}-\x{3A1}\x{3A3}-\x{3FF}\x{400}-\x{481}\x{620}-\x{64A}\x{3041}-\x{3096}'
        '\x{30A1}-\x{30FE}\x{4E00}-\x{9FA5}\x{AC00}-\x{D7A3}]+)*"\]'
    );
CREATE OR REPLACE TEMP MACRO is_list_of_texts(list) AS
    regexp_full_match(list, '\["(?:[^"\\]|\\.)*"(?:, ?"(?:[^"\\]|\\.)*")*\]');
CREATE OR REPLACE TEMP MACRO json_texts(field) AS
    CASE
        WHEN field IS NULL THEN []
        WHEN is_list_of_plain_texts(CAST(field AS VARCHAR)) THEN CAST(field AS VARCHAR[])
        WHEN is_list_of_texts(CAST(field AS VARCHAR))
            THEN list_filter([blank_to_null(item) FOR item IN CAST(field AS VARCHAR[])], lambda one: one IS NOT NULL)
        ELSE json_texts_of_any_shape(field)
    END;

-- The text of a string, a number or an object with a text; of a list all its texts, with blanks between.
CREATE OR REPLACE TEMP MACRO json_text(field) AS
    CASE json_type(field)
        WHEN 'VARCHAR' THEN field->>'$'
        WHEN 'OBJECT' THEN CASE WHEN json_type(field, '$.value') = 'VARCHAR' THEN field->>'$.value' END
        WHEN 'ARRAY' THEN nullif(array_to_string(json_texts_of_any_shape(field), ' '), '')
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
            list_filter(
                [
                    {
                        'name': CASE WHEN json_type(item, '$.name') = 'VARCHAR' THEN clean_text(item->>'$.name') END,
                        'role': coalesce(blank_to_null(item->>'$.role'), 'Contributor')
                    }
                    FOR item IN json_items(field)
                ],
                lambda one: one."name" IS NOT NULL
            )
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

-- The kind of a record: 'work' in '/type/work'.
CREATE OR REPLACE TEMP MACRO kind_of_record(type) AS
    CASE type
        WHEN '/type/work' THEN 'work'
        WHEN '/type/edition' THEN 'edition'
        WHEN '/type/author' THEN 'author'
        ELSE nullif(regexp_extract(trim(type), '^/type/(\w+)$', 1), '')
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
        -- Nearly always a list of numbers.
        WHEN regexp_full_match(CAST(field AS VARCHAR), '\[-?[0-9]{1,12}(?:, ?-?[0-9]{1,12})*\]')
            THEN list_filter(CAST(field AS BIGINT[]), lambda one: one > 0)
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
    CASE
        WHEN json_is_lost(field, typed IS NULL)
            THEN json_type(field) IN ('OBJECT', 'ARRAY', 'BOOLEAN') AND len(json_texts_of_any_shape(field)) = 0
        ELSE false
    END;

-- Years in dates that people wrote. A date is text in any language and calendar.

-- The text that is looked at: its digits in ASCII.
CREATE OR REPLACE TEMP MACRO plain_date(date) AS
    -- translate() takes its time, and next to no date needs it.
    CASE WHEN strlen(date) = length(date) THEN lower(date) ELSE lower(translate(date, '٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹０１２３４５６７８９〇一二三四五六七八九', '0123456789012345678901234567890123456789')) END;

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
CREATE OR REPLACE TEMP MACRO is_year(date) AS strlen(date) = 4 AND regexp_full_match(date, '(?:1[0-9]|20)[0-9]{2}');
CREATE OR REPLACE TEMP MACRO year_in(date) AS
    CASE
        WHEN date IS NULL THEN NULL
        WHEN is_year(date) THEN CAST(date AS INTEGER)
        WHEN is_plain_date(date) THEN CAST(regexp_extract(date, '(?:1[0-9]|20)[0-9]{2}') AS INTEGER)
        ELSE year_in_words(date)
    END;
CREATE OR REPLACE TEMP MACRO year_is_uncertain(date) AS
    CASE WHEN date IS NULL THEN NULL WHEN is_plain_date(date) THEN false ELSE words_are_uncertain(date) END;
