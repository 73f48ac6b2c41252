-- Grain: one row: `rows`, `fill` (column to how many rows have a value; an empty text or list has none),
-- `spectra` (distribution to {value: rows}), `numbers` and `examples`. Nothing is dropped; rows without a value
-- count in none.
-- Inputs: the view `documents`.
WITH twins AS MATERIALIZED (  -- works that share title and first author, by hash: neither need be short
    SELECT hash(lower(title), lower(author)) AS twin, count(*) AS works
    FROM documents
    WHERE author <> ''
    GROUP BY twin
    HAVING works > 1
),

shown AS (
    SELECT min(title) AS title, min(author) AS author, any_value(works) AS works
    FROM documents
    JOIN (FROM twins ORDER BY works DESC, twin LIMIT 5) ON hash(lower(title), lower(author)) = twin
    GROUP BY twin
)

SELECT
    count(*) AS "rows",
    {
        'work_id': count(work_id), 'book_id': count(book_id),
        'title': count(nullif(title, '')), 'author': count(nullif(author, '')),
        'description': count(nullif(description, '')), 'link': count(nullif(link, '')),
        'language': count(language), 'publication_year': count(publication_year),
        'average_rating': count(average_rating), 'ratings_count': count(ratings_count),
        'genres': count(*) FILTER (len(genres) > 0), 'series': count(*) FILTER (len(series) > 0),
        'shelves': count(*) FILTER (len(shelves) > 0),
        'text': count(nullif("text", '')), 'reviews_used': count(*) FILTER (reviews_used > 0)
    } AS fill,
    {
        'languages': histogram(language),
        'text_length': histogram(length("text")),
        'genres': (
            SELECT histogram(genre)
            FROM (SELECT unnest(genres) AS genre FROM documents)
        ),
        'shelves_per_work': histogram(len(shelves)),
        'editions_per_work': histogram(editions),
        'reviews_per_work': histogram(review_count)
    } AS spectra,
    {
        'thin': count(*) FILTER (thin),
        'with_review': count(*) FILTER (review_count > 0),
        'same_title_author': (SELECT coalesce(sum(works), 0)::BIGINT FROM twins)
    } AS numbers,
    {
        'same_title_author': (
            SELECT list({'title': title, 'author': author, 'works': works} ORDER BY works DESC, title) FROM shown
        )
    } AS examples
FROM documents
