-- reviews: one row per line of a block of goodreads_reviews_dedup.json.gz, typed. Nothing is dropped here: `reason`
-- says why a row is to be rejected, `nulled` names the columns that could not hold what their field said. A review's
-- book may be unknown and its text empty: documents counts both.
-- Input:  the variables path (a file of JSON lines), file, first_line, numbers.
-- Casts:  rating 0 means "not rated" and is null; dates look like 'Sun Jul 30 07:44:10 -0700 2017'. The files hold a
--         few negative counts; a count below zero says nothing.
-- Texts:  as written: only the few that enter a document are cleaned, there (documents/sql).
WITH lines AS (
    SELECT row_number() OVER () AS place, *
    FROM read_json(
        getvariable('path'), format = 'newline_delimited', compression = 'uncompressed', ignore_errors = true,
        maximum_object_size = 16777216,
        columns = {
            review_id: 'VARCHAR', book_id: 'VARCHAR', user_id: 'VARCHAR', rating: 'VARCHAR',
            review_text: 'VARCHAR', date_added: 'VARCHAR', n_votes: 'VARCHAR', n_comments: 'VARCHAR'
        }
    )
),
typed AS (
    SELECT
        place,
        blank_to_null(review_id) AS review_id,
        blank_to_null(book_id) AS book_id,
        blank_to_null(user_id) AS user_id,
        in_range(try_cast(rating AS INTEGER), 1, 5) AS rating,
        blank_to_null(review_text) AS review_text,
        try_strptime(date_added, '%a %b %d %H:%M:%S %z %Y') AS date_added,
        in_range(try_cast(n_votes AS INTEGER), 0, 1000000000) AS n_votes,
        in_range(try_cast(n_comments AS INTEGER), 0, 1000000000) AS n_comments,
        rating AS raw_rating,
        date_added AS raw_date_added,
        n_votes AS raw_n_votes,
        n_comments AS raw_n_comments,
        review_id IS NULL AND book_id IS NULL AND user_id IS NULL AND review_text IS NULL AS malformed
    FROM lines
)
SELECT
    getvariable('file') AS file,
    line_number(place) AS line,
    review_id, book_id, user_id, rating, review_text,
    coalesce(length(review_text), 0)::INTEGER AS text_length,
    CASE WHEN review_text IS NOT NULL THEN hash(review_text) END AS text_hash,
    date_added, n_votes, n_comments,
    nullif(concat_ws(' ',
        CASE WHEN coalesce(try_cast(raw_rating AS DOUBLE), 1) <> 0 AND unreadable(raw_rating, rating) THEN 'rating' END,
        CASE WHEN unreadable(raw_date_added, date_added) THEN 'date_added' END,
        CASE WHEN unreadable(raw_n_votes, n_votes) THEN 'n_votes' END,
        CASE WHEN unreadable(raw_n_comments, n_comments) THEN 'n_comments' END
    ), '') AS nulled,
    place,
    CASE
        WHEN malformed THEN 'malformed_json'
        WHEN review_id IS NULL THEN 'missing_review_id'
        WHEN book_id IS NULL THEN 'missing_book_id'
    END AS reason
FROM typed
