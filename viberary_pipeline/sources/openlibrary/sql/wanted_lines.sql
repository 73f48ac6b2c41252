-- The numbers of the lines that are read of the works' file, or the editions', in their order: those of the works that
-- somebody has read, and of their editions; redirects, deleted records, and what is no record, which are counted.
-- Inputs: record_keys, again, read_units, edition_units. Parameter: $record ('work' or 'edition').
SELECT line
FROM (
    SELECT line, id, kind FROM record_keys WHERE record = $record
    UNION ALL
    SELECT line, id, NULL FROM again WHERE record = $record
)
WHERE
    id IS NULL
    OR kind <> $record
    OR id IN (
        SELECT unit FROM read_units WHERE $record = 'work'
        UNION ALL
        SELECT edition_id FROM edition_units SEMI JOIN read_units USING (unit) WHERE $record = 'edition'
    )
ORDER BY line
