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

-- The same. Nearly every list is one of strings, which are had at once; one with a bracket in it may hold objects.
CREATE OR REPLACE TEMP MACRO json_texts(field) AS
    CASE
        WHEN field IS NULL THEN []
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

-- Those of a list, each once, in their order.
CREATE OR REPLACE TEMP MACRO each_once(items) AS
    list_filter(items, lambda item, place: item IS NOT NULL AND list_position(items, item) = place);
CREATE OR REPLACE TEMP MACRO ol_ids(keys, letters) AS each_once([ol_id(key, letters) FOR key IN keys]);

-- The same of a field. Nearly always every element has one key as it is written today, which one pattern finds.
CREATE OR REPLACE TEMP MACRO json_ids(field, letters) AS
    CASE
        WHEN field IS NULL THEN []
        WHEN json_array_length(field) = len(regexp_extract_all(CAST(field AS VARCHAR), '"/[a-z]+/(OL[0-9]+[' || letters || '])"', 1))
            THEN each_once(regexp_extract_all(CAST(field AS VARCHAR), '"/[a-z]+/(OL[0-9]+[' || letters || '])"', 1))
        ELSE ol_ids(json_keys(field), letters)
    END;

-- 'eng' in '/languages/eng'.
CREATE OR REPLACE TEMP MACRO language_codes(keys) AS
    list_filter([nullif(regexp_extract(key, '([^/]+)/?$', 1), '') FOR key IN keys], lambda one: one IS NOT NULL);

-- The numbers of cover images; -1 stands for none.
CREATE OR REPLACE TEMP MACRO cover_ids(field) AS
    [whole_number(one, 1, 1000000000000) FOR one IN json_texts(field) IF whole_number(one, 1, 1000000000000) IS NOT NULL];

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
CREATE OR REPLACE TEMP MACRO year_in(date) AS
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
CREATE OR REPLACE TEMP MACRO year_is_uncertain(date) AS
    CASE
        WHEN year_in(date) IS NOT NULL THEN
            regexp_matches(
                plain_date(date),
                '\?|\bca\b|\bca?\.\s*\[?[0-9]|\bc\s+\[?[0-9]|circa|\bor\b|\bbefore\b|\bafter\b|\bbetween\b|\babout\b|approx|\bearly\b'
                '|\blate\b|\bvers\b|\bum\b|\bhacia\b|\bcirka\b|b\.?\s*c\b'
                '|(?:^|[^0-9])(?:1[0-9]|20)[0-9][-–_xu](?:[^0-9]|$)|[0-9]{3}0[''’]?s\b'
                '|[0-9]{4}\s*[-–—/]\s*[0-9]{4}(?:[^0-9]|$)|^\D*[0-9]{4}\s*[-–—/]\s*(?:1[3-9]|[2-9][0-9])\D*$'
            )
    END;
