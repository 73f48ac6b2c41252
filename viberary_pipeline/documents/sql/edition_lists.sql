-- edition_lists: one row per wanted work: what is told of its editions, most preferred first.
-- Inputs: books, wanted_editions. Variables: most_title, most_listed_editions. Dropped: editions beyond the most; of one that both
-- sources have, Open Library's.
CREATE TEMP TABLE edition_lists AS
SELECT
    e.work_no,
    arg_min(
        {
            'book_id': b.book_id,
            'title': left(b.title, getvariable('most_title')),
            'year': b.publication_year,
            'language': b."language",
            'format': b.format,
            'publisher': b.publisher,
            'isbn': coalesce(b.isbn13, b.isbn)
        },
        e.preference,
        getvariable('most_listed_editions')
    ) AS edition_list
FROM books AS b
JOIN wanted_editions AS e USING (book_id)
WHERE NOT e.repeats
GROUP BY e.work_no
