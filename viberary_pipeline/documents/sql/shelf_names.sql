-- shelf_names: one row per name of a shelf that says what a book is like, and the name that stands for it (`shelf`,
-- with blanks between its words; shelf_no for short). Inputs: books.
-- Variables, from shelves.toml: private_shelves, shelf_spellings and shelf_spellings_shown, shelf_fillers,
-- longest_shelf; of the macros, shelf_words.
-- Names with one key (shelf_key) are one shelf: the spelling of the rules stands for them, else that of most books,
-- else the first by the alphabet.
-- Dropped: private names; names that one reader used for one book.
CREATE TEMP TABLE shelf_names AS
WITH used AS (
    SELECT "name", count(*) AS books
    FROM (SELECT unnest(popular_shelves) AS "name", unnest(shelf_counts) AS readers FROM books)
    GROUP BY "name"
    HAVING count(*) > 1 OR max(readers) > 1
),
spellings AS (
    SELECT shelf_key("name") AS "key", any_value(shown) AS shown
    FROM (
        SELECT
            unnest(getvariable('shelf_spellings')) AS "name", unnest(getvariable('shelf_spellings_shown')) AS shown
    )
    GROUP BY "key"
),
plain AS (
    SELECT "name", books, plain_shelf("name") AS plain FROM used
),
telling AS (
    SELECT p."name", p.books, coalesce(s.shown, spelled_shelf(p.plain)) AS plain
    FROM plain AS p
    LEFT JOIN spellings AS s ON s."key" = shelf_key(p.plain)
    WHERE
        s.shown IS NOT NULL
        OR length(p.plain) BETWEEN 2 AND getvariable('longest_shelf')
        AND NOT regexp_matches(p.plain, getvariable('private_shelves'))
),
-- Once its words are spelled, a name may be one that the rules know ('cosy-crimes').
keyed AS (
    SELECT
        t."name", t.books, s.shown IS NOT NULL AS ruled, coalesce(s.shown, t.plain) AS plain,
        shelf_key(coalesce(s.shown, t.plain)) AS "key"
    FROM telling AS t
    LEFT JOIN spellings AS s ON s."key" = shelf_key(t.plain)
),
shelves AS (
    SELECT
        "key", sum(books) AS books, arg_min(plain, {'ruled': NOT ruled, 'books': -books, 'plain': plain}) AS plain
    FROM (SELECT "key", plain, ruled, sum(books) AS books FROM keyed GROUP BY ALL)
    GROUP BY "key"
),
-- vampire-books is vampires, where more books are called so; picture-books is not picture.
merged AS (
    SELECT s."key", coalesce(b.plain, s.plain) AS plain
    FROM shelves AS s
    LEFT JOIN shelves AS b
        ON regexp_matches(s.plain, getvariable('shelf_fillers'))
        AND b."key" = shelf_key(regexp_replace(s.plain, getvariable('shelf_fillers'), ''))
        AND b.books > s.books
)
SELECT
    k."name", replace(m.plain, '-', ' ') AS shelf, (dense_rank() OVER (ORDER BY m.plain))::INTEGER AS shelf_no
FROM keyed AS k
JOIN merged AS m USING ("key")
