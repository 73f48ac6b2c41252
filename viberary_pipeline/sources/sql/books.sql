-- books: one row per line of a block of goodreads_books.json.gz, typed. Nothing is dropped here: `reason` says why
-- a row is to be rejected, `nulled` names the columns that could not hold what their field said.
-- Input:  the variables path (a file of JSON lines), file, first_line, numbers.
-- Casts:  "" is null; a work_id is a number above 0 (a book without one is a work of its own); a number that is none,
--         or out of range, is null (years 1 to 2100, months 1 to 12, days 1 to 31, pages 1 to 20,000, ratings 0 to
--         5); an author without an id is none; a line that is no JSON object is a row of nulls.
-- Texts:  titles and description as people read them (clean_text); a title that is nothing but markup stays.
-- Shelves: the names of the first 20, which are the most used; a book has up to 100, and they are half of the file.
-- Language: of language_code; where that says nothing, of title and description, if they are clear enough.
WITH lines AS (
    SELECT row_number() OVER () AS place, *
    FROM read_json(
        getvariable('path'), format = 'newline_delimited', compression = 'uncompressed', ignore_errors = true,
        maximum_object_size = 16777216,
        columns = {
            book_id: 'VARCHAR', work_id: 'VARCHAR', title: 'VARCHAR', title_without_series: 'VARCHAR',
            description: 'VARCHAR', language_code: 'VARCHAR', isbn13: 'VARCHAR', format: 'VARCHAR',
            publisher: 'VARCHAR', is_ebook: 'VARCHAR', publication_year: 'VARCHAR', publication_month: 'VARCHAR',
            publication_day: 'VARCHAR', num_pages: 'VARCHAR', average_rating: 'VARCHAR',
            ratings_count: 'VARCHAR', text_reviews_count: 'VARCHAR', link: 'VARCHAR',
            authors: 'STRUCT(author_id VARCHAR, "role" VARCHAR)[]', series: 'VARCHAR[]',
            similar_books: 'VARCHAR[]', popular_shelves: 'STRUCT("name" VARCHAR)[]'
        }
    )
),
typed AS (
    SELECT
        place,
        blank_to_null(book_id) AS book_id,
        CASE WHEN try_cast(work_id AS BIGINT) > 0 THEN trim(work_id) END AS work_id,
        work_id AS raw_work_id,
        coalesce(clean_text(title), blank_to_null(title)) AS title,
        clean_text(title_without_series) AS title_without_series,
        clean_text(description) AS description,
        blank_to_null(language_code) AS language_code,
        normalise_language(language_code) AS language_given,
        blank_to_null(isbn13) AS isbn13,
        blank_to_null(format) AS format,
        blank_to_null(publisher) AS publisher,
        try_cast(is_ebook AS BOOLEAN) AS is_ebook,
        is_ebook AS raw_is_ebook,
        in_range(try_cast(publication_year AS INTEGER), 1, 2100) AS publication_year,
        in_range(try_cast(publication_month AS INTEGER), 1, 12) AS publication_month,
        in_range(try_cast(publication_day AS INTEGER), 1, 31) AS publication_day,
        in_range(try_cast(num_pages AS INTEGER), 1, 20000) AS num_pages,
        in_range(try_cast(average_rating AS DOUBLE), 0, 5) AS average_rating,
        in_range(try_cast(ratings_count AS BIGINT), 0, 1000000000000) AS ratings_count,
        in_range(try_cast(text_reviews_count AS BIGINT), 0, 1000000000000) AS text_reviews_count,
        publication_year AS raw_publication_year,
        publication_month AS raw_publication_month,
        publication_day AS raw_publication_day,
        num_pages AS raw_num_pages,
        average_rating AS raw_average_rating,
        ratings_count AS raw_ratings_count,
        text_reviews_count AS raw_text_reviews_count,
        blank_to_null(link) AS link,
        len(authors) AS author_links,
        coalesce(
            [{'author_id': trim(a.author_id), 'role': trim(coalesce(a."role", ''))}
             FOR a IN authors IF trim(a.author_id) <> ''], []
        ) AS authors,
        coalesce(series, []) AS series,
        coalesce(similar_books, []) AS similar_books,
        coalesce([s."name" FOR s IN popular_shelves[:20]], []) AS popular_shelves,
        book_id IS NULL AND title IS NULL AND work_id IS NULL AND authors IS NULL AND link IS NULL AS malformed
    FROM lines
),
located AS (
    SELECT
        *,
        CASE
            WHEN language_given IS NOT NULL THEN NULL
            -- Of the description alone: 'The Lion, the Witch and the Wardrobe' is the title of translations, too.
            WHEN is_plainly_english(description) THEN 'en'
            ELSE detect_language(left(concat_ws('. ', title, description), 400))
        END AS language_detected
    FROM typed
)
SELECT
    getvariable('file') AS file,
    line_number(place) AS line,
    book_id, work_id, title, title_without_series, description, language_code,
    coalesce(language_given, language_detected) AS language,
    CASE WHEN language_given IS NOT NULL THEN 'given' WHEN language_detected IS NOT NULL THEN 'detected' END
        AS language_source,
    isbn13, format, publisher, is_ebook, publication_year, publication_month, publication_day, num_pages,
    average_rating, ratings_count, text_reviews_count, link, authors, series, similar_books, popular_shelves,
    nullif(concat_ws(' ',
        CASE WHEN unreadable(raw_work_id, work_id) THEN 'work_id' END,
        CASE WHEN author_links > len(authors) THEN 'authors' END,
        CASE WHEN unreadable(raw_is_ebook, is_ebook) THEN 'is_ebook' END,
        CASE WHEN unreadable(raw_publication_year, publication_year) THEN 'publication_year' END,
        CASE WHEN unreadable(raw_publication_month, publication_month) THEN 'publication_month' END,
        CASE WHEN unreadable(raw_publication_day, publication_day) THEN 'publication_day' END,
        CASE WHEN unreadable(raw_num_pages, num_pages) THEN 'num_pages' END,
        CASE WHEN unreadable(raw_average_rating, average_rating) THEN 'average_rating' END,
        CASE WHEN unreadable(raw_ratings_count, ratings_count) THEN 'ratings_count' END,
        CASE WHEN unreadable(raw_text_reviews_count, text_reviews_count) THEN 'text_reviews_count' END
    ), '') AS nulled,
    place,
    CASE
        WHEN malformed THEN 'malformed_json'
        WHEN book_id IS NULL THEN 'missing_book_id'
        WHEN title IS NULL THEN 'missing_title'
    END AS reason
FROM located
