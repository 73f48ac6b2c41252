-- unit_editions: one row per edition of a unit. Inputs: edition_links, units. Dropped: editions of other works.
CREATE TEMP TABLE unit_editions AS
SELECT e.edition_id, e.work_id, e.unit, e.edition_id = u.main_edition AS is_main
FROM edition_links AS e
JOIN units AS u USING (unit)
