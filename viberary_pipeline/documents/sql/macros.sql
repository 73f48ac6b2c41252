-- Macros of the documents stage. clean_text, detect_language and is_plainly_english are those of the catalogue
-- (sources/sql/text.sql and languages.sql).

-- What makes two titles the same: letters, digits and marks of the lower-cased title, without a series at its end
-- ('The Hobbit (Middle-earth, #0)'). Null where none is left.
CREATE OR REPLACE TEMP MACRO title_key(title) AS
    nullif(regexp_replace(lower(regexp_replace(title, '\s*\([^()]*#[^()]*\)\s*$', '')), '[^\p{L}\p{M}\p{N}]+', '', 'g'), '');

-- The first `most` characters, cut so that nothing is left half: no word, tag, entity or sign of a spoiler. A last
-- word of more than 40 characters stays: scripts without blanks have no other.
CREATE OR REPLACE TEMP MACRO cut_text(value, most) AS
    CASE
        WHEN length(value) <= most THEN value
        ELSE regexp_replace(
            left(value, most), '(?:<[a-zA-Z/!?][^<>]*|\(view[^()\[]{0,9}\)?\s*|&[#a-zA-Z0-9]{0,30}|\s\S{0,40})$', ''
        )
    END;

-- 'The Hobbit. ' from 'The Hobbit', 'Who goes there? ' from 'Who goes there?': parts that read as sentences.
CREATE OR REPLACE TEMP MACRO as_sentence(value) AS
    CASE WHEN regexp_matches(value, '[.!?…]["''”’)]*$') THEN value ELSE value || '.' END;

-- The recipes: how the text of a work is put together. A missing part is left out, never the whole row.
-- title: never null. author: the main authors' names, or null. description: or null. genres, series, shelves, reviews: lists
-- of texts, best first, maybe empty.

-- title-first: what a reader would say first comes first, because encoders cut at the end. The title stands there
-- twice: once, it drowns in the words of the reviews, and is found less often (benchmarks/recipes.py).
CREATE OR REPLACE TEMP MACRO text_title_first(title, author, description, genres, series, shelves, reviews) AS
    concat_ws(
        ' ',
        as_sentence(title),
        as_sentence(concat_ws(' by ', title, author)),
        description,
        nullif(array_to_string(reviews, ' '), '')
    );

-- title-shelves: the same, and readers' own words for what the book is like before the blurb. A work without shelves has
-- the very text of title-first. As a sentence it costs known titles less than a bare list (benchmarks/shelves.py).
CREATE OR REPLACE TEMP MACRO text_title_shelves(title, author, description, genres, series, shelves, reviews) AS
    concat_ws(
        ' ',
        as_sentence(title),
        as_sentence(concat_ws(' by ', title, author)),
        'Readers shelve it as: ' || nullif(array_to_string(shelves, ', '), '') || '.',
        description,
        nullif(array_to_string(reviews, ' '), '')
    );

-- seed: the sentence of the original system, kept as the baseline (one review first, no separators of sense).
CREATE OR REPLACE TEMP MACRO text_seed(title, author, description, genres, series, shelves, reviews) AS
    concat_ws(' ', reviews[1], title, description, author);

-- The plain form of a shelf's name: lower case, letters and digits, one hyphen between words ('Sci_Fi!': sci-fi), no
-- apostrophe ('Children's_lit', 'children-s-lit': childrens-lit). '' where nothing is left.
CREATE OR REPLACE TEMP MACRO plain_shelf(name) AS
    regexp_replace(
        trim(regexp_replace(regexp_replace(lower(nfc_normalize(name)), '[''’]', '', 'g'), '[^\p{L}\p{M}\p{N}]+', '-', 'g'), '-'),
        getvariable('shelf_possessives'), '\1s\2', 'g'
    );

-- The same for singular and plural and wherever hyphens stand (sci-fi, scifi; cozy-mystery, cozy-mysteries). It is a
-- key, not a word: zombie and zombies are 'zomby'.
CREATE OR REPLACE TEMP MACRO shelf_key(plain) AS
    replace(
        regexp_replace(
            regexp_replace(
                regexp_replace(regexp_replace(plain, '([lr])ves(-|$)', '\1f\2', 'g'), '(s|x|ch|sh)es(-|$)', '\1\2', 'g'),
                '([^siu-])s(-|$)', '\1\2', 'g'
            ),
            'ie(-|$)', 'y\1', 'g'
        ),
        '-', ''
    );

-- A plain name with each of its words in one spelling.
CREATE OR REPLACE TEMP MACRO spelled_shelf(plain) AS
    array_to_string(
        [
            coalesce(getvariable('shelf_words_spelled')[list_position(getvariable('shelf_words'), word)], word)
            FOR word IN string_split(plain, '-')
        ],
        '-'
    );
