-- authors: one row per author of a work that is worth indexing, and per contributor to one of its editions, with the columns
-- of contracts/authors.json. Inputs: ol_authors, author_links, ol_editions, unit_editions, worthy.
-- Dropped: all other authors; those without a name.
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
UNION ALL
SELECT
    min(file), arg_min(line, {'file': file, 'line': line}), contributor_id("name"), "name", NULL, NULL, NULL, NULL
FROM (
    SELECT o.file, o.line, unnest(o.contributors)."name" AS "name"
    FROM ol_editions AS o
    JOIN unit_editions AS e USING (edition_id)
    JOIN worthy AS y ON y.unit = e.unit AND y.left_out IS NULL
    WHERE len(o.contributors) > 0
)
GROUP BY "name"
