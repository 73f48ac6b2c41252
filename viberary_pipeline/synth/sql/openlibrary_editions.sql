-- openlibrary_editions: one row per edition $first to $last - 1, a line of ol_dump_editions in `line`.
-- Inputs: texts, titles, kinds, variables. One in 500 names no work, one in 3,000 a work that is not there, as many one
-- that was removed. Shares are estimates.
WITH placed AS (
    SELECT
        id AS book,
        work_at(offset_of(id)) AS work,
        likeness(work_at(offset_of(id))) AS likeness,
        1 + below(id, 'language', 2000) AS language
    FROM range($first, $last) AS ids(id)
),

drawn AS (
    SELECT
        *,
        getvariable('marc_languages')[language] AS marc,
        getvariable('text_languages')[language] AS tongue,
        hero_name(likeness) AS person,
        town_of(likeness) AS place,
        chance(book, 'described', 0.012) AS described,
        below(book, 'isbn', 1000000000) AS isbn,
        pages(book) AS pages,
        chance(book, 'has isbn', 0.5) AS has_isbn
    FROM placed
),

titled AS (
    SELECT
        drawn.*,
        subjects AS own_subjects,
        string_split(named(title || subtitle(drawn.likeness, tongue), person, place), ': ') AS titles,
        CASE WHEN described THEN named(
            passage(
                sentences, 1 + below(book, 'sentences', 5), book, below(book, 'start', getvariable('sentences')),
                1 + 2 * below(book, 'step', 32)
            ) || dirt(book),
            person,
            place
        ) END AS description
    FROM drawn
    LEFT JOIN texts ON texts.text_key = CASE WHEN described THEN text_key(drawn.likeness, tongue, 3) END
    LEFT JOIN titles ON titles.title_key = title_key(drawn.likeness, tongue)
    LEFT JOIN kinds ON kinds.kind = kind_of(drawn.likeness)
)

SELECT now_and_then_twice(record('/type/edition', edition_key(book), book, concat(
    field(chance(book, 'has publisher', 0.9), 'publishers', concat(
        '["',
        getvariable('publishers')[
            1 + floor(pow(draw(book, 'publisher'), 1.5) * len(getvariable('publishers')))::BIGINT
        ],
        '"]'
    )),
    field(below(book, 'no title', 5000) > 0, 'title', quoted(titles[1])),
    field(len(titles) > 1, 'subtitle', quoted(array_to_string(titles[2:], ': '))),
    field(chance(book, 'source', 0.85), 'source_records', concat(
        '["', pick(getvariable('sources'), book, 'source'), below(book, 'part', 43), '.utf8:',
        below(book, 'source offset', 220000000), ':', 500 + below(book, 'source length', 1500), '"]'
    )),
    field(chance(book, 'has authors', 0.7), 'authors', concat(
        '[{"key": "', named_author(author_of(likeness, 0), book), '"}]'
    )),
    field(chance(book, 'by', 0.25), 'by_statement', concat('"by ', author_name(author_of(likeness, 0)), '."')),
    CASE
        WHEN below(book, 'no work', 500) = 0 THEN ''
        WHEN below(book, 'lost work', 3000) = 0 THEN concat('"works": [{"key": "', unknown_work_key(book), '"}], ')
        WHEN below(book, 'lost work', 3000) = 1
            THEN concat('"works": [{"key": "', deleted_work_key(book % (getvariable('works') // 200 + 1)), '"}], ')
        ELSE concat('"works": [{"key": "', named_work(work, book, 'old work'), '"}], ')
    END,
    field(chance(book, 'has language', 0.75), 'languages', CASE
        WHEN below(book, 'form of language', 3000) = 0 THEN concat('["', marc, '"]')
        WHEN below(book, 'form of language', 3000) = 1 THEN concat('[{"key": "/l/', marc, '"}]')
        ELSE concat('[{"key": "/languages/', marc, '"}]')
    END),
    field(has_isbn, 'isbn_10', concat('["', isbn10(isbn), '"]')),
    field(has_isbn AND chance(book, 'has isbn13', 0.85), 'isbn_13', concat('["', isbn13(isbn), '"]')),
    field(chance(book, 'identified', 0.15), 'identifiers', CASE
        WHEN chance(book, 'goodreads', 0.75) THEN concat('{"goodreads": ["', book_id(book), '"]}')
        ELSE concat('{"librarything": ["', below(book, 'librarything', 9000000), '"]}')
    END),
    field(chance(book, 'dated', 0.93), 'publish_date', quoted(free_date(book, year_of(book)))),
    field(chance(book, 'placed', 0.6), 'publish_places', concat('["', pick(getvariable('towns'), book, 'town'), '"]')),
    field(chance(book, 'placed', 0.65), 'publish_country', quoted(pick(getvariable('countries'), book, 'country'))),
    field(chance(book, 'has pages', 0.6), 'number_of_pages', CASE
        WHEN below(book, 'odd pages', 3000) = 0 THEN concat('"', pages, ' p."')
        ELSE pages::VARCHAR
    END),
    field(chance(book, 'paginated', 0.5), 'pagination', concat('"viii, ', pages, ' p. ;"')),
    field(chance(book, 'has format', 0.35), 'physical_format', quoted(pick(getvariable('formats'), book, 'format'))),
    field(chance(book, 'oclc', 0.3), 'oclc_numbers', concat('["', 1 + below(book, 'oclc number', 900000000), '"]')),
    field(chance(book, 'lccn', 0.25), 'lccn', concat('["', 50000000 + below(book, 'lccn number', 49000000), '"]')),
    field(chance(book, 'classified', 0.25), 'lc_classifications', concat(
        '["P', chr(65 + below(book, 'class', 26)::INTEGER), below(book, 'class number', 9000), ' .A',
        below(book, 'cutter', 99), '"]'
    )),
    field(chance(book, 'dewey', 0.15), 'dewey_decimal_class', concat('["', 800 + below(book, 'dewey', 99), '/.5"]')),
    field(chance(book, 'has subjects', 0.35), 'subjects', concat(
        '[', subjects(work, least(6, subject_count(work)), own_subjects, person, place), ']'
    )),
    field(in_series(likeness) AND chance(book, 'names series', 0.5), 'series',
          concat('["', series_name(series_of(likeness)), '"]')),
    field(chance(book, 'has edition', 0.09), 'edition_name', quoted(pick(getvariable('editions'), book, 'edition'))),
    field(chance(book, 'noted', 0.2), 'notes', text_value(book, pick(getvariable('notes'), book, 'note'))),
    field(described, 'description', text_value(book + 3, description)),
    field(chance(book, 'has cover', 0.3), 'covers', concat('[', 1 + below(book, 'cover', 14500000), ']'))
)), book) AS line
FROM titled
