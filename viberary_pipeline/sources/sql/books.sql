-- books: the typed books, and the language of each: the one that its code gives; where that names none, the one that
-- title and description are in, if they are clear enough.
SELECT
    *,
    CASE WHEN language_given IS NULL THEN language_of(title, description) END AS language_detected
FROM (SELECT *, normalise_language(language_code) AS language_given FROM typed)
