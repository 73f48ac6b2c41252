-- joined_works: one row per work, all editions joined; and which filter leaves it out, null if none.
-- Inputs: editions, works (Goodreads' own; may be empty). Variables: min_ratings, left_out.
-- shown_book_id: the representative edition. described_book_id: the most preferred one with a description, in a
-- language that the filter lets through, or null. year_of: what the year of publication is that of: 'work' (Goodreads'
-- own), 'edition' (the representative one) or 'earliest edition'.
-- Dropped: nothing. Filters in this order: left_out, language, min_ratings; a work counts for the first that leaves it out.
CREATE TEMP TABLE joined_works AS
SELECT
    e.*,
    coalesce(w.original_publication_year, e.first_year) AS publication_year,
    CASE
        WHEN w.original_publication_year IS NOT NULL AND w.year_is_uncertain THEN 'work, uncertain'
        WHEN w.original_publication_year IS NOT NULL THEN 'work'
        WHEN e.shown_year = e.first_year THEN 'edition'
        WHEN e.first_year IS NOT NULL THEN 'earliest edition'
    END AS year_of,
    CASE
        WHEN list_contains(getvariable('left_out'), work_id) THEN 'left_out'
        WHEN NOT in_languages THEN 'language'
        WHEN e.ratings_count < getvariable('min_ratings') THEN 'min_ratings'
    END AS left_out_by
FROM (
    SELECT
        work_id,
        any_value(book_id) FILTER (preference = 1) AS shown_book_id,
        arg_min(book_id, preference) FILTER (described AND in_languages) AS described_book_id,
        any_value("language") FILTER (preference = 1) AS "language",
        bool_or(in_languages) FILTER (preference = 1) AS in_languages,
        count(*) AS editions,
        sum(ratings_count)::BIGINT AS ratings_count,
        sum(text_reviews_count)::BIGINT AS review_count,
        round(
            -- Exact, so that the order of the rows does not show.
            sum(average_rating::DECIMAL(5, 2) * ratings_count::DECIMAL(18, 0))::DOUBLE / nullif(sum(ratings_count) FILTER (average_rating IS NOT NULL), 0), 2
        ) AS average_rating,
        any_value(publication_year) FILTER (preference = 1) AS shown_year,
        min(publication_year) AS first_year
    FROM editions
    GROUP BY work_id
) AS e
LEFT JOIN works AS w USING (work_id)
