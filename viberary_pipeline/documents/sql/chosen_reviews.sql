-- chosen_reviews: one row per review that enters a document; narrow. Inputs: usable_reviews,
-- review_languages, wanted_works.
-- Variables: reader_language, reviews_per_work.
-- Rule: in the reader's language, then in the work's own, then of unknown language, then of any other; within each,
-- those who liked the work and the others take turns, as among the candidates.
-- Dropped: all other reviews. One stays even where none may enter the text: the work is not thin.
CREATE TEMP TABLE chosen_reviews AS
SELECT
    work_no,
    candidate_rank,
    row_number() OVER (PARTITION BY work_no ORDER BY language_rank, turn, liked DESC) AS final_rank
FROM (
    SELECT
        *, row_number() OVER (PARTITION BY work_no, language_rank, liked ORDER BY candidate_rank) AS turn
    FROM (
        SELECT
            u.work_no,
            u.candidate_rank,
            u.liked,
            CASE
                WHEN coalesce(u."language", l."language") = getvariable('reader_language') THEN 0
                WHEN coalesce(u."language", l."language") = w."language" THEN 1
                WHEN coalesce(u."language", l."language") IS NULL THEN 2
                ELSE 3
            END AS language_rank
        FROM usable_reviews AS u
        JOIN wanted_works AS w ON w.work_no = u.work_no
        LEFT JOIN review_languages AS l ON l.work_no = u.work_no AND l.candidate_rank = u.candidate_rank
    )
)
QUALIFY final_rank <= greatest(getvariable('reviews_per_work'), 1)
