-- Macros that make a text readable: clean_text(value), and the steps that it is made of.
-- Grain: one text in, one text or null out. resolve_entities is a function of ours (sources/cleaning.py).
-- Dropped: markup, comments, scripts and styles with what they hold, addresses, spoilers, control and invisible
-- characters, white space beyond one blank. Nothing else: '<3' and 'a < b and c > d' stay.
-- Speed: nearly every text is plain, and one pass of a regular expression over 900 characters takes 3 microseconds,
-- all steps 45. So one pass finds the plain texts, one of the others those that need care, and the rest has only its
-- white space folded.

-- Whether a text holds more than letters, punctuation and white space. The class lists characters that stay as they
-- are: each is its own NFC, joins with no character before it, and is seen (or is white space that fold_space
-- folds). It may leave out characters that would do, and must hold none that would not: a test tries them all.
CREATE OR REPLACE TEMP MACRO needs_care(value) AS
    regexp_matches(
        value,
        '<[a-zA-Z/!?]|&[#a-zA-Z]|://|(?i:www\.)|\(view spoiler|\(hide spoiler|'
        '[^\x00-\x{AC}\x{AE}-\x{2FF}\x{1E00}-\x{1EFF}'                              -- Latin
        '\x{370}-\x{373}\x{375}-\x{377}\x{37A}-\x{37D}\x{384}-\x{386}\x{388}-\x{3FF}' -- Greek
        '\x{400}-\x{482}\x{48A}-\x{58A}\x{5D0}-\x{5EA}'                              -- Cyrillic, Armenian, Hebrew
        '\x{60C}\x{61B}\x{61F}-\x{64A}\x{660}-\x{66F}\x{671}-\x{6D3}\x{6F0}-\x{6F9}' -- Arabic
        '\x{2002}-\x{200A}\x{2010}-\x{2029}\x{202F}-\x{205F}\x{2070}-\x{2125}'       -- blanks, punctuation
        '\x{212C}-\x{2328}\x{2460}-\x{27FF}\x{FE0F}\x{FFFD}\x{1F300}-\x{1FAFF}'      -- signs, emoji
        '\x{3000}-\x{3029}\x{3041}-\x{3096}\x{309B}-\x{30FF}\x{3400}-\x{9FFF}'       -- kana, CJK
        '\x{AC00}-\x{D7A3}\x{FF01}-\x{FF9F}]'                                        -- Hangul, wide and narrow forms
    );

-- Every run of white space and control characters as one blank. A single blank never matches: most are single.
CREATE OR REPLACE TEMP MACRO fold_space(value) AS
    regexp_replace(
        value,
        '[\x00- \x7F-\xA0\p{Z}]{2,}'
        '|[\x00-\x1F\x7F-\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]',
        ' ', 'g'
    );

-- Without what HTML does not show. Inline elements leave nothing behind ('<b>O</b>nce', '<i>Emma</i>, a novel'), all
-- others a blank ('one<br>two'), a script or style nothing of what it holds.
CREATE OR REPLACE TEMP MACRO without_markup(value) AS
    regexp_replace(
        regexp_replace(
            regexp_replace(
                value, '<!--.*?-->|<(?:(?i:script|style))\b[^>]*>.*?</(?:(?i:script|style))\s*>', ' ', 'gs'
            ),
            '</?(?i:a|abbr|acronym|b|bdi|bdo|big|cite|code|del|dfn|em|font|i|ins|kbd|mark|q|s|samp|small|span|strike'
            '|strong|sub|sup|time|tt|u|var|wbr)(?:[\s/][^<>]*)?>',
            '', 'g'
        ),
        '<(?:/?[a-zA-Z]|[!?])[^<>]*>', ' ', 'g'
    );

-- A script or style that is never closed goes on to the end, as in a browser. Not so one that shows only once entities
-- are resolved ('&lt;script&gt;'): a book about HTML may name the tag.
CREATE OR REPLACE TEMP MACRO without_open_script(value) AS
    regexp_replace(
        value, '(<(?:(?i:script|style))\b[^>]*>.*?</(?:(?i:script|style))\s*>)|<(?:(?i:script|style))\b[^>]*>.*\z', '\1', 'gs'
    );

-- Without invisible characters: Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt: zero-width ones,
-- soft hyphens, marks of direction, byte order marks, tags) but for the variation selectors, which choose how a
-- character looks; the marks of annotations (U+FFF9 to U+FFFB). What has no meaning outside the file that it comes
-- from becomes a blank: private use (bullets of symbol fonts) and the place of an object (U+FFFC).
CREATE OR REPLACE TEMP MACRO without_invisible(value) AS
    regexp_replace(
        regexp_replace(
            value,
            '[\x{AD}\x{34F}\x{61C}\x{115F}\x{1160}\x{17B4}\x{17B5}\x{180B}-\x{180F}\x{200B}-\x{200F}\x{202A}-\x{202E}'
            '\x{2060}-\x{206F}\x{3164}\x{FEFF}\x{FFA0}\x{FFF0}-\x{FFFB}\x{1BCA0}-\x{1BCA3}\x{1D173}-\x{1D17A}'
            '\x{E0000}-\x{E00FF}\x{E01F0}-\x{E0FFF}]+',
            '', 'g'
        ),
        '[\p{Co}\x{FFFC}]', ' ', 'g'
    );

-- Without '(view spoiler)[...(hide spoiler)]'. The two signs become single characters (which fold_space has removed
-- from the text before), so that one within another pairs up, twice; one that is never closed goes on to the end.
CREATE OR REPLACE TEMP MACRO without_spoilers(value) AS
    regexp_replace(
        regexp_replace(
            regexp_replace(
                regexp_replace(value, '\(view spoiler\)\s*\[', chr(1), 'g'),
                '\(hide spoiler\)\s*\]', chr(2), 'g'
            ),
            '\x01[^\x01\x02]*(?:\x01[^\x01\x02]*(?:\x01[^\x01\x02]*\x02[^\x01\x02]*)*\x02[^\x01\x02]*)*\x02', ' ', 'g'
        ),
        '\x01.*|\x02', ' ', 'gs'
    );

CREATE OR REPLACE TEMP MACRO without_addresses(value) AS
    regexp_replace(value, '(?i:(?:https?|ftp)://|\bwww\.)[^ ]*', ' ', 'g');

-- All steps, for the few texts that need them. Markup goes before entities are resolved (an attribute may hold them)
-- and after it ('&lt;b&gt;' is markup that was escaped once too often). The last step takes what only looks like a
-- tag by now, by a browser's rule: after it no '<' and letter has a '>' behind it. NFC comes after fold_space,
-- because nfc_normalize ends a text at a NUL.
CREATE OR REPLACE TEMP MACRO with_care(value) AS
    fold_space(
        regexp_replace(
            without_addresses(
                without_spoilers(
                    without_markup(
                        nfc_normalize(
                            fold_space(
                                without_invisible(
                                    CASE
                                        WHEN contains(value, '&')
                                            THEN resolve_entities(without_markup(without_open_script(value)))
                                        ELSE without_markup(without_open_script(value))
                                    END
                                )
                            )
                        )
                    )
                )
            ),
            '</?[a-zA-Z][^>]*>', ' ', 'g'
        )
    );

-- Whether nothing is to be done but to take out line feeds, single or in pairs. Nearly all texts are so, and this one
-- pass is all that they cost. The class is that of needs_care without white space and control characters.
CREATE OR REPLACE TEMP MACRO is_plain(value) AS
    NOT regexp_matches(
        value,
        ' [\n ]|\n |\n\n\n|^[\n ]|[\n ]$|<[a-zA-Z/!?]|&[#a-zA-Z]|://|[wW]{3}\.|\((?:view|hide) spoiler|'
        '[^\n -~\x{A1}-\x{AC}\x{AE}-\x{2FF}\x{1E00}-\x{1EFF}'
        '\x{370}-\x{373}\x{375}-\x{377}\x{37A}-\x{37D}\x{384}-\x{386}\x{388}-\x{3FF}'
        '\x{400}-\x{482}\x{48A}-\x{58A}\x{5D0}-\x{5EA}'
        '\x{60C}\x{61B}\x{61F}-\x{64A}\x{660}-\x{66F}\x{671}-\x{6D3}\x{6F0}-\x{6F9}'
        '\x{2010}-\x{2027}\x{2030}-\x{205E}\x{2070}-\x{2125}'
        '\x{212C}-\x{2328}\x{2460}-\x{27FF}\x{FE0F}\x{FFFD}\x{1F300}-\x{1FAFF}'
        '\x{3001}-\x{3029}\x{3041}-\x{3096}\x{309B}-\x{30FF}\x{3400}-\x{9FFF}'
        '\x{AC00}-\x{D7A3}\x{FF01}-\x{FF9F}]'
    );

-- nullif(value, '') names the value twice, so that DuckDB plans a long expression twice, and within a CASE does it twice.
CREATE OR REPLACE TEMP MACRO null_if_empty(value) AS regexp_extract_all(value, '(?s).+')[1];

-- Readable text, in NFC, with single blanks and none at its ends; null where nothing is left.
CREATE OR REPLACE TEMP MACRO clean_text(value) AS
    CASE
        WHEN is_plain(value) THEN
            CASE
                -- replace() takes ten times as long (DuckDB 1.5).
                WHEN contains(value, E'\n') THEN regexp_replace(value, '\n\n?', ' ', 'g')
                ELSE nullif(value, '')
            END
        WHEN needs_care(value) THEN null_if_empty(trim(with_care(value)))
        ELSE null_if_empty(trim(fold_space(value)))
    END;
