-- shelf_votes: one row per work and telling shelf: how many readers put one of its editions there. Narrow.
-- Inputs: books, wanted_editions, shelf_names. Dropped: private shelves.
CREATE TEMP TABLE shelf_votes AS
SELECT e.work_no, n.shelf_no, sum(b.readers)::INTEGER AS readers
FROM (SELECT book_id, unnest(popular_shelves) AS "name", unnest(shelf_counts) AS readers FROM books) AS b
JOIN wanted_editions AS e USING (book_id)
JOIN shelf_names AS n USING ("name")
GROUP BY ALL
