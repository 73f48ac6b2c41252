-- edition_links: one row per edition, narrow: the work that it is of, redirects followed; and `unit`, which is that
-- work, or the edition itself where it has none. Inputs: ol_editions, moved, live_works. Dropped: editions that are merged
-- or deleted.
-- link: 'given', 'moved' (to another work), 'none', or 'lost' (its work is deleted, unknown, or merged in a circle).
CREATE TEMP TABLE edition_links AS
WITH links AS (
    SELECT e.edition_id, e.work_ids[1] AS given_id, coalesce(m.next_id, e.work_ids[1]) AS work_id
    FROM ol_editions AS e
    LEFT JOIN moved AS m ON m.id = e.work_ids[1]
    WHERE e.kind IS NULL OR e.kind = 'edition'
)
SELECT
    l.edition_id, w.work_id, coalesce(w.work_id, l.edition_id) AS unit,
    CASE
        WHEN l.given_id IS NULL THEN 'none'
        WHEN w.work_id IS NULL THEN 'lost'
        WHEN w.work_id <> l.given_id THEN 'moved'
        ELSE 'given'
    END AS link
FROM links AS l
LEFT JOIN live_works AS w USING (work_id)
