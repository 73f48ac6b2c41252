-- worthy: one row per unit, and why it is left out (null: it is not). Narrow. Inputs: units, unit_editions, shelves,
-- ol_works, ol_editions. Variables: least_subjects.
-- left_out: 'without_title' (neither the work nor an edition has one), 'without_text' (no description, no first
-- sentence, too few telling subjects).
CREATE TEMP TABLE worthy AS
WITH said AS (
    SELECT
        e.unit,
        bool_or(o.title IS NOT NULL) AS titled,
        bool_or(o.description IS NOT NULL) AS described,
        bool_or(o.first_sentence IS NOT NULL) AS quoted,
        bool_or(len(o.languages) > 0) AS in_a_language
    FROM unit_editions AS e
    JOIN ol_editions AS o USING (edition_id)
    GROUP BY e.unit
)
SELECT
    u.unit,
    coalesce(s.in_a_language, false) AS in_a_language,
    w.description IS NOT NULL OR coalesce(s.described, false) AS described,
    CASE
        WHEN w.title IS NULL AND NOT coalesce(s.titled, false) THEN 'without_title'
        WHEN
            w.description IS NULL AND w.first_sentence IS NULL
            AND NOT coalesce(s.described, false) AND NOT coalesce(s.quoted, false)
            AND coalesce(h.telling, 0) < getvariable('least_subjects')
            THEN 'without_text'
    END AS left_out
FROM units AS u
LEFT JOIN ol_works AS w USING (work_id)
LEFT JOIN said AS s USING (unit)
LEFT JOIN shelves AS h USING (unit)
