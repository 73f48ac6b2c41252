-- credits: one row per work with a known author: who made its representative edition.
-- Inputs: books, wanted_works, authors. Variables: most_title.
-- author: the first one without a role, else the first. main_authors: all without a role, else all, joined for the
-- text. authors: all of them, those without a role first, the others with it, in the order of the file. A name
-- counts where it stands first, without a role before with one. contributors: the same as (name, role) pairs.
-- Dropped: author ids without an author (counted in exclusions.sql).
CREATE TEMP TABLE credits AS
WITH links AS (
    SELECT w.work_no, unnest(b.authors) AS link, generate_subscripts(b.authors, 1) AS position
    FROM books AS b
    JOIN wanted_works AS w ON w.shown_book_id = b.book_id
),
names AS (
    SELECT
        l.work_no, l.position, coalesce(l.link."role", '') AS "role",
        left(coalesce(clean_text(a."name"), a."name", ''), getvariable('most_title')) AS "name"
    FROM links AS l
    JOIN authors AS a ON a.author_id = l.link.author_id
    QUALIFY row_number() OVER (PARTITION BY l.work_no, "name" ORDER BY "role" <> '', l.position) = 1
),
lists AS (
    -- Sorted as a list: an ordered aggregate takes several times as long.
    SELECT
        work_no,
        list_sort(list({'has_role': "role" <> '', 'position': position, 'name': "name", 'role': "role"})) AS people
    FROM names
    WHERE "name" <> ''
    GROUP BY work_no
)
SELECT
    work_no,
    people[1]."name" AS author,
    array_to_string([p."name" FOR p IN people IF p.has_role = people[1].has_role], ', ') AS main_authors,
    array_to_string(
        [CASE WHEN p.has_role THEN p."name" || ' (' || p."role" || ')' ELSE p."name" END FOR p IN people], ', '
    ) AS authors,
    [{'name': p."name", 'role': p."role"} FOR p IN people] AS contributors
FROM lists
