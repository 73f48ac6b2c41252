-- Macros of the documents stage. resolve_entities is a function of ours (documents/build.py).

-- Readable text: entities resolved, spoilers, tags, addresses and invisible characters removed, Unicode NFC,
-- white space folded; null where nothing is left. Tags go first, so that an escaped '&lt;b&gt;' survives as the
-- text that its writer meant.
-- Control characters go before nfc_normalize, which ends a text at a NUL.
CREATE OR REPLACE TEMP MACRO clean_text(value) AS
    nullif(
        trim(
            regexp_replace(
                nfc_normalize(
                    regexp_replace(
                        regexp_replace(
                            regexp_replace(
                                resolve_entities(
                                    regexp_replace(
                                        regexp_replace(
                                            regexp_replace(
                                                value, '\(view spoiler\)\s*\[.*?\(hide spoiler\)\]', ' ', 'gs'
                                            ),
                                            '<(script|style)\b.*?</(script|style)\s*>', ' ', 'gis'
                                        ),
                                        '</?[a-zA-Z][^<>]*>|<!--.*?-->', ' ', 'gs'
                                    )
                                ),
                                '\b(https?://|www\.)\S+', ' ', 'gi'
                            ),
                            '[\x{200B}\x{200C}\x{2060}\x{FEFF}\x{00AD}]', '', 'g'
                        ),
                        '[\x{0000}-\x{001F}\x{007F}-\x{009F}]+', ' ', 'g'
                    )
                ),
                '[\s\p{Z}]+', ' ', 'g'
            )
        ),
        ''
    );

-- UCSD spells English eng, en-US, en-GB, en-CA, en, en-IN (enm is Middle English). Null where unknown.
CREATE OR REPLACE TEMP MACRO language_of(code) AS
    CASE
        WHEN lower(code) IN ('eng', 'en') OR lower(code) LIKE 'en-%' THEN 'eng'
        WHEN code IN ('', '--') THEN NULL
        ELSE lower(code)
    END;

-- 'The Hobbit. ' from 'The Hobbit', 'Who goes there? ' from 'Who goes there?': parts that read as sentences.
CREATE OR REPLACE TEMP MACRO as_sentence(value) AS
    CASE WHEN regexp_matches(value, '[.!?…]["''”’)]*$') THEN value ELSE value || '.' END;

-- The recipes: how the text of a work is put together. A missing part is left out, never the whole row.

-- title-first: what a reader would say first comes first, because encoders cut at the end.
CREATE OR REPLACE TEMP MACRO text_title_first(title, author, description, reviews) AS
    concat_ws(' ', as_sentence(concat_ws(' by ', title, author)), description, nullif(array_to_string(reviews, ' '), ''));

-- seed: the sentence of the original system, kept as the baseline (one review first, no separators of sense).
CREATE OR REPLACE TEMP MACRO text_seed(title, author, description, reviews) AS
    concat_ws(' ', reviews[1], title, description, author);
