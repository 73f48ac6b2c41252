-- The numbers of the lines that are read of the authors' file, in their order: those of authors whom a work or an edition
-- names, redirects followed; redirects, deleted records, and what is no record, which are counted.
-- Inputs: record_keys, moved, named_authors (author_ids: those of a work, or edition).
WITH named AS (
    SELECT number_of(author_id) AS id FROM (SELECT DISTINCT unnest(author_ids) AS author_id FROM named_authors)
)
SELECT line
FROM record_keys
WHERE
    id IS NULL
    OR kind <> 'author'
    OR id IN (SELECT coalesce(m.next_id, n.id) FROM named AS n LEFT JOIN moved AS m USING (id))
ORDER BY line
