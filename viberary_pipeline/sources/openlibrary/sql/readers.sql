-- readers: one row per work, or edition without one, that anybody has shelved or rated, and edition (null where the
-- reader named none of its editions): how often. Inputs: ol_reading_log, ol_ratings, moved, edition_links.
-- Dropped: those of works and editions that are not there.
CREATE TEMP TABLE readers AS
WITH given AS (
    SELECT work_id, edition_id, NULL::INTEGER AS rating FROM ol_reading_log
    UNION ALL
    SELECT work_id, edition_id, rating FROM ol_ratings WHERE rating IS NOT NULL
),
counted AS (
    SELECT
        work_id, edition_id, count(*) FILTER (rating IS NULL) AS shelved, count(rating) AS ratings, sum(rating)::BIGINT AS stars
    FROM given
    GROUP BY ALL
),
followed AS (
    SELECT
        coalesce(mw.next_id, c.work_id) AS work_id, coalesce(me.next_id, c.edition_id) AS edition_id,
        c.shelved, c.ratings, c.stars
    FROM counted AS c
    LEFT JOIN moved AS mw ON mw.id = c.work_id
    LEFT JOIN moved AS me ON me.id = c.edition_id
)
SELECT
    coalesce(w.work_id, e.unit) AS unit,
    CASE WHEN e.unit = coalesce(w.work_id, e.unit) THEN e.edition_id END AS edition_id,
    sum(f.shelved)::BIGINT AS shelved, sum(f.ratings)::BIGINT AS ratings, coalesce(sum(f.stars), 0)::BIGINT AS stars
FROM followed AS f
LEFT JOIN live_works AS w USING (work_id)
LEFT JOIN edition_links AS e USING (edition_id)
WHERE w.work_id IS NOT NULL OR e.unit IS NOT NULL
GROUP BY ALL
