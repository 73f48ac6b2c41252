-- Grain: one row per document of a sample: its `text`. At most $most of them, those with the lowest text hashes:
-- SHA-256 spreads evenly, so they are as good as drawn by lot, and the same in every run.
-- Inputs: the view `documents`. Empty texts are dropped: nothing is embedded for them.
SELECT "text"
FROM documents
WHERE "text" <> ''
ORDER BY text_hash
LIMIT $most
