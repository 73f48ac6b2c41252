-- edition_links of works without an edition: each is an edition of itself. It is a statement of its own because DuckDB runs
-- out of memory where it joins millions of works twice in one. Inputs: live_works, edition_links.
INSERT INTO edition_links
SELECT work_id, work_id, work_id, 'work alone'
FROM live_works
ANTI JOIN edition_links USING (work_id)
