-- Grain: one row per document: `label`, which names it among examples, and what its expectations look at. Nothing is
-- dropped.
-- Inputs: the views `documents` and `books`; the macro visible.
SELECT
    coalesce('work ' || work_id, 'book ' || book_id) AS label,
    work_id,
    book_id,
    coalesce(book_id IN (SELECT book_id FROM books WHERE book_id IS NOT NULL), false) AS book_is_known,
    left(visible(text), 100) AS text_start,
    length(text) AS text_length,
    text_hash,
    CASE WHEN regexp_full_match(text_hash, '[0-9a-f]{64}') THEN text_hash END AS well_formed_hash,
    text_hash = sha256(text) AS hash_matches,
    nullif(author, '') AS author,
    CASE WHEN author <> '' THEN lower(title || ' by ' || author) END AS title_and_author,
    "language",
    nullif(reviews_used, 0) AS positive_reviews_used,
    len(shelves) AS shelf_count,
    len(shelves) = list_unique(shelves)
    AND NOT regexp_matches(array_to_string(shelves, ', '), '\d|\bread\b(, |$)|\b(?:owned|kindle)\b') AS shelves_telling,
    thin
FROM documents
