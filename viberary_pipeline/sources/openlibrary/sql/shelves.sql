-- shelves: one row per unit with a subject that says something: the names, most weight first, with their weights; and
-- how many of them are subjects (`telling`: neither places nor times). Inputs: subject_uses, subject_names.
-- Variables: most_subjects. Dropped: names beyond the most.
CREATE TEMP TABLE shelves AS
WITH named AS (
    SELECT u.unit, n."name", max(u.weight) + count(*) - 1 AS weight, bool_or(u.is_subject) AS is_subject
    FROM subject_uses AS u
    JOIN subject_names AS n USING (written)
    WHERE n."name" IS NOT NULL
    GROUP BY ALL
),
most AS (
    SELECT *
    FROM named
    QUALIFY row_number() OVER (PARTITION BY unit ORDER BY weight DESC, "name") <= getvariable('most_subjects')
)
SELECT
    unit,
    list("name" ORDER BY weight DESC, "name") AS names,
    list(weight::INTEGER ORDER BY weight DESC, "name") AS weights,
    count(*) FILTER (is_subject) AS telling
FROM most
GROUP BY unit
