-- book_texts: one row per book of which a document shows something: the representative edition, and the edition
-- that the description is taken from, where that is another one. Inputs: books, wanted_works.
-- It is kept on disk, by portion. Variables: most_title, most_description, works_at_once. Dropped: all other books.
SELECT
    w.work_no // getvariable('works_at_once') AS portion,
    w.work_no,
    w.shown,
    CASE WHEN w.shown THEN left(b.title, getvariable('most_title')) END AS title,
    CASE WHEN w.shown THEN b.link END AS link,
    b.image_url,
    CASE WHEN w.described THEN left(b.description, getvariable('most_description')) END AS description
FROM books AS b
JOIN (
    SELECT work_no, shown_book_id AS book_id, true AS shown, shown_book_id = described_book_id AS described
    FROM wanted_works
    UNION ALL
    SELECT work_no, described_book_id, false, true FROM wanted_works WHERE described_book_id <> shown_book_id
) AS w USING (book_id)
