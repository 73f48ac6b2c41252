-- books: one row per book $first to $last - 1, a line of goodreads_books.json.gz in `line`.
-- Inputs: texts, titles, kinds, variables. Empty shares as counted in UCSD's file; one row in 4,505 (524 of 2.36M)
-- has neither work, link, ratings nor much else; 7 in 2.36M have no title. A few numbers are out of range.
WITH placed AS (
    SELECT
        id AS book,
        work_at(offset_of(id)) AS work,
        likeness(work_at(offset_of(id))) AS likeness,
        1 + below(id, 'language', 2000) AS language,
        below(id, 'bare', 4505) = 0 AS bare,
        expected_reviews(rank_of(id)) AS expected
    FROM range($first, $last) AS ids(id)
),

counted AS (
    SELECT
        *,
        getvariable('languages')[language] AS language_code,
        getvariable('text_languages')[language] AS tongue,
        floor(expected * exp(0.4 * normal(book, 'reviews')))::BIGINT AS text_reviews,
        floor(expected * exp(0.4 * normal(book, 'reviews')) * (4 + 20 * draw(book, 'ratings')))::BIGINT + 1 AS ratings,
        pick(getvariable('formats'), book, 'format') AS format,
        exp(6.55 + 0.75 * normal(book, 'length')) AS length,
        CASE
            WHEN draw(likeness, 'authors') < 0.77 THEN 1
            WHEN draw(likeness, 'authors') < 0.92 THEN 2
            WHEN draw(likeness, 'authors') < 0.965 THEN 3
            ELSE least(50, 3 + ceil(-2.2 * ln(1 - draw(likeness, 'many authors'))))
        END::BIGINT AS author_count,
        below(book, 'isbn', 1000000000) AS isbn,
        hero_name(likeness) AS person,
        town_of(likeness) AS place,
        bits(book, 'shelves') AS shelf_bits,
        below(book, 'first shelf', 50) AS first_shelf,
        below(book, 'start', getvariable('sentences')) AS start,
        1 + 2 * below(book, 'step', 32) AS step,
        chance(book, 'no isbn13', 0.331) AS no_isbn
    FROM placed
),

titled AS (
    SELECT
        counted.*,
        shelves,
        CASE
            WHEN chance(book, 'no description', 0.175) THEN ''
            ELSE named(
                passage(texts.sentences, greatest(1, round(length / 88)), book, start, step) || dirt(book),
                person,
                place
            )
        END AS description,
        named(title || subtitle(counted.likeness, tongue), person, place)
        || CASE
            WHEN in_series(counted.likeness)
                THEN concat(' (', series_name(series_of(counted.likeness)), ', #', 1 + counted.likeness % 7, ')')
            ELSE ''
        END AS title,
        1 + ratings * 0.6 AS shelved,
        least(100, 6 + floor(18 * pow(expected, 0.7) * exp(0.6 * normal(book, 'shelves'))))::BIGINT AS shelf_count
    FROM counted
    LEFT JOIN texts ON texts.text_key = text_key(counted.likeness, tongue, 3)
    LEFT JOIN titles ON titles.title_key = title_key(counted.likeness, tongue)
    LEFT JOIN kinds ON kinds.kind = kind_of(counted.likeness)
),

listed AS (
    SELECT
        *,
        CASE WHEN below(book, 'no title', 337000) = 0 THEN '' ELSE title END AS shown_title,
        array_to_string(list_transform(range(shelf_count), lambda i: concat(
            '{"count": "', greatest(1, (shelved / ((i + 1) * sqrt(i + 1)))::BIGINT), '", "name": "',
            CASE
                WHEN i = 0 THEN 'to-read'
                WHEN i < 14 AND i % 2 = 1 THEN shelves[1 + (i // 2 + first_shelf) % 7]
                WHEN i < 14 OR (i < 50 AND (shelf_bits >> i::UBIGINT) % 2 = 0)
                    THEN getvariable('common_shelves')[1 + (first_shelf + i * 7) % 50]
                WHEN (shelf_bits >> (i - 14)::UBIGINT) % 2 = 0
                    THEN pick(getvariable('shelf_owners'), shelf_bits, i) || '-s-'
                    || pick(getvariable('private_shelves'), i, shelf_bits)
                ELSE pick(getvariable('private_shelves'), shelf_bits, i) || below(i, shelf_bits, 2100)
            END, '"}'
        )), ', ') AS popular_shelves,
        array_to_string(list_transform(
            range(CASE WHEN chance(likeness, 'similar', 0.4) THEN 0 ELSE below(likeness, 'similar', 18) + 1 END),
            lambda i: '"' || book_id(book_at(similar_offset(likeness, i))) || '"'
        ), ', ') AS similar_books,
        array_to_string(list_transform(range(author_count), lambda i: concat(
            '{"author_id": "',
            author_id(author_of(likeness, i))
            + CASE WHEN below(book, 'unknown author', 2000) = 0 THEN 20 * getvariable('authors') ELSE 0 END,
            '", "role": "',
            CASE
                WHEN i > 0 OR chance(likeness, 'led by a role', 0.02)
                    THEN pick(getvariable('roles'), likeness * 64 + i, 'role')
                ELSE ''
            END, '"}'
        )), ', ') AS authors
    FROM titled
),

worded AS (
    SELECT
        *,
        CASE WHEN bare THEN '' ELSE concat('https://www.goodreads.com/book/show/', book_id(book)) END AS address
    FROM listed
)

SELECT concat(
    '{"isbn": "', CASE WHEN no_isbn OR chance(book, 'no isbn', 0.13) THEN '' ELSE isbn10(isbn) END,
    '", "text_reviews_count": "', CASE WHEN NOT bare THEN text_reviews END,
    '", "series": [', CASE WHEN in_series(likeness) THEN concat('"', series_id(series_of(likeness)), '"') END,
    '], "country_code": "', CASE WHEN NOT bare THEN 'US' END,
    '", "language_code": "', CASE WHEN NOT chance(book, 'no language', 0.449) THEN language_code END,
    '", "popular_shelves": [', popular_shelves,
    '], "asin": "', CASE WHEN chance(book, 'asin', 0.2) THEN asin(book) END,
    '", "is_ebook": "', CASE WHEN bare THEN '' WHEN format IN ('ebook', 'Kindle Edition') THEN 'true' ELSE 'false' END,
    '", "average_rating": "',
    CASE WHEN NOT bare THEN printf('%.2f', least(5, greatest(0, 3.88 + 0.32 * normal(book, 'average')))) END,
    '", "kindle_asin": "', CASE WHEN chance(book, 'kindle', 0.44) THEN asin(book + getvariable('books')) END,
    '", "similar_books": [', similar_books,
    '], "description": "', description,
    '", "format": "', format,
    '", "link": "', address,
    '", "authors": [', authors,
    '], "publisher": "',
    CASE
        WHEN NOT chance(book, 'no publisher', 0.277)
            THEN getvariable('publishers')[
                1 + floor(pow(draw(book, 'publisher'), 1.5) * len(getvariable('publishers')))::BIGINT
            ]
    END,
    '", "num_pages": "', CASE WHEN NOT chance(book, 'no pages', 0.324) THEN pages(book) END,
    '", "publication_day": "', CASE WHEN chance(book, 'day', 0.57) THEN day_of(book) END,
    '", "isbn13": "', CASE WHEN NOT no_isbn THEN isbn13(isbn) END,
    '", "publication_month": "', CASE WHEN chance(book, 'month', 0.63) THEN month_of(book) END,
    '", "edition_information": "',
    CASE WHEN chance(book, 'has edition', 0.09) THEN pick(getvariable('editions'), book, 'edition') END,
    '", "publication_year": "', CASE WHEN NOT chance(book, 'no year', 0.254) THEN year_of(book) END,
    '", "url": "', address,
    '", "image_url": "',
    CASE
        WHEN chance(book, 'no cover', 0.4)
            THEN 'https://s.gr-assets.com/assets/nophoto/book/111x148-bcc042a9c91a29c1d680899eff700a03.png'
        ELSE concat(
            'https://images.gr-assets.com/books/', 1170000000 + below(book, 'cover', 340000000), 'm/', book_id(book),
            '.jpg'
        )
    END,
    '", "book_id": "', book_id(book),
    '", "ratings_count": "', CASE WHEN NOT bare THEN ratings END,
    '", "work_id": "', CASE WHEN NOT bare THEN work_id(work) END,
    '", "title": "', shown_title,
    '", "title_without_series": "', shown_title,
    '"}', chr(10)
) AS line
FROM worded
