-- Macros that make titles, names and ISBNs of two catalogues comparable. Variables, from rules.toml: derived_titles,
-- plain_subtitles, common_titles, articles.

-- Lower case, without accents.
CREATE OR REPLACE TEMP MACRO plainly(value) AS strip_accents(lower(value));

-- Its letters and digits: what is compared.
CREATE OR REPLACE TEMP MACRO letters_of(value) AS regexp_replace(plainly(replace(value, '&', ' and ')), '[^\p{L}\p{M}\p{N}]+', ' ', 'g');
CREATE OR REPLACE TEMP MACRO title_key_of(value) AS
    nullif(replace(regexp_replace(trim(letters_of(value)), getvariable('articles'), ''), ' ', ''), '');

-- A title without the series that Goodreads puts behind it: 'The Hobbit (Middle-earth, #0)'.
CREATE OR REPLACE TEMP MACRO without_series(title) AS
    trim(regexp_replace(title, '\s*\([^()]*#[^()]*\)\s*$', ''));

-- 'Naruto (Naruto, #2)' is no Naruto: a series of the title's own name says which volume it is.
CREATE OR REPLACE TEMP MACRO own_volume(title) AS
    CASE
        WHEN title_key_of(regexp_extract(title, '\(([^()]*?),?\s*#[^()]*\)\s*$', 1)) = title_key_of(without_series(title))
            THEN nullif(nullif(regexp_extract(title, '#\s*([0-9.]+)[^()]*\)\s*$', 1), ''), '1')
    END;

-- What stands before and behind the first colon or dash. A bracket behind it says which edition it is.
CREATE OR REPLACE TEMP MACRO without_edition(title) AS
    trim(regexp_replace(without_series(title), '\s*[\[(][^()\[\]]*(?i:edition|ed\.|penguin|classics|paperback|hardcover|print|unabridged)[^()\[\]]*[\])]\s*$', ''));
CREATE OR REPLACE TEMP MACRO before_colon(title) AS
    trim(regexp_replace(without_edition(title), '(?:\s*:\s|\s[-–—]\s|;\s).*$', ''));
CREATE OR REPLACE TEMP MACRO behind_colon(title) AS
    trim(regexp_extract(without_edition(title), '(?:\s*:\s|\s[-–—]\s|;\s)(.*)$', 1));

-- The numbers of volumes that a title names.
CREATE OR REPLACE TEMP MACRO volumes_of(title) AS
    list_distinct([
        ltrim(one, '0')
        FOR one IN regexp_extract_all(
            plainly(title), '(?:#|\bvol(?:ume|\.)?|\bbook|\bpart|\bband|\bbd\.?|\btome|\bteil|\bvolumen|\bno\.?|\bissue|\bepisode)\s*([0-9]+)', 1
        )
    ]);

-- A person: the words of the name, the family name last ('Tolkien, J. R. R.'), without titles and 'Jr.'.
CREATE OR REPLACE TEMP MACRO words_of_name(value) AS
    list_filter(
        string_split(
            trim(regexp_replace(
                letters_of(regexp_replace(
                    CASE
                        WHEN regexp_matches(value, '^[^,]+,\s*[^,]+$') AND NOT regexp_matches(value, '(?i),\s*(?:jr|sr|ph\.?d|m\.?d|ii|iii|iv)\b')
                            THEN regexp_replace(value, '^([^,]+),\s*([^,]+)$', '\2 \1')
                        ELSE value
                    END,
                    '\([^()]*\)', ' ', 'g'
                )),
                '\b(?:jr|sr|phd|md|dr|ii|iii|iv)\b', ' ', 'g'
            )),
            ' '
        ),
        lambda word: word <> ''
    );

-- Whether two people may be one: the same words in any order; or one family name, and first names of which one is the
-- beginning or the initial of the other.
CREATE OR REPLACE TEMP MACRO may_be_one_person(one, other) AS
    list_sort(one) = list_sort(other)
    OR (
        one[-1] = other[-1] AND len(one) > 1 AND len(other) > 1
        AND (
            one[1] = other[1]
            OR (least(length(one[1]), length(other[1])) <> 2 AND (starts_with(one[1], other[1]) OR starts_with(other[1], one[1])))
        )
    );

-- An ISBN-13 with a right check digit, also of an ISBN-10 and of one whose zeros were cut off; null for anything else,
-- and for rows of one digit, which stand for none.
CREATE OR REPLACE TEMP MACRO isbn_sum(digits) AS
    list_sum([CAST(digits[place] AS INTEGER) * CASE WHEN place % 2 = 1 THEN 1 ELSE 3 END FOR place IN range(1, length(digits) + 1)]);
CREATE OR REPLACE TEMP MACRO isbn_sum_of_ten(ten) AS
    list_sum([CASE WHEN ten[place] = 'X' THEN 10 ELSE CAST(ten[place] AS INTEGER) END * (11 - place) FOR place IN range(1, 11)]);
CREATE OR REPLACE TEMP MACRO isbn_of_compact(compact) AS
    CASE
        WHEN regexp_full_match(compact, '97[89][0-9]{10}') AND isbn_sum(compact) % 10 = 0 THEN compact
        WHEN
            regexp_full_match(compact, '[0-9]{7,9}[0-9X]') AND isbn_sum_of_ten(lpad(compact, 10, '0')) % 11 = 0
            AND length(replace(left(compact, 9), compact[1], '')) > 0
            THEN '978' || left(lpad(compact, 10, '0'), 9) || ((10 - isbn_sum('978' || left(lpad(compact, 10, '0'), 9)) % 10) % 10)::VARCHAR
    END;
CREATE OR REPLACE TEMP MACRO isbn13_of(value) AS isbn_of_compact(regexp_replace(upper(value), '[^0-9A-Z]+', '', 'g'));
