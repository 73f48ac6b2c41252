-- documents: one row per work, in the order of work_id.
-- Inputs: books, authors, reviews (views over the Parquet files of those stages).
-- Parameters: $reviews_per_work, $reader_language, $most_characters.
-- A book without a work_id is a work of its own, named 'b' || book_id (work ids are digits).
-- Representative edition: in the reader's language first, then of unknown language, then any other; with a
-- description before without; most ratings; lowest book_id. Its title, author and link are shown.
-- Dropped: nothing. Reviews of unknown books and author ids without an author stay out (see exclusions.sql).
WITH editions AS (
    SELECT
        coalesce(work_id, 'b' || book_id) AS work_id,
        book_id, title, description, language_of(language_code) AS language, publication_year, link, authors,
        coalesce(ratings_count, 0) AS ratings_count,
        coalesce(text_reviews_count, 0) AS text_reviews_count,
        average_rating,
        row_number() OVER (
            PARTITION BY coalesce(work_id, 'b' || book_id)
            ORDER BY
                CASE WHEN language_of(language_code) = $reader_language THEN 0
                     WHEN language_of(language_code) IS NULL THEN 1 ELSE 2 END,
                description IS NULL,
                coalesce(ratings_count, 0) DESC,
                try_cast(book_id AS BIGINT), book_id
        ) AS preference
    FROM books
),
-- Of all editions of a work: the sums, and the description of the most preferred edition that has one.
works AS (
    SELECT
        work_id,
        count(*) AS editions,
        sum(ratings_count)::BIGINT AS ratings_count,
        sum(text_reviews_count)::BIGINT AS review_count,
        round(sum(average_rating * ratings_count) / nullif(sum(ratings_count) FILTER (average_rating IS NOT NULL), 0), 2)
            AS average_rating,
        min(publication_year) AS publication_year,
        arg_min(description, preference) AS description
    FROM editions
    GROUP BY work_id
),
-- Names of a representative edition's contributors, in the order of the file; main authors have no role.
credits AS (
    SELECT e.work_id, c.position, a."name", c.author.role AS "role"
    FROM editions AS e,
        unnest(list_transform(e.authors, lambda x, i: {'author': x, 'position': i})) AS u(c)
    JOIN authors AS a ON a.author_id = c.author.author_id
    WHERE e.preference = 1
),
names AS (
    SELECT
        work_id,
        list("name" ORDER BY position) FILTER ("role" = '') AS main_authors,
        list("name" ORDER BY "role" <> '', position) AS all_authors
    FROM credits
    GROUP BY work_id
),
-- The best reviews of a work: most votes, then longest; a text counts once, and one below 40 characters not.
-- Only as many as may be used are cleaned: cleaning is the dear part.
ranked_reviews AS (
    SELECT
        e.work_id, r.review_text,
        row_number() OVER (
            PARTITION BY e.work_id ORDER BY coalesce(r.n_votes, 0) DESC, length(r.review_text) DESC, r.review_id
        ) AS place
    FROM reviews AS r
    JOIN editions AS e USING (book_id)
    WHERE length(r.review_text) >= 40
    QUALIFY row_number() OVER (PARTITION BY e.work_id, r.review_text ORDER BY r.n_votes DESC NULLS LAST, r.review_id) = 1
),
best_reviews AS (
    SELECT work_id, list(clean_text(review_text) ORDER BY place) AS reviews
    FROM ranked_reviews
    WHERE place <= $reviews_per_work
    GROUP BY work_id
),
parts AS (
    SELECT
        w.work_id,
        e.book_id,
        -- A title that is nothing but markup stays as it is: a book must have one.
        coalesce(clean_text(e.title), e.title) AS title,
        coalesce(n.main_authors[1], n.all_authors[1], '') AS author,
        coalesce(array_to_string(coalesce(n.main_authors, n.all_authors), ', '), '') AS authors,
        clean_text(w.description) AS description,
        coalesce(e.link, '') AS link,
        e.language,
        w.publication_year,
        w.average_rating,
        w.ratings_count,
        w.review_count,
        w.editions,
        coalesce(list_filter(b.reviews, lambda r: r IS NOT NULL), []) AS reviews
    FROM works AS w
    JOIN editions AS e ON e.work_id = w.work_id AND e.preference = 1
    LEFT JOIN names AS n ON n.work_id = w.work_id
    LEFT JOIN best_reviews AS b ON b.work_id = w.work_id
),
texts AS (
    SELECT
        *,
        len(reviews)::INTEGER AS reviews_used,
        description IS NULL AND len(reviews) = 0 AS thin,
        left(text_of(title, nullif(authors, ''), description, reviews), $most_characters) AS "text"
    FROM parts
)
SELECT
    work_id, book_id, title, author, authors, coalesce(description, '') AS description, link, language,
    publication_year, average_rating, ratings_count, review_count, editions, reviews_used, thin, "text",
    sha256("text") AS text_hash
FROM texts
ORDER BY work_id
