-- Macros that say in which language a text is. guess_language is a function of ours (catalogue/languages.py).

-- Whether a text is English beyond doubt: three of these words at its beginning. Found in a microsecond, by all
-- threads at once; the detectors take 8 to 60, and one thread at a time. Of 60,932 synthetic descriptions that it
-- took for English, they took 10 for something else; of 10,587 in ten other languages it took 6, which quote some.
CREATE OR REPLACE TEMP MACRO is_plainly_english(value) AS
    regexp_matches(left(value, 300), '(?is)(?:\b(?:the|and|that|with|this|which|would|they|from|have|but)\b.*){3}');

-- The language of a text, null without a sure guess. Only what is looked at crosses into Python.
CREATE OR REPLACE TEMP MACRO detect_language(value) AS guess_language(left(value, LONGEST));
