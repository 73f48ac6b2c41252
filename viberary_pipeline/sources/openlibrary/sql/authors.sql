-- authors: one row per author of a work that is worth indexing, with the columns of contracts/authors.json.
-- Inputs: ol_authors, author_links. Dropped: all other authors; those without a name.
SELECT
    file,
    line,
    author_id,
    coalesce("name", personal_name) AS "name",
    NULL::DOUBLE AS average_rating,
    NULL::BIGINT AS ratings_count,
    NULL::BIGINT AS text_reviews_count,
    nulled
FROM ol_authors
SEMI JOIN (SELECT DISTINCT unnest(authors).author_id AS author_id FROM author_links) AS wanted USING (author_id)
WHERE (kind IS NULL OR kind = 'author') AND coalesce("name", personal_name) IS NOT NULL
