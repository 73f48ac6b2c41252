-- books: one row per edition (book_id), in the order of the file.
-- Inputs: books_staged, books_rejects. Dropped: the lines in books_rejects.
SELECT * EXCLUDE (malformed)
FROM books_staged
WHERE line NOT IN (SELECT line FROM books_rejects)
ORDER BY line
