-- documents: one row per work, in the order of work_id: the works numbered from $first to below $end.
-- Inputs: wanted_works, book_texts, credits, genre_lists, series_lists, other_names, edition_lists, shelf_lists,
-- chosen_reviews, review_texts.
-- Variables: most_characters, keep_thin, reviews_per_work; the macro text_of is the recipe.
-- The text of a work of Open Library says its shelves by the alphabet. Their order by rarity depends on all other works, so
-- that each dump would change texts of works that are the same; and it is worth nothing to the search.
-- thin: neither a description nor a review. Dropped: thin works, unless they are kept (the difference of the rows).
-- The works come in portions, because a list of texts must fit in memory; the one wide sort is that of a portion.
WITH books_of AS (
    SELECT
        work_no,
        any_value(title) FILTER (shown) AS title,
        any_value(link) FILTER (shown) AS link,
        coalesce(any_value(image_url) FILTER (shown), any_value(image_url)) AS image_url,
        any_value(image_url) FILTER (shown) IS NULL AS image_of_described,
        any_value(description) AS description
    FROM book_texts
    WHERE portion = $portion
    GROUP BY work_no
),
reviews_of AS (
    SELECT t.work_no, arg_min(t.review, c.final_rank, greatest(getvariable('reviews_per_work'), 1)) AS reviews
    FROM review_texts AS t
    JOIN chosen_reviews AS c ON c.work_no = t.work_no AND c.candidate_rank = t.candidate_rank
    WHERE t.portion = $portion AND c.work_no >= $first AND c.work_no < $end
    GROUP BY t.work_no
),
parts AS (
    SELECT
        w.*, b.title, b.link, b.image_url, b.image_of_described, b.description, c.author, c.main_authors, c.authors, coalesce(c.contributors, []) AS contributors,
        e.edition_list,
        coalesce(g.genres, []) AS genres, coalesce(s.series, []) AS series,
        coalesce(o.other_titles, []) AS other_titles, coalesce(o.isbns, []) AS isbns,
        coalesce(o.edition_ids, []) AS edition_ids,
        coalesce(h.shelves, []) AS shelves,
        coalesce(r.reviews, [])[:getvariable('reviews_per_work')] AS reviews,
        b.description IS NULL AND r.reviews IS NULL AS thin
    FROM wanted_works AS w
    JOIN books_of AS b USING (work_no)
    LEFT JOIN credits AS c USING (work_no)
    LEFT JOIN genre_lists AS g USING (work_no)
    LEFT JOIN series_lists AS s USING (work_no)
    LEFT JOIN other_names AS o USING (work_no)
    JOIN edition_lists AS e USING (work_no)
    LEFT JOIN shelf_lists AS h USING (work_no)
    LEFT JOIN reviews_of AS r USING (work_no)
    WHERE w.work_no >= $first AND w.work_no < $end
    ORDER BY work_no
),
texts AS (
    SELECT
        *,
        left(
            text_of(
                title, main_authors, description, genres, series,
                CASE WHEN source_of(work_id) = 'openlibrary' THEN list_sort(shelves) ELSE shelves END,
                reviews
            ),
            getvariable('most_characters')
        ) AS "text"
    FROM parts
)
SELECT
    work_id,
    shown_book_id AS book_id,
    title,
    coalesce(author, '') AS author,
    coalesce(authors, '') AS authors,
    contributors,
    coalesce(description, '') AS description,
    coalesce(link, '') AS link,
    coalesce(image_url, '') AS image_url,
    "language",
    publication_year,
    year_of,
    average_rating,
    ratings_count,
    review_count,
    editions,
    edition_list,
    len(reviews)::INTEGER AS reviews_used,
    thin,
    genres,
    series,
    other_titles,
    isbns,
    edition_ids,
    shelves,
    reviews,
    "text",
    sha256("text") AS text_hash,
    -- Of what the work has; a field without an entry is empty.
    map_from_entries(list_filter(
        [
            {'field': 'title', 'sources': [shown_source]},
            {'field': 'authors', 'sources': CASE WHEN authors <> '' THEN [shown_source] END},
            {'field': 'description', 'sources': CASE WHEN description IS NOT NULL THEN [described_source] END},
            {'field': 'link', 'sources': CASE WHEN link IS NOT NULL THEN [shown_source] END},
            {
                'field': 'image_url',
                'sources': CASE WHEN image_url IS NOT NULL THEN [CASE WHEN image_of_described THEN described_source ELSE shown_source END] END
            },
            {'field': 'language', 'sources': CASE WHEN "language" IS NOT NULL THEN [shown_source] END},
            {'field': 'publication_year', 'sources': CASE WHEN publication_year IS NOT NULL THEN [source_of_year] END},
            {'field': 'ratings_count', 'sources': rated_in},
            {'field': 'review_count', 'sources': read_in},
            {'field': 'editions', 'sources': sources},
            {'field': 'genres', 'sources': CASE WHEN len(genres) > 0 THEN ['ucsd'] END},
            {'field': 'series', 'sources': CASE WHEN len(series) > 0 THEN ['ucsd'] END},
            {'field': 'shelves', 'sources': CASE WHEN len(shelves) > 0 THEN shelved_in END},
            {'field': 'reviews', 'sources': CASE WHEN len(reviews) > 0 THEN ['ucsd'] END}
        ],
        lambda one: one.sources IS NOT NULL
    )) AS field_sources
FROM texts
WHERE getvariable('keep_thin') OR NOT thin
