-- genres: one row per book $first to $last - 1, a line of goodreads_book_genres_initial.json.gz in `line`.
-- Inputs: variables. The kind of the book first; half of them have a second; one in six has none at all.
WITH labelled AS (
    SELECT
        id,
        getvariable('labels')[1 + kind_of(likeness(work_at(offset_of(id))))] AS label,
        pick(getvariable('labels'), id, 'second label') AS second,
        1 + floor(expected_reviews(rank_of(id)) * (1 + 9 * draw(id, 'votes')))::BIGINT AS votes
    FROM range($first, $last) AS ids(id)
)

SELECT concat(
    '{"book_id": "', book_id(id), '", "genres": {',
    CASE
        WHEN chance(id, 'no genre', 0.17) THEN ''
        WHEN second <> label AND chance(id, 'two genres', 0.5)
            THEN concat('"', label, '": ', votes, ', "', second, '": ', 1 + votes // 4)
        ELSE concat('"', label, '": ', votes)
    END,
    '}}', chr(10)
) AS line
FROM labelled
