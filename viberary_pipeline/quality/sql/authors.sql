-- Grain: one row per author: `label`, which names it among examples, and what its expectations look at. Nothing is
-- dropped.
-- Inputs: the view `authors`; the macro visible.
SELECT
    coalesce('author ' || author_id, 'line ' || line) AS label,
    author_id,
    name,
    visible(name) AS visible_name,
    average_rating,
    least(ratings_count, text_reviews_count) AS lowest_count
FROM authors
