-- Macros of Open Library's records, beside those of macros.sql; run once per connection.

-- Keys. A work in fifty and an author in a hundred were merged: their old keys redirect, some by way of a third one.
-- Numbers that nobody has follow after those that somebody has.
CREATE OR REPLACE TEMP MACRO work_key(work) AS concat('/works/OL', work_id(work), 'W');
CREATE OR REPLACE TEMP MACRO old_work_key(work) AS
    concat('/works/OL', work_id(work) + 25 * getvariable('works'), 'W');
CREATE OR REPLACE TEMP MACRO middle_work_key(work) AS
    concat('/works/OL', work_id(work) + 50 * getvariable('works'), 'W');
CREATE OR REPLACE TEMP MACRO deleted_work_key(number) AS
    concat('/works/OL', 75 * getvariable('works') + 1 + number, 'W');
CREATE OR REPLACE TEMP MACRO unknown_work_key(number) AS
    concat('/works/OL', 100 * getvariable('works') + 1 + number, 'W');
CREATE OR REPLACE TEMP MACRO edition_key(book) AS concat('/books/OL', book_id(book), 'M');
CREATE OR REPLACE TEMP MACRO author_number(author, shift) AS author_id(author) + shift * 20 * getvariable('authors');
CREATE OR REPLACE TEMP MACRO author_key(author) AS concat('/authors/OL', author_number(author, 0), 'A');
CREATE OR REPLACE TEMP MACRO old_author_key(author) AS concat('/authors/OL', author_number(author, 1), 'A');
CREATE OR REPLACE TEMP MACRO unknown_author_key(author) AS concat('/authors/OL', author_number(author, 2), 'A');
-- The key by which a line names a work or an author: by the old one in every other line.
CREATE OR REPLACE TEMP MACRO named_work(work, id, what) AS
    CASE WHEN work % 50 = 0 AND chance(id, what, 0.5) THEN old_work_key(work) ELSE work_key(work) END;
CREATE OR REPLACE TEMP MACRO named_author(author, id) AS
    CASE
        WHEN below(id, 'unknown author', 2000) = 0 THEN unknown_author_key(author)
        WHEN author % 100 = 0 AND chance(id, 'old author', 0.5) THEN old_author_key(author)
        ELSE author_key(author)
    END;
CREATE OR REPLACE TEMP MACRO author_count(likeness) AS
    CASE
        WHEN draw(likeness, 'authors') < 0.77 THEN 1
        WHEN draw(likeness, 'authors') < 0.92 THEN 2
        WHEN draw(likeness, 'authors') < 0.965 THEN 3
        ELSE least(50, 3 + ceil(-2.2 * ln(1 - draw(likeness, 'many authors'))))
    END::BIGINT;

-- Made in 2008 to 2020, changed until September 2026; microseconds since 1970, and as the dumps write them.
CREATE OR REPLACE TEMP MACRO created(id) AS 1207008000000000 + below(id, 'created', 400000000000000);
CREATE OR REPLACE TEMP MACRO modified(id) AS created(id) + below(id, 'modified', 183000000000000);
CREATE OR REPLACE TEMP MACRO iso(microseconds) AS strftime(make_timestamp(microseconds), '%Y-%m-%dT%H:%M:%S.%f');
CREATE OR REPLACE TEMP MACRO revision(id) AS 1 + floor(-2.2 * ln(1 - draw(id, 'revision')))::BIGINT;

-- A line: five columns. `fields` are those of the JSON, each with a comma after it. One in 20,000 is there twice.
CREATE OR REPLACE TEMP MACRO record(kind, key, id, fields) AS
    concat(
        kind, chr(9), key, chr(9), revision(id), chr(9), iso(modified(id)), chr(9), '{', fields,
        '"key": "', key, '", "type": {"key": "', kind, '"}, "latest_revision": ', revision(id),
        ', "revision": ', revision(id),
        ', "created": {"type": "/type/datetime", "value": "', iso(created(id)),
        '"}, "last_modified": {"type": "/type/datetime", "value": "', iso(modified(id)), '"}}', chr(10)
    );
CREATE OR REPLACE TEMP MACRO now_and_then_twice(line, id) AS
    CASE WHEN below(id, 'twice', 20000) = 0 THEN line || line ELSE line END;

-- A field where a share of the records has it; and a text, which is as often an object as a string, and now and then
-- a list or null.
CREATE OR REPLACE TEMP MACRO field(has, name, value) AS
    CASE WHEN has THEN concat('"', name, '": ', value, ', ') ELSE '' END;
CREATE OR REPLACE TEMP MACRO quoted(value) AS concat('"', value, '"');
CREATE OR REPLACE TEMP MACRO text_value(id, value) AS
    CASE
        WHEN below(id, 'form of text', 2000) = 0 THEN 'null'
        WHEN below(id, 'form of text', 2000) = 1 THEN concat('["', value, '"]')
        WHEN below(id, 'form of text', 2000) % 2 = 0 THEN concat('{"type": "/type/text", "value": "', value, '"}')
        ELSE concat('"', value, '"')
    END;

-- A year as people write dates.
CREATE OR REPLACE TEMP MACRO month_name(id) AS
    ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November',
     'December'][1 + below(id, 'month', 12)];
CREATE OR REPLACE TEMP MACRO free_date(id, year) AS
    CASE
        WHEN draw(id, 'form of date') < 0.60 THEN year::VARCHAR
        WHEN draw(id, 'form of date') < 0.72 THEN concat(month_name(id), ' ', year)
        WHEN draw(id, 'form of date') < 0.83 THEN concat(month_name(id), ' ', 1 + below(id, 'day', 28), ', ', year)
        WHEN draw(id, 'form of date') < 0.87
            THEN concat(year, '-', lpad((1 + below(id, 'month', 12))::VARCHAR, 2, '0'), '-', 10 + below(id, 'day', 18))
        WHEN draw(id, 'form of date') < 0.90 THEN concat(1 + below(id, 'day', 28), ' ', month_name(id), ' ', year)
        WHEN draw(id, 'form of date') < 0.92 THEN concat('c', year)
        WHEN draw(id, 'form of date') < 0.94 THEN concat('c. ', year)
        WHEN draw(id, 'form of date') < 0.96 THEN concat('[', year, ']')
        WHEN draw(id, 'form of date') < 0.97 THEN concat('[', year, '?]')
        WHEN draw(id, 'form of date') < 0.98 THEN concat(year, '?')
        WHEN draw(id, 'form of date') < 0.985 THEN concat(year, '-', year + 3)
        ELSE pick(getvariable('no_dates'), id, 'no date')
    END;

-- Subjects of a book of a kind: its own words, headings of libraries (in several languages), machine tags, and whom
-- and where it is about. n is how many.
CREATE OR REPLACE TEMP MACRO subject_count(id) AS least(60, 1 + floor(-3.5 * ln(1 - draw(id, 'subjects'))))::BIGINT;
CREATE OR REPLACE TEMP MACRO subjects(id, n, own, person, place) AS
    array_to_string(list_transform(range(n), lambda i: concat(
        '"',
        CASE
            WHEN hash(id, i, 1) % 20 < 11 THEN own[1 + (hash(id, i, 2) % len(own)::UBIGINT)::BIGINT]
            WHEN hash(id, i, 1) % 20 < 15
                THEN getvariable('headings')[1 + (hash(id, i, 2) % len(getvariable('headings'))::UBIGINT)::BIGINT]
            WHEN hash(id, i, 1) % 20 < 18 THEN getvariable('machine_tags')[
                1 + (hash(id, i, 2) % len(getvariable('machine_tags'))::UBIGINT)::BIGINT
            ]
            WHEN hash(id, i, 1) % 20 = 18 THEN concat(place, ' (Imaginary place)')
            ELSE concat(person, ' (Fictitious character)')
        END,
        '"'
    )), ', ');
