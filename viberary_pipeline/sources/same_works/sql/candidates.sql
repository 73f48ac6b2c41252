-- candidates: one row per work of Open Library and of UCSD that may be one: numbers before names, more editions before
-- fewer. Inputs: numbered_pairs, titled_pairs, compared_works. Dropped: pairs whose names disagree, and names alone that
-- leave a choice.
-- best_for_open_library, best_for_ucsd: the place of the pair among those of either work; of equal ones first the other
-- work with most readers.
CREATE TEMP TABLE candidates AS
WITH pairs AS (
    SELECT open_library_unit, unit, rule, editions FROM numbered_pairs WHERE agrees
    UNION ALL
    SELECT t.open_library_unit, t.unit, 'title and author', 0
    FROM titled_pairs AS t
    ANTI JOIN numbered_pairs AS n USING (open_library_unit, unit)
    WHERE t.is_sure
)
SELECT
    p.*,
    row_number() OVER (PARTITION BY p.open_library_unit ORDER BY p.editions DESC, p.rule, u.readers DESC, p.unit) AS best_for_open_library,
    row_number() OVER (PARTITION BY p.unit ORDER BY p.editions DESC, p.rule, o.readers DESC, p.open_library_unit) AS best_for_ucsd
FROM pairs AS p
JOIN compared_works AS o ON o.unit = p.open_library_unit
JOIN compared_works AS u ON u.unit = p.unit
