-- Grain: one row: `rows`, `fill` (column to how many rows have a value), `spectra` (distribution to
-- {value: rows}) and `numbers`. Nothing is dropped; rows without a value count in none.
-- Inputs: the view `authors`.
SELECT
    count(*) AS "rows",
    {
        'author_id': count(author_id), 'name': count(name), 'average_rating': count(average_rating),
        'ratings_count': count(ratings_count), 'text_reviews_count': count(text_reviews_count)
    } AS fill,
    {
        -- 0 is Goodreads' average of an author whom nobody rated.
        'ratings': histogram(average_rating) FILTER (average_rating > 0)
    } AS spectra,
    {'names': approx_count_distinct(name)} AS numbers
FROM authors
