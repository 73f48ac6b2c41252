-- series_lists: one row per work of a known series: the titles of all its editions' series, each once; those of the
-- most preferred edition first. Inputs: books, series (may be empty), wanted_editions.
-- Dropped: series ids without a series (counted in exclusions.sql).
CREATE TEMP TABLE series_lists AS
WITH links AS (
    SELECT e.work_no, e.preference, unnest(b.series) AS series_id, generate_subscripts(b.series, 1) AS position
    FROM books AS b
    JOIN wanted_editions AS e USING (book_id)
    WHERE len(b.series) > 0
),
titles AS (
    SELECT l.work_no, clean_text(s.title) AS title, min({'preference': l.preference, 'position': l.position}) AS first_named
    FROM links AS l
    JOIN series AS s USING (series_id)
    GROUP BY ALL
)
SELECT work_no, [s.title FOR s IN list_sort(list({'first_named': first_named, 'title': title}))] AS series
FROM titles
WHERE title IS NOT NULL
GROUP BY work_no
