-- documents: one row per work, in the order of work_id.
-- Inputs: books, authors, reviews (views over the Parquet files of those stages).
-- Parameters: $reviews_per_work, $reader_language, $most_characters, $most_title and $most_description (characters).
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
-- Of all editions of a work: the sums.
works AS (
    SELECT
        work_id,
        count(*) AS editions,
        sum(ratings_count)::BIGINT AS ratings_count,
        sum(text_reviews_count)::BIGINT AS review_count,
        round(sum(average_rating * ratings_count) / nullif(sum(ratings_count) FILTER (average_rating IS NOT NULL), 0), 2)
            AS average_rating,
        min(publication_year) AS publication_year
    FROM editions
    GROUP BY work_id
),
-- The description of a work: of its most preferred edition with one that says something. Only the first three
-- that are there are cleaned: cleaning is the dear part.
described AS (
    SELECT work_id, preference, description
    FROM editions
    WHERE description IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY work_id ORDER BY preference) <= 3
),
descriptions AS (
    SELECT work_id, arg_min(cleaned, preference) AS description
    FROM (SELECT work_id, preference, left(clean_text(description), $most_description) AS cleaned FROM described)
    WHERE cleaned IS NOT NULL
    GROUP BY work_id
),
-- Names of a representative edition's contributors, in the order of the file; main authors have no role.
-- An author listed twice counts where a name stands first, without a role before with one.
credits AS (
    SELECT e.work_id, c.position, left(coalesce(clean_text(a."name"), a."name"), $most_title) AS "name", c.author.role AS "role"
    FROM editions AS e,
        unnest(list_transform(e.authors, lambda x, i: {'author': x, 'position': i})) AS u(c)
    JOIN authors AS a ON a.author_id = c.author.author_id
    WHERE e.preference = 1
    QUALIFY row_number() OVER (PARTITION BY e.work_id, "name" ORDER BY "role" <> '', c.position) = 1
),
names AS (
    SELECT
        work_id,
        list("name" ORDER BY position) FILTER ("role" = '') AS main_authors,
        list("name" ORDER BY "role" <> '', position) AS all_authors
    FROM credits
    GROUP BY work_id
),
-- The best reviews of a work: most votes, then longest; a text counts once, as found and as cleaned, and one
-- below 40 characters not. Few more are cleaned than may be used.
distinct_reviews AS (
    SELECT e.work_id, r.review_id, r.review_text, coalesce(r.n_votes, 0) AS votes
    FROM reviews AS r
    JOIN editions AS e USING (book_id)
    WHERE length(r.review_text) >= 40
    QUALIFY row_number() OVER (PARTITION BY e.work_id, r.review_text ORDER BY r.n_votes DESC NULLS LAST, r.review_id) = 1
),
candidates AS (
    SELECT
        work_id, review_text,
        row_number() OVER (PARTITION BY work_id ORDER BY votes DESC, length(review_text) DESC, review_id) AS place
    FROM distinct_reviews
    QUALIFY place <= 2 * $reviews_per_work + 5
),
cleaned_reviews AS (
    SELECT work_id, min(place) AS place, review
    FROM (SELECT work_id, place, clean_text(review_text) AS review FROM candidates)
    WHERE length(review) >= 40
    GROUP BY work_id, review
),
best_reviews AS (
    SELECT work_id, list(review ORDER BY place) AS reviews
    FROM (
        SELECT * FROM cleaned_reviews
        QUALIFY row_number() OVER (PARTITION BY work_id ORDER BY place) <= $reviews_per_work
    )
    GROUP BY work_id
),
parts AS (
    SELECT
        w.work_id,
        e.book_id,
        -- A title that is nothing but markup stays as it is: a book must have one.
        left(coalesce(clean_text(e.title), e.title), $most_title) AS title,
        coalesce(n.main_authors[1], n.all_authors[1], '') AS author,
        coalesce(array_to_string(coalesce(n.main_authors, n.all_authors), ', '), '') AS authors,
        d.description,
        coalesce(e.link, '') AS link,
        e.language,
        w.publication_year,
        w.average_rating,
        w.ratings_count,
        w.review_count,
        w.editions,
        coalesce(b.reviews, []) AS reviews
    FROM works AS w
    JOIN editions AS e ON e.work_id = w.work_id AND e.preference = 1
    LEFT JOIN names AS n ON n.work_id = w.work_id
    LEFT JOIN descriptions AS d ON d.work_id = w.work_id
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
