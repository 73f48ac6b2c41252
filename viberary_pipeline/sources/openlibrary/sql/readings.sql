-- readings: one row per work and edition (null where the reader named none) that readers have shelved or rated together,
-- redirects followed: how often. Inputs: ol_reading_log, ol_ratings, moved. Dropped: ratings without a number.
CREATE TEMP TABLE readings AS
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
)
SELECT
    coalesce(mw.next_id, c.work_id) AS work_id, coalesce(me.next_id, c.edition_id) AS edition_id,
    c.shelved, c.ratings, c.stars
FROM counted AS c
LEFT JOIN moved AS mw ON mw.id = c.work_id
LEFT JOIN moved AS me ON me.id = c.edition_id
