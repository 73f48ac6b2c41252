-- moved: one row per work, edition or author that was merged into another: where it went first. The redirects of the
-- files of works, editions and authors, and those of the file of redirects. Dropped: those that lead nowhere.
CREATE TEMP TABLE moved AS
SELECT id, min(next_id) AS next_id
FROM (
    SELECT merged_id AS id, redirected_to AS next_id FROM ol_redirects
    UNION ALL
    SELECT work_id, redirected_to FROM ol_works WHERE kind = 'redirect'
    UNION ALL
    SELECT edition_id, redirected_to FROM ol_editions WHERE kind = 'redirect'
    UNION ALL
    SELECT author_id, redirected_to FROM ol_authors WHERE kind = 'redirect'
)
WHERE next_id IS NOT NULL
GROUP BY id
