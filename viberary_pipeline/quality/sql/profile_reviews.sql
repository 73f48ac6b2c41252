-- Grain: one row: `rows`, `fill` (column to how many rows have a value), `spectra` (distribution to
-- {value: rows}) and `numbers`. Nothing is dropped; rows without a value count in none.
-- Inputs: the view `reviews`. The texts themselves are not read: text_length and text_hash say what is needed.
SELECT
    count(*) AS "rows",
    {
        'review_id': count(review_id), 'book_id': count(book_id), 'user_id': count(user_id),
        'rating': count(rating), 'review_text': count(*) FILTER (text_length > 0),
        'date_added': count(date_added), 'n_votes': count(n_votes), 'n_comments': count(n_comments)
    } AS fill,
    {
        'ratings': histogram(rating),
        'text_length': histogram(text_length) FILTER (text_length > 0),
        'years': histogram(year(make_timestamp(epoch_us(date_added)))),
        'reviews_per_book': (
            SELECT histogram(reviews)
            FROM (SELECT count(*) AS reviews FROM reviews WHERE book_id IS NOT NULL GROUP BY book_id)
        )
    } AS spectra,
    {
        'books': (SELECT count(DISTINCT book_id) FROM reviews),
        'readers': approx_count_distinct(user_id),
        'characters': sum(text_length)::BIGINT
    } AS numbers
FROM reviews
