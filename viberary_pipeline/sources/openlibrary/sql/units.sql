-- units: one row per work, or edition without one, that enough readers have shelved or rated. Inputs: edition_links,
-- readers. Variables: least_readers, has_readers (whether the dump says who reads what).
-- readers: those who shelved it; who rated it most likely shelved it, too. main_edition: the edition with most readers.
-- Dropped: works of too few readers (counted).
CREATE TEMP TABLE units AS
WITH counted AS (
    SELECT
        unit, sum(ratings)::BIGINT AS ratings, sum(stars)::BIGINT AS stars, greatest(sum(shelved), sum(ratings))::BIGINT AS readers,
        arg_max(edition_id, {'readers': shelved + ratings, 'edition_id': edition_id}) AS most_read
    FROM readers
    GROUP BY unit
)
SELECT
    e.unit, any_value(e.work_id) AS work_id, count(*) AS editions,
    coalesce(any_value(c.ratings), 0) AS ratings, coalesce(any_value(c.stars), 0) AS stars,
    coalesce(any_value(c.readers), 0) AS readers,
    coalesce(any_value(c.most_read), min(e.edition_id)) AS main_edition
FROM edition_links AS e
LEFT JOIN counted AS c USING (unit)
GROUP BY e.unit
HAVING NOT getvariable('has_readers') OR coalesce(any_value(c.readers), 0) >= getvariable('least_readers')
