-- Grain: one row, one column per metric of the table `documents`, and of how the four tables fit together
-- (documents is downstream of the other three, so every cross-table metric is here).
-- Inputs: the views `documents`, `books`, `authors`, `reviews`; the macros is_blank, rows_where and share_where; the
-- variable `works_left_out`, how many works the filters of documents left out on purpose.
-- Nothing is dropped. A book without a work_id is a work of its own, as in documents/sql/documents.sql.
SELECT
    count(*) AS row_count,
    count(*) + getvariable('works_left_out')
    - (SELECT count(DISTINCT coalesce(work_id, 'b' || book_id)) FROM books) AS documents_minus_works,
    rows_where(work_id IS NULL, concat('book ', book_id)) AS rows_without_work_id,
    (
        SELECT rows_where(copies > 1, concat('work ', work_id))
        FROM (SELECT work_id, count(*) AS copies FROM documents WHERE work_id IS NOT NULL GROUP BY work_id)
    ) AS repeated_work_ids,
    (
        SELECT rows_where(copies > 1, concat('book ', book_id))
        FROM (SELECT book_id, count(*) AS copies FROM documents WHERE book_id IS NOT NULL GROUP BY book_id)
    ) AS repeated_book_ids,
    (
        SELECT rows_where(known.book_id IS NULL, concat('work ', work_id))
        FROM documents LEFT JOIN (SELECT DISTINCT book_id FROM books) AS known USING (book_id)
    ) AS rows_of_unknown_books,
    rows_where(is_blank(text), concat('work ', work_id)) AS rows_without_text,
    rows_where(
        text_hash IS NULL OR NOT regexp_full_match(text_hash, '[0-9a-f]{64}'), concat('work ', work_id)
    ) AS malformed_hashes,
    rows_where(text_hash <> sha256(text), concat('work ', work_id)) AS wrong_hashes,
    (
        SELECT share_where(copies = 1, concat('work ', work_id))
        FROM (
            SELECT count(*) AS copies, min(work_id) AS work_id
            FROM documents
            WHERE text_hash IS NOT NULL
            GROUP BY text_hash
        )
    ) AS share_of_texts_used_once,
    median(length(text)) AS median_text_length,
    (
        SELECT share_where(copies = 1, concat(copies, ' times work ', work_id))
        FROM (
            SELECT count(*) AS copies, min(work_id) AS work_id
            FROM documents
            WHERE author <> ''
            GROUP BY hash(lower(title), lower(author))
        )
    ) AS share_of_titles_and_authors_used_once,
    share_where("language" IS NOT NULL, concat('work ', work_id)) AS share_with_language,
    (
        SELECT share_where("language" = 'en', concat('work ', work_id, ': ', "language"))
        FROM documents
        WHERE "language" IS NOT NULL
    ) AS share_of_languages_english,
    share_where(reviews_used > 0, concat('work ', work_id)) AS share_with_review,
    share_where(author <> '', concat('work ', work_id)) AS share_with_author,
    share_where(NOT thin, concat('work ', work_id)) AS share_not_thin,
    (
        SELECT share_where(known.book_id IS NOT NULL, concat('review ', review_id))
        FROM reviews LEFT JOIN (SELECT DISTINCT book_id FROM books) AS known USING (book_id)
    ) AS share_of_reviews_with_known_book,
    (
        SELECT share_where(known.author_id IS NOT NULL, concat('book ', book_id, ': author ', author_id))
        FROM (SELECT book_id, unnest(authors).author_id AS author_id FROM books)
        LEFT JOIN (SELECT DISTINCT author_id FROM authors) AS known USING (author_id)
    ) AS share_of_author_links_found
FROM documents
