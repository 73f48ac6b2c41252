-- other_names: one row per wanted work: what it is called beside its title, and the numbers of its editions.
-- Inputs: books, known_works (may be empty), wanted_editions, wanted_works. Variables: most_other_title, most_other_titles.
-- other_titles: of editions, preferred ones first, then the original title. Two that differ in letters and digits are
-- two: the brackets of one may name a volume that the other does not. isbns: of all editions. edition_ids: the book_id
-- of all editions but the representative one, and the ASINs of all; of a work of both sources also Open Library's id.
-- Dropped: titles beyond the most; empty numbers.
CREATE TEMP TABLE other_names AS
WITH editions_of AS (
    SELECT e.work_no, e.preference, e.preference = 1 AS shown, b.book_id, b.title, b.isbn, b.isbn13, b.other_isbns, b.asin, b.kindle_asin
    FROM books AS b
    JOIN wanted_editions AS e USING (book_id)
),
titles AS (
    SELECT work_no, preference, left(title, getvariable('most_other_title')) AS title FROM editions_of
    UNION ALL
    SELECT w.work_no, 1000000000, left(g.original_title, getvariable('most_other_title'))
    FROM known_works AS g
    JOIN wanted_works AS w USING (work_id)
    WHERE g.original_title IS NOT NULL
),
distinct_titles AS (
    SELECT work_no, arg_min(title, preference) AS title, min(preference) AS first_named
    FROM titles
    GROUP BY work_no, regexp_replace(lower(title), '[^\p{L}\p{M}\p{N}]+', '', 'g')
),
titles_of AS (
    SELECT work_no, arg_min(title, first_named, getvariable('most_other_titles')) AS other_titles
    FROM distinct_titles
    WHERE first_named > 1
    GROUP BY work_no
),
numbers_of AS (
    SELECT
        work_no,
        list_distinct(flatten(list(list_filter([isbn13, isbn] || coalesce(other_isbns, []), lambda n: n IS NOT NULL)))) AS isbns,
        list_distinct(flatten(list(list_filter(
            [CASE WHEN NOT shown THEN book_id END, asin, kindle_asin], lambda n: n IS NOT NULL
        )))) AS edition_ids
    FROM editions_of
    GROUP BY work_no
)
SELECT
    n.work_no, t.other_titles, list_sort(n.isbns) AS isbns,
    list_sort(list_filter(n.edition_ids || [w.open_library_work_id], lambda one: one IS NOT NULL)) AS edition_ids
FROM numbers_of AS n
JOIN wanted_works AS w USING (work_no)
LEFT JOIN titles_of AS t USING (work_no)
WHERE t.other_titles IS NOT NULL OR len(n.isbns) > 0 OR len(n.edition_ids) > 0 OR w.open_library_work_id IS NOT NULL
