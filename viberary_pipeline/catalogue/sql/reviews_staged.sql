-- reviews_staged: one row per non-blank line of goodreads_reviews_dedup.json.gz, typed. Nothing is dropped here.
-- Input:  $path, the decompressed stream (newline-delimited JSON).
-- Casts:  rating 0 means "not rated" and is null; dates look like 'Sun Jul 30 07:44:10 -0700 2017'.
WITH raw AS (
    SELECT row_number() OVER () AS line, *
    FROM read_json(
        $path, format = 'newline_delimited', compression = 'uncompressed', ignore_errors = true,
        maximum_object_size = 67108864,
        columns = {
            review_id: 'VARCHAR', book_id: 'VARCHAR', user_id: 'VARCHAR', rating: 'VARCHAR',
            review_text: 'VARCHAR', date_added: 'VARCHAR', n_votes: 'VARCHAR', n_comments: 'VARCHAR'
        }
    )
)
SELECT
    line,
    blank_to_null(review_id) AS review_id,
    blank_to_null(book_id) AS book_id,
    blank_to_null(user_id) AS user_id,
    in_range(try_cast(rating AS INTEGER), 1, 5) AS rating,
    blank_to_null(review_text) AS review_text,
    try_strptime(date_added, '%a %b %d %H:%M:%S %z %Y') AS date_added,
    -- The files hold a few negative counts; a count below zero says nothing.
    in_range(try_cast(n_votes AS INTEGER), 0, 1000000000) AS n_votes,
    in_range(try_cast(n_comments AS INTEGER), 0, 1000000000) AS n_comments,
    review_id IS NULL AND book_id IS NULL AND user_id IS NULL AND review_text IS NULL AS malformed
FROM raw
