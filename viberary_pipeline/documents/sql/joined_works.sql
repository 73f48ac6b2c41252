-- joined_works: one row per work, all editions joined; and which filter leaves it out, null if none.
-- Inputs: editions, known_works (may be empty). Variables: min_ratings, left_out.
-- shown_book_id: the representative edition. described_book_id: the most preferred one with a description, in a
-- language that the filter lets through, or null. year_of: what the year of publication is that of: 'work' (Goodreads'
-- own), 'edition' (the representative one) or 'earliest edition'. editions: each once, where both sources have it.
-- origin: by which sources each of these is known; field_sources of documents is made of it.
-- Dropped: nothing. Filters in this order: left_out, language, min_ratings; a work counts for the first that leaves it out.
CREATE TEMP TABLE joined_works AS
SELECT
    e.*,
    coalesce(w.first_published.year, e.first_year) AS publication_year,
    coalesce(w.first_published.source, e.source_of_first_year) AS source_of_year,
    CASE
        WHEN w.first_published.is_uncertain THEN 'work, uncertain'
        WHEN w.first_published IS NOT NULL THEN 'work'
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
        count(*) FILTER (NOT repeats) AS editions,
        sum(ratings_count)::BIGINT AS ratings_count,
        sum(text_reviews_count)::BIGINT AS review_count,
        round(
            -- Exact, so that the order of the rows does not show.
            sum(average_rating::DECIMAL(5, 2) * ratings_count::DECIMAL(18, 0))::DOUBLE / nullif(sum(ratings_count) FILTER (average_rating IS NOT NULL), 0), 2
        ) AS average_rating,
        any_value(publication_year) FILTER (preference = 1) AS shown_year,
        min(publication_year) AS first_year,
        any_value(open_library_work_id) AS open_library_work_id,
        any_value(source) FILTER (preference = 1) AS shown_source,
        arg_min(source, preference) FILTER (described AND in_languages) AS described_source,
        arg_min(source, {'year': publication_year, 'preference': preference}) FILTER (publication_year IS NOT NULL) AS source_of_first_year,
        list_sort(list(DISTINCT source)) AS sources,
        list_sort(list(DISTINCT source) FILTER (ratings_count > 0)) AS rated_in,
        list_sort(list(DISTINCT source) FILTER (text_reviews_count > 0)) AS read_in,
        list_sort(list(DISTINCT source) FILTER (shelved)) AS shelved_in
    FROM editions
    GROUP BY work_id
) AS e
LEFT JOIN known_works AS w USING (work_id)
