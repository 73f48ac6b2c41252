-- author_links: one row per unit with authors: their ids in the work's order, redirects followed, each once; where the
-- work names none, those of its main edition. Inputs: ol_works, ol_editions, units, worthy, moved. Dropped: nothing.
CREATE TEMP TABLE author_links AS
WITH given AS (
    SELECT
        u.unit, CASE WHEN len(w.author_ids) > 0 THEN w.author_ids ELSE o.author_ids END AS author_ids
    FROM units AS u
    JOIN worthy AS y ON y.unit = u.unit AND y.left_out IS NULL
    LEFT JOIN ol_works AS w USING (work_id)
    LEFT JOIN ol_editions AS o ON o.edition_id = u.main_edition
),
links AS (
    SELECT unit, unnest(author_ids) AS author_id, generate_subscripts(author_ids, 1) AS position FROM given
),
followed AS (
    SELECT l.unit, coalesce(m.next_id, l.author_id) AS author_id, min(l.position) AS position
    FROM links AS l
    LEFT JOIN moved AS m ON m.id = l.author_id
    GROUP BY ALL
)
SELECT unit, list({'author_id': author_id, 'role': ''} ORDER BY position) AS authors
FROM followed
GROUP BY unit
