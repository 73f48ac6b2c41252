-- books: the typed books, and the language of each: the one that its code gives; where that names none, the one that
-- title and description are in, if they are clear enough.
SELECT
    *,
    CASE
        WHEN language_given IS NOT NULL THEN NULL
        -- Of the description alone: 'The Lion, the Witch and the Wardrobe' is the title of translations, too.
        WHEN is_plainly_english(description) THEN 'en'
        ELSE detect_language(left(concat_ws('. ', title, description), 400))
    END AS language_detected
FROM (SELECT *, normalise_language(language_code) AS language_given FROM typed)
