-- wanted_editions: one row per book of a wanted work. Inputs: editions, wanted_works. Dropped: books of other works.
CREATE TEMP TABLE wanted_editions AS
SELECT w.work_no, e.book_id, e.preference, e.repeats
FROM editions AS e
JOIN wanted_works AS w USING (work_id)
