-- works: one row per work $first to $last - 1, a line of goodreads_book_works.json.gz in `line`.
-- Inputs: titles, variables. The best book is the work's first edition; counts are Goodreads' own, as in UCSD's file.
WITH counted AS (
    SELECT
        id AS work,
        likeness(id) AS likeness,
        hero_name(likeness(id)) AS person,
        town_of(likeness(id)) AS place,
        first_offset(id + 1) - first_offset(id) AS editions,
        book_at(first_offset(id)) AS best_book,
        floor(expected_reviews(rank_of(book_at(first_offset(id)))) * (5 + 20 * draw(id, 'ratings')))::BIGINT AS ratings
    FROM range($first, $last) AS ids(id)
),

rated AS (
    SELECT
        *,
        (ratings * (0.25 + 0.2 * draw(work, 'fives')))::BIGINT AS fives,
        (ratings * 0.30)::BIGINT AS fours,
        (ratings * 0.17)::BIGINT AS threes,
        (ratings * 0.05)::BIGINT AS twos
    FROM counted
)

SELECT concat(
    '{"books_count": "', editions,
    '", "reviews_count": "', ratings * (2 + below(work, 'shelved', 4)) + 1,
    '", "original_publication_month": "', CASE WHEN chance(work, 'month', 0.55) THEN month_of(best_book) END,
    '", "default_description_language_code": "", "text_reviews_count": "', ratings // 12,
    '", "best_book_id": "', book_id(best_book),
    '", "original_publication_year": "', CASE WHEN chance(work, 'year', 0.78) THEN year_of(best_book) END,
    '", "original_title": "',
    CASE WHEN chance(work, 'has title', 0.55) THEN named(title || subtitle(likeness, 0), person, place) END,
    '", "rating_dist": "5:', fives, '|4:', fours, '|3:', threes, '|2:', twos, '|1:',
    greatest(0, ratings - fives - fours - threes - twos), '|total:', greatest(ratings, fives + fours + threes + twos),
    '", "default_chaptering_book_id": "", "original_publication_day": "',
    CASE WHEN chance(work, 'day', 0.45) THEN day_of(best_book) END,
    '", "original_language_id": "", "ratings_count": "', greatest(ratings, fives + fours + threes + twos),
    '", "media_type": "', CASE WHEN chance(work, 'media', 0.9) THEN 'book' END,
    '", "ratings_sum": "',
    5 * fives + 4 * fours + 3 * threes + 2 * twos + greatest(0, ratings - fives - fours - threes - twos),
    '", "work_id": "', work_id(work),
    '"}', chr(10)
) AS line
FROM rated
LEFT JOIN titles ON titles.title_key = title_key(likeness, 0)
