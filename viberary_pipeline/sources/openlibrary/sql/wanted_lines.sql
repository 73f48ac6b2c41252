-- The numbers of the lines that are read of the works' file, or the editions', in their order: those of the works that
-- somebody has read, and of their editions; redirects, deleted records, and what is no record, which are counted.
-- Inputs: record_keys, again, read_units, edition_units. Parameter: $is_edition.
SELECT line
FROM (
    SELECT line, id, kind FROM record_keys WHERE is_edition = $is_edition
    UNION ALL
    SELECT line, id, NULL FROM again WHERE is_edition = $is_edition
)
WHERE
    id IS NULL
    OR kind <> if($is_edition, 'edition', 'work')
    OR id IN (
        SELECT unit FROM read_units WHERE NOT $is_edition
        UNION ALL
        SELECT edition_id FROM edition_units SEMI JOIN read_units USING (unit) WHERE $is_edition
    )
ORDER BY line
