-- The works and editions that are named by a reader, by a redirect, or by a line that is not told at sight, and those that
-- have several lines: the number in the key of each. Ids in another form have none. Inputs: ol_ratings,
-- ol_reading_log, ol_redirects, ol_authors, record_keys (without lines told at sight), repeated.
SELECT DISTINCT id >> 2 AS number, id & 3 = number_with(0, 'W') AS is_work
FROM (
    SELECT unnest([work_id, edition_id]) AS id FROM ol_ratings
    UNION ALL
    SELECT unnest([work_id, edition_id]) FROM ol_reading_log
    UNION ALL
    SELECT unnest([merged_id, redirected_to]) FROM ol_redirects
    UNION ALL
    SELECT redirected_to FROM ol_authors WHERE kind = 'redirect'
    UNION ALL
    SELECT unnest([redirected_to, work_id]) FROM record_keys
    UNION ALL
    FROM repeated
)
WHERE id >= 0 AND id & 3 <> number_with(0, 'A')
