-- Macros that say in which language a text is. guess_language is a function of ours (sources/languages.py).

-- Whether a text is English beyond doubt: at its beginning three of these words, which no other language with the
-- letters of ASCII has, 'the' and another one among them, and no letter outside ASCII, so that a French blurb that
-- quotes an English title is none. Found in a microsecond, by all threads at once; the detectors take 8 to 60, and one
-- thread at a time. (Not among the words: 'but', a goal in French, and 'have', a garden in Danish.)
CREATE OR REPLACE TEMP MACRO is_plainly_english(value) AS
    regexp_matches(left(value, 300), '(?is)(?:\b(?:the|and|that|with|this|which|would|they|from)\b.*){3}')
    AND regexp_matches(left(value, 300), '(?i)\bthe\b')
    AND regexp_matches(left(value, 300), '(?i)\b(?:and|that|with|this|which|would|they|from)\b')
    AND NOT regexp_matches(left(value, 300), '[^\x00-\x{BF}\x{2000}-\x{206F}]');

-- The language of a text, null without a sure guess. Only what is looked at crosses into Python.
CREATE OR REPLACE TEMP MACRO detect_language(value) AS guess_language(left(value, LONGEST));

-- The language that title and text of a book are in, null where they do not say clearly. English is told by the text alone:
-- 'The Lion, the Witch and the Wardrobe' is the title of translations, too.
CREATE OR REPLACE TEMP MACRO language_of(title, value) AS
    CASE
        WHEN is_plainly_english(value) THEN 'en'
        ELSE detect_language(left(concat_ws('. ', title, value), 400))
    END;
