-- shelf_lists: one row per work with telling shelves: their names, most telling first.
-- Inputs: shelf_votes, shelf_names, wanted_works, credits.
-- Variables, from shelves.toml: most_shelves, least_readers, least_shelf_share, rarest_shelf.
-- weight: ln(1 + readers of the work on this shelf) * ln(1 + 1 / share of the works on this shelf), as tf-idf has it. Both are
-- smoothed, so that no shelf weighs nothing. Rounded, so that the machine does not show; of equal ones the first by
-- the alphabet.
-- Dropped: shelves on which no two readers put one work; those with less than that share of the readers of the work's
-- most used one; those that only name its authors, whom the text names anyway; all beyond the most.
CREATE TEMP TABLE shelf_lists AS
WITH rarities AS (
    SELECT shelf_no, ln(1 + 1 / greatest(count(*) / (SELECT count(*) FROM wanted_works), getvariable('rarest_shelf'))) AS rarity
    FROM shelf_votes
    GROUP BY shelf_no
    HAVING max(readers) >= getvariable('least_readers')
),
weighed AS (
    SELECT v.work_no, v.shelf_no, v.readers, round(ln(1 + v.readers) * r.rarity, 6) AS weight
    FROM shelf_votes AS v
    JOIN rarities AS r USING (shelf_no)
),
most AS (
    SELECT work_no, max(readers) AS readers FROM weighed GROUP BY work_no
),
shelves AS (
    SELECT shelf_no, any_value(shelf) AS shelf FROM shelf_names GROUP BY shelf_no
)
SELECT work_no, [s.shelf FOR s IN list_sort(list({'weight': -weight, 'shelf': shelf}))] AS shelves
FROM (
    SELECT w.work_no, w.weight, s.shelf
    FROM weighed AS w
    JOIN most AS m USING (work_no)
    JOIN shelves AS s USING (shelf_no)
    LEFT JOIN credits AS c USING (work_no)
    WHERE
        w.readers >= getvariable('least_shelf_share') * m.readers
        AND NOT coalesce(
            list_has_all(regexp_split_to_array(lower(c.main_authors), '[^\p{L}\p{M}\p{N}]+'), string_split(s.shelf, ' ')), false
        )
    QUALIFY row_number() OVER (PARTITION BY w.work_no ORDER BY w.weight DESC, s.shelf) <= getvariable('most_shelves')
)
GROUP BY work_no
