-- Grain: one row: `rows`, `fill` (column to how many rows have a value; a list without an entry has none),
-- `spectra` (distribution to {value: rows}) and `numbers`. Nothing is dropped; rows without a value count in none.
-- Inputs: the view `books`. Works are counted as in documents.sql: a book without a work_id is one of its own.
SELECT
    count(*) AS "rows",
    {
        'book_id': count(book_id), 'work_id': count(work_id), 'title': count(title),
        'title_without_series': count(title_without_series), 'description': count(description),
        'authors': count(*) FILTER (len(authors) > 0),
        'language_code': count(language_code), 'language': count(language),
        'isbn13': count(isbn13), 'format': count(format), 'publisher': count(publisher),
        'is_ebook': count(is_ebook), 'publication_year': count(publication_year),
        'publication_month': count(publication_month), 'publication_day': count(publication_day),
        'num_pages': count(num_pages), 'average_rating': count(average_rating),
        'ratings_count': count(ratings_count), 'text_reviews_count': count(text_reviews_count),
        'link': count(link), 'series': count(*) FILTER (len(series) > 0),
        'similar_books': count(*) FILTER (len(similar_books) > 0),
        'popular_shelves': count(*) FILTER (len(popular_shelves) > 0)
    } AS fill,
    {
        'languages': histogram(language),
        'languages_given': histogram(language) FILTER (language_source = 'given'),
        'languages_detected': histogram(language) FILTER (language_source = 'detected'),
        'years': histogram(publication_year),
        'pages': histogram(num_pages),
        -- 0 is Goodreads' average of a book that nobody rated.
        'ratings': histogram(average_rating) FILTER (average_rating > 0),
        'authors_per_book': histogram(len(authors)),
        'description_length': histogram(length(description)),
        'editions_per_work': (
            SELECT histogram(editions)
            FROM (SELECT count(*) AS editions FROM books GROUP BY coalesce(work_id, 'b' || book_id))
        )
    } AS spectra,
    {
        'works': (SELECT count(DISTINCT coalesce(work_id, 'b' || book_id)) FROM books),
        'books_without_work_id': count(*) FILTER (work_id IS NULL),
        'ebooks': count(*) FILTER (is_ebook),
        'ratings': sum(ratings_count)::BIGINT
    } AS numbers
FROM books
