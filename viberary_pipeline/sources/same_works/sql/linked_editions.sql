-- linked_editions: one row per edition of Open Library and of UCSD that share a number, and kind of number: 'goodreads'
-- (the record names the other one's id) or 'isbn'. Inputs: compared_editions. Variables: most_works_of_an_isbn.
-- Dropped: ISBNs with a wrong check digit; those that stand in more works of one source than that: they are stand-ins.
CREATE TEMP TABLE linked_editions AS
WITH isbns AS (
    SELECT DISTINCT unit, source, book_id, isbn13_of(written) AS isbn
    FROM (SELECT unit, source, book_id, unnest(isbns) AS written FROM compared_editions)
),
shared AS (
    SELECT isbn
    FROM isbns
    WHERE isbn IS NOT NULL
    GROUP BY isbn
    HAVING
        count(DISTINCT unit) FILTER (source = 'ucsd') BETWEEN 1 AND getvariable('most_works_of_an_isbn')
        AND count(DISTINCT unit) FILTER (source = 'openlibrary') BETWEEN 1 AND getvariable('most_works_of_an_isbn')
)
SELECT o.unit AS open_library_unit, o.book_id AS open_library_book, u.unit, u.book_id, 'goodreads' AS number
FROM (
    SELECT unit, book_id, unnest(goodreads_ids) AS goodreads_id FROM compared_editions WHERE source = 'openlibrary'
) AS o
JOIN compared_editions AS u ON u.source = 'ucsd' AND u.book_id = o.goodreads_id
UNION
SELECT o.unit, o.book_id, u.unit, u.book_id, 'isbn'
FROM shared AS s
JOIN isbns AS o ON o.isbn = s.isbn AND o.source = 'openlibrary'
JOIN isbns AS u ON u.isbn = s.isbn AND u.source = 'ucsd'
