-- books: one row per edition of a work that is worth indexing, with the columns of contracts/books.json.
-- Inputs: unit_editions, worthy, units, ol_works, ol_editions, readers, author_links, shelves.
-- A description is the work's, else the edition's, else the first sentence of either. The subjects of a work are the
-- shelves of its main edition, so that they count once. text_reviews_count is the number of readers who shelved or
-- rated the work by this edition; those who named no edition of it count for the main one.
-- The language is that of the record; else the one that title and description are in, if they are clear enough. The
-- work's description says so where the edition has the work's own title, or no edition of the work has a language: a
-- translation shares it.
-- A cover is the edition's, else the work's; of one that is gone its host says so, instead of sending an empty picture.
WITH typed AS (
    SELECT
        coalesce(o.file, w.file) AS file,
        coalesce(o.line, w.line) AS line,
        e.edition_id AS book_id,
        e.work_id,
        coalesce(o.title, w.title) AS bare_title,
        CASE WHEN o.title IS NOT NULL THEN o.subtitle ELSE w.subtitle END AS subtitle,
        coalesce(w.description, o.description, w.first_sentence, o.first_sentence) AS description,
        coalesce(
            o.description, o.first_sentence,
            CASE
                WHEN NOT y.in_a_language OR o.title IS NULL OR lower(o.title) = lower(w.title)
                    THEN coalesce(w.description, w.first_sentence)
            END
        ) AS own_text,
        nullif(o.languages[1], '') AS language_code,
        coalesce(o.covers[1], w.covers[1]) AS cover_id,
        o.contributors, o.isbn10s, o.isbn13s, o.goodreads_ids, o.asins, o.physical_format, o.publishers, o.publish_year, o.num_pages,
        u.unit, e.is_main, u.readers AS unit_readers, u.ratings AS unit_ratings, u.stars AS unit_stars,
        concat_ws(' ', o.nulled, CASE WHEN o.file IS NULL THEN w.nulled END) AS nulled
    FROM unit_editions AS e
    JOIN worthy AS y USING (unit)
    JOIN units AS u USING (unit)
    LEFT JOIN ol_works AS w ON w.work_id = e.work_id
    LEFT JOIN ol_editions AS o USING (edition_id)
    WHERE y.left_out IS NULL
),
named AS (
    SELECT
        *,
        CASE WHEN contains(lower(bare_title), lower(subtitle)) THEN bare_title ELSE concat_ws(': ', bare_title, subtitle) END AS title,
        normalise_language(language_code) AS language_given
    FROM typed
),
spoken AS (
    SELECT
        *,
        CASE WHEN language_given IS NULL THEN language_of(title, own_text) END AS language_detected
    FROM named
),
-- How many readers named an edition of the unit, and this one.
by_edition AS (
    SELECT unit, edition_id, shelved, ratings, stars FROM readers WHERE edition_id IS NOT NULL
),
by_unit AS (
    SELECT unit, sum(shelved)::BIGINT AS shelved, sum(ratings)::BIGINT AS ratings, sum(stars)::BIGINT AS stars
    FROM by_edition
    GROUP BY unit
),
read_by AS (
    SELECT
        s.*,
        coalesce(b.shelved, 0) + CASE WHEN s.is_main THEN s.unit_readers - coalesce(t.shelved, 0) ELSE 0 END AS readers,
        coalesce(b.ratings, 0) + CASE WHEN s.is_main THEN s.unit_ratings - coalesce(t.ratings, 0) ELSE 0 END AS ratings,
        coalesce(b.stars, 0) + CASE WHEN s.is_main THEN s.unit_stars - coalesce(t.stars, 0) ELSE 0 END AS stars
    FROM spoken AS s
    LEFT JOIN by_edition AS b ON b.unit = s.unit AND b.edition_id = s.book_id
    LEFT JOIN by_unit AS t ON t.unit = s.unit
)
SELECT
    r.file,
    r.line,
    r.book_id,
    r.work_id,
    r.title,
    r.bare_title AS title_without_series,
    r.description,
    r.language_code,
    coalesce(r.language_given, r.language_detected) AS "language",
    CASE WHEN r.language_given IS NOT NULL THEN 'given' WHEN r.language_detected IS NOT NULL THEN 'detected' END AS language_source,
    r.isbn10s[1] AS isbn,
    r.isbn13s[1] AS isbn13,
    coalesce(r.isbn10s[2:] || r.isbn13s[2:], [])::VARCHAR[] AS other_isbns,
    coalesce(r.goodreads_ids, [])::VARCHAR[] AS goodreads_ids,
    r.asins[1] AS asin,
    NULL::VARCHAR AS kindle_asin,
    r.physical_format AS format,
    r.publishers[1] AS publisher,
    CASE
        WHEN regexp_matches(r.physical_format, '(?i)e-?book|electronic|kindle|epub|pdf') THEN true
        WHEN r.physical_format IS NOT NULL THEN false
    END AS is_ebook,
    CASE WHEN r.publish_year BETWEEN 1 AND 2100 THEN r.publish_year END::INTEGER AS publication_year,
    NULL::INTEGER AS publication_month,
    NULL::INTEGER AS publication_day,
    r.num_pages,
    round(r.stars / nullif(r.ratings, 0), 2)::DOUBLE AS average_rating,
    r.ratings::BIGINT AS ratings_count,
    r.readers::BIGINT AS text_reviews_count,
    'https://openlibrary.org/' || CASE WHEN r.work_id IS NULL THEN 'books/' || r.book_id ELSE 'works/' || r.work_id END AS link,
    'https://covers.openlibrary.org/b/id/' || r.cover_id || '-M.jpg?default=false' AS image_url,
    (
        coalesce(a.authors, []) || [{'author_id': contributor_id(c."name"), 'role': c."role"} FOR c IN coalesce(r.contributors, [])]
    )::STRUCT(author_id VARCHAR, "role" VARCHAR)[] AS authors,
    []::VARCHAR[] AS series,
    []::VARCHAR[] AS similar_books,
    CASE WHEN r.is_main THEN coalesce(h.names, []) ELSE [] END::VARCHAR[] AS popular_shelves,
    CASE WHEN r.is_main THEN coalesce(h.weights, []) ELSE [] END::INTEGER[] AS shelf_counts,
    nullif(r.nulled, '') AS nulled
FROM read_by AS r
LEFT JOIN author_links AS a USING (unit)
LEFT JOIN shelves AS h USING (unit)
