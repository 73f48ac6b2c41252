-- same_title_author: one row per title and first author that stand in more than one work. They are reported, not
-- joined: an abridged or a dramatised edition looks the same. Most ratings first.
-- Inputs: editions, wanted_works, books, authors. work_ids, books and ratings (of those books) run in parallel, most ratings first.
-- Dropped: works that a filter left out; books without an author, or with a title without a letter or digit.
WITH copies AS (
    SELECT
        title_key, first_author_id, work_id,
        count(*) AS books, sum(ratings_count)::BIGINT AS ratings, arg_min(book_id, preference) AS book_id
    FROM editions
    SEMI JOIN wanted_works USING (work_id)
    WHERE title_key IS NOT NULL AND first_author_id IS NOT NULL
    GROUP BY title_key, first_author_id, work_id
    QUALIFY count(*) OVER (PARTITION BY title_key, first_author_id) > 1
),
same AS (
    SELECT
        first_author_id,
        list(work_id ORDER BY ratings DESC, work_id) AS work_ids,
        list(books ORDER BY ratings DESC, work_id) AS books,
        list(ratings ORDER BY ratings DESC, work_id) AS ratings,
        list(book_id ORDER BY ratings DESC, work_id)[1] AS book_id
    FROM copies
    GROUP BY title_key, first_author_id
)
SELECT b.title, coalesce(a."name", '') AS author, s.work_ids, s.books, s.ratings
FROM same AS s
JOIN books AS b USING (book_id)
LEFT JOIN authors AS a ON a.author_id = s.first_author_id
ORDER BY list_sum(s.ratings) DESC, b.title, s.work_ids
