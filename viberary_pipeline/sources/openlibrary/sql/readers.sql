-- readers: one row per work, or edition without one, that anybody has shelved or rated, and edition (null where the
-- reader named none of its editions): how often. Inputs: readings, live_works, edition_links.
-- Dropped: those of works and editions that are not there.
CREATE TEMP TABLE readers AS
SELECT
    coalesce(w.work_id, e.unit) AS unit,
    CASE WHEN e.unit = coalesce(w.work_id, e.unit) THEN e.edition_id END AS edition_id,
    sum(r.shelved)::BIGINT AS shelved, sum(r.ratings)::BIGINT AS ratings, coalesce(sum(r.stars), 0)::BIGINT AS stars
FROM readings AS r
LEFT JOIN live_works AS w USING (work_id)
LEFT JOIN edition_links AS e USING (edition_id)
WHERE w.work_id IS NOT NULL OR e.unit IS NOT NULL
GROUP BY ALL
