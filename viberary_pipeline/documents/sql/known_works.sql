-- known_works: one row per work, as the catalogue groups editions: its title and year, of two sources joined.
-- Inputs: works (may be empty), same_works. Of a work of both sources UCSD's title and year come first.
CREATE TEMP TABLE known_works AS
SELECT
    work_id,
    arg_min(original_title, of_other) AS original_title,
    arg_min({'year': year, 'is_uncertain': is_uncertain, 'source': source}, of_other) FILTER (year IS NOT NULL) AS first_published
FROM (
    SELECT
        coalesce(s.work_id, w.work_id) AS work_id, s.work_id IS NOT NULL AS of_other, source_of(w.work_id) AS source,
        w.original_title, w.original_publication_year AS year, coalesce(w.year_is_uncertain, false) AS is_uncertain
    FROM works AS w
    LEFT JOIN same_works AS s ON s.open_library_work_id = w.work_id
)
GROUP BY work_id
