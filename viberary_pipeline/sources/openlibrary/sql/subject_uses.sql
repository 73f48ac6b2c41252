-- subject_uses: one row per unit and subject as written: how many readers' shelves it counts for. Inputs: ol_works,
-- ol_editions, units, unit_editions. Variables: subject_weight, place_weight, time_weight.
-- Dropped: the people of a work, whom readers look for by name.
CREATE TEMP TABLE subject_uses AS
SELECT unit, written, sum(weight)::BIGINT AS weight, bool_or(is_subject) AS is_subject
FROM (
    SELECT u.unit, unnest(w.subjects) AS written, getvariable('subject_weight') AS weight, true AS is_subject
    FROM ol_works AS w JOIN units AS u USING (work_id)
    UNION ALL
    SELECT u.unit, unnest(w.subject_places), getvariable('place_weight'), false
    FROM ol_works AS w JOIN units AS u USING (work_id)
    UNION ALL
    SELECT u.unit, unnest(w.subject_times), getvariable('time_weight'), false
    FROM ol_works AS w JOIN units AS u USING (work_id)
    UNION ALL
    SELECT e.unit, unnest(o.subjects), 1, true
    FROM ol_editions AS o JOIN unit_editions AS e USING (edition_id)
)
GROUP BY ALL
