-- authors: one row per author $first to $last - 1, a line of goodreads_book_authors.json.gz in `line`.
-- Inputs: variables. Most authors have few ratings; the first numbers, who write most, have many.
WITH counted AS (
    SELECT
        id,
        floor(3 + 60 / pow(1 - draw(id, 'ratings'), 0.9) + 4e5 / (id + 5)) AS ratings
    FROM range($first, $last) AS ids(id)
)

SELECT concat(
    '{"average_rating": "', printf('%.2f', least(5, greatest(0, 3.9 + 0.3 * normal(id, 'average')))),
    '", "author_id": "', author_id(id),
    '", "text_reviews_count": "', ceil(ratings / (6 + below(id, 'share', 12)))::BIGINT,
    '", "name": "', author_name(id),
    '", "ratings_count": "', ratings::BIGINT,
    '"}', chr(10)
) AS line
FROM counted
