-- Macros of the synthetic catalogue; run once per connection. A number from 0 stands for each book, work and review;
-- whatever is random follows from it, the seed and a word that says what is drawn.

-- 64 bits; [0, 1); a standard normal (Box-Muller); one entry of a list; true for a share of the numbers.
CREATE OR REPLACE TEMP MACRO bits(id, what) AS hash(id, what, getvariable('seed'));
CREATE OR REPLACE TEMP MACRO draw(id, what) AS (bits(id, what) >> 11)::DOUBLE / 9007199254740992.0;
CREATE OR REPLACE TEMP MACRO below(id, what, n) AS (bits(id, what) % n::UBIGINT)::BIGINT;
CREATE OR REPLACE TEMP MACRO normal(id, what) AS
    sqrt(-2 * ln(1 - draw(id, what))) * cos(6.283185307179586 * draw(id, what || ' angle'));
CREATE OR REPLACE TEMP MACRO pick(list, id, what) AS list[1 + below(id, what, len(list))];
CREATE OR REPLACE TEMP MACRO chance(id, what, share) AS draw(id, what) < share;

-- Bijections: book to offset and back, book to popularity rank and back, and numbers to Goodreads-like ids.
CREATE OR REPLACE TEMP MACRO scattered(x, factor, shift, n) AS (x * factor + shift) % n;
CREATE OR REPLACE TEMP MACRO gathered(y, inverse, shift, n) AS (((y - shift + n) % n) * inverse) % n;
CREATE OR REPLACE TEMP MACRO offset_of(book) AS
    scattered(book, getvariable('offset_factor'), getvariable('offset_shift'), getvariable('books'));
CREATE OR REPLACE TEMP MACRO book_at(place) AS
    gathered(place, getvariable('offset_inverse'), getvariable('offset_shift'), getvariable('books'));
CREATE OR REPLACE TEMP MACRO rank_of(book) AS
    scattered(book, getvariable('rank_factor'), getvariable('rank_shift'), getvariable('books'));
CREATE OR REPLACE TEMP MACRO book_of_rank(place) AS
    gathered(place, getvariable('rank_inverse'), getvariable('rank_shift'), getvariable('books'));
CREATE OR REPLACE TEMP MACRO book_id(book) AS
    1 + 15 * scattered(book, getvariable('book_factor'), getvariable('book_shift'), getvariable('books'))
    + below(book, 'book id', 15);
CREATE OR REPLACE TEMP MACRO work_id(work) AS
    1 + 25 * scattered(work, getvariable('work_factor'), getvariable('work_shift'), getvariable('works'))
    + below(work, 'work id', 25);
CREATE OR REPLACE TEMP MACRO author_id(author) AS
    1 + 20 * scattered(author, getvariable('author_factor'), getvariable('author_shift'), getvariable('authors'))
    + below(author, 'author id', 20);
CREATE OR REPLACE TEMP MACRO series_id(serial) AS
    100000 + 2 * scattered(serial, getvariable('serial_factor'), getvariable('serial_shift'), getvariable('series'));

-- Editions: the first offsets are works of one edition; after them editions per work rise as in a Pareto
-- distribution of shape 2 (from 1.75 to some 3 times the square root of the number of such works).
CREATE OR REPLACE TEMP MACRO work_at(place) AS
    CASE
        WHEN place < getvariable('single_works') THEN place
        ELSE getvariable('single_works') + least(
            getvariable('several_works') - 1,
            floor(
                getvariable('several_works')
                * (1 - pow(1 - (place - getvariable('single_works')) / getvariable('several_books')::DOUBLE, 2))
            )::BIGINT
        )
    END;
CREATE OR REPLACE TEMP MACRO guessed_offset(work) AS
    getvariable('single_works') + ceil(
        getvariable('several_books')
        * (1 - sqrt(greatest(0, 1 - (work - getvariable('single_works')) / getvariable('several_works')::DOUBLE)))
    )::BIGINT;
-- The guess may be one off, by rounding. One past the last work it is the number of books.
CREATE OR REPLACE TEMP MACRO first_offset(work) AS
    CASE
        WHEN work <= getvariable('single_works') THEN work
        WHEN work >= getvariable('works') THEN getvariable('books')
        WHEN work_at(guessed_offset(work) - 1) = work THEN guessed_offset(work) - 1
        WHEN work_at(guessed_offset(work)) = work THEN guessed_offset(work)
        ELSE guessed_offset(work) + 1
    END;

-- Popularity (Zipf-Mandelbrot): reviews that a book of this rank would have at 6.67 per book, and its inverse.
CREATE OR REPLACE TEMP MACRO expected_reviews(place) AS
    6.67 * getvariable('beta') / (getvariable('rank_high') - getvariable('rank_low'))
    * pow((place + 0.5) / getvariable('books') + getvariable('rank_offset'), getvariable('beta') - 1);
CREATE OR REPLACE TEMP MACRO rank_drawn(uniform) AS
    least(getvariable('books') - 1, greatest(0, floor(getvariable('books') * (
        pow(
            uniform * (getvariable('rank_high') - getvariable('rank_low')) + getvariable('rank_low'),
            1 / getvariable('beta')
        ) - getvariable('rank_offset')
    ))::BIGINT));

-- A work in 200 looks like the one before it: same title, author and theme, another work_id.
CREATE OR REPLACE TEMP MACRO likeness(work) AS
    CASE WHEN work > 0 AND below(work, 'double', 200) = 0 THEN work - 1 ELSE work END;
CREATE OR REPLACE TEMP MACRO theme_of(likeness) AS (likeness % getvariable('themes'))::INTEGER;
CREATE OR REPLACE TEMP MACRO kind_of(likeness) AS (likeness % getvariable('kinds'))::INTEGER;
CREATE OR REPLACE TEMP MACRO title_key(likeness, text_language) AS
    CASE
        WHEN text_language = 0
            THEN kind_of(likeness) * getvariable('titles') + below(likeness, 'title', getvariable('titles'))
        ELSE getvariable('kinds') * getvariable('titles') + (text_language - 1) * getvariable('foreign_titles')
            + below(likeness, 'title', getvariable('foreign_titles'))
    END::INTEGER;
CREATE OR REPLACE TEMP MACRO subtitle(likeness, text_language) AS
    CASE
        WHEN text_language = 0 AND chance(likeness, 'has subtitle', 0.4)
            THEN pick(getvariable('subtitles'), likeness, 'subtitle')
        ELSE ''
    END;
CREATE OR REPLACE TEMP MACRO text_key(likeness, text_language, tone) AS
    CASE
        WHEN text_language = 0 THEN theme_of(likeness) * 4 + tone
        ELSE getvariable('foreign_texts') + (text_language - 1) * getvariable('kinds') + kind_of(likeness)
    END::INTEGER;
CREATE OR REPLACE TEMP MACRO hero_name(likeness) AS
    concat(
        pick(getvariable('first_names'), likeness, 'hero'),
        CASE WHEN chance(likeness, 'surname', 0.5) THEN ' ' || pick(getvariable('last_names'), likeness, 'surname') END
    );
CREATE OR REPLACE TEMP MACRO town_of(likeness) AS pick(getvariable('towns'), likeness, 'town');
CREATE OR REPLACE TEMP MACRO author_name(author) AS
    concat(
        pick(getvariable('first_names'), author, 'first'), ' ',
        CASE WHEN chance(author, 'has middle', 0.2) THEN chr(65 + below(author, 'middle', 26)::INTEGER) || '. ' END,
        pick(getvariable('last_names'), author, 'last')
    );
-- Authors stay with their kind of book; the first numbers write most.
CREATE OR REPLACE TEMP MACRO author_of(likeness, nth) AS
    (
        floor(pow(draw(likeness * 64 + nth, 'author'), 1.6) * getvariable('authors') / getvariable('kinds'))::BIGINT
        * getvariable('kinds') + kind_of(likeness)
    ) % getvariable('authors');

-- {name} and {town} filled in: one split is a third of the cost of two replace(). No other text has a brace.
-- `person` and `place` must be columns: an expression would be evaluated for each piece.
CREATE OR REPLACE TEMP MACRO named(text, person, place) AS
    CASE
        WHEN contains(text, '{') THEN array_to_string(list_transform(
            string_split(text, '{'),
            lambda piece, i: CASE
                WHEN i = 1 THEN piece
                WHEN starts_with(piece, 'name}') THEN person || substr(piece, 6)
                ELSE place || substr(piece, 6)
            END
        ), '')
        ELSE text
    END;
-- n sentences from a list, each once (until all are used up), from some start with some odd step.
CREATE OR REPLACE TEMP MACRO passage(sentences, n, id, start, step) AS
    array_to_string(
        list_transform(
            range(n::BIGINT),
            lambda i: CASE WHEN i = 0 THEN '' WHEN hash(id, i) % 14 = 0 THEN '\n\n' ELSE ' ' END
            || sentences[1 + (start + i * step) % len(sentences)]
        ), ''
    );
-- What is not text: a share of texts ends with it. Shares are estimates from samples, not counts.
CREATE OR REPLACE TEMP MACRO dirt(id) AS
    concat(
        CASE WHEN chance(id, 'tags', 0.035) THEN ' ' || pick(getvariable('dirt_tags'), id, 'tag') END,
        CASE WHEN chance(id, 'entities', 0.02) THEN ' ' || pick(getvariable('dirt_entities'), id, 'entity') END,
        CASE WHEN chance(id, 'urls', 0.015) THEN ' ' || pick(getvariable('dirt_urls'), id, 'url') END,
        CASE WHEN chance(id, 'characters', 0.02) THEN pick(getvariable('dirt_characters'), id, 'character') END
    );

-- Seconds since 1970 of a clock on the Pacific coast as 'Sun Jul 30 07:44:10 -0700 2017'; and midnight of a day.
-- Daylight saving is from about 11 March to 3 November: the law's dates move, these do not.
CREATE OR REPLACE TEMP MACRO is_summer(moment) AS dayofyear(moment) BETWEEN 70 AND 307;
CREATE OR REPLACE TEMP MACRO goodreads_date(seconds) AS
    CASE
        WHEN is_summer(make_timestamp(seconds * 1000000))
            THEN strftime(make_timestamp(seconds * 1000000), '%a %b %d %H:%M:%S -0700 %Y')
        ELSE strftime(make_timestamp(seconds * 1000000), '%a %b %d %H:%M:%S -0800 %Y')
    END;
CREATE OR REPLACE TEMP MACRO goodreads_day(days) AS goodreads_date(days * 86400);
-- 0 but for a share; then a Pareto distribution of the given shape.
CREATE OR REPLACE TEMP MACRO heavy_tail(id, what, share, shape) AS
    CASE
        WHEN chance(id, what || ' at all', share)
            THEN least(9999, floor(pow(1 - draw(id, what), -1 / shape)))::INTEGER
        ELSE 0
    END;

-- Series: three of ten works are in one, with works of neighbouring numbers.
CREATE OR REPLACE TEMP MACRO in_series(likeness) AS chance(likeness, 'in series', 0.3);
CREATE OR REPLACE TEMP MACRO series_of(likeness) AS likeness * getvariable('series') // getvariable('works');
CREATE OR REPLACE TEMP MACRO series_name(serial) AS
    concat(
        CASE WHEN chance(serial, 'article', 0.5) THEN 'The ' END, pick(getvariable('towns'), serial, 'place'),
        pick([' Chronicles', ' Trilogy', ' Saga', ' Mysteries', ' Novels', ' Cycle', ' Files', ''], serial, 'word')
    );
-- An edition of a work with the same theme (of those with one edition, whose offset is their number).
CREATE OR REPLACE TEMP MACRO similar_offset(likeness, nth) AS
    (
        theme_of(likeness)
        + getvariable('themes') * below(
            likeness * 32 + nth, 'similar to', getvariable('single_works') // getvariable('themes') + 1
        )
    ) % getvariable('single_works');

-- ISBN-13 and ISBN-10 of nine digits, with their check digits (ISO 2108).
CREATE OR REPLACE TEMP MACRO digit(number, place) AS number // (10 ** place)::BIGINT % 10;
CREATE OR REPLACE TEMP MACRO isbn13(number) AS
    concat('978', lpad(number::VARCHAR, 9, '0'), (10 - (
        38 + 3 * (digit(number, 8) + digit(number, 6) + digit(number, 4) + digit(number, 2) + digit(number, 0))
        + digit(number, 7) + digit(number, 5) + digit(number, 3) + digit(number, 1)
    ) % 10) % 10);
CREATE OR REPLACE TEMP MACRO isbn10_check(number) AS (
    11 - (
        10 * digit(number, 8) + 9 * digit(number, 7) + 8 * digit(number, 6) + 7 * digit(number, 5)
        + 6 * digit(number, 4) + 5 * digit(number, 3) + 4 * digit(number, 2) + 3 * digit(number, 1)
        + 2 * digit(number, 0)
    ) % 11
) % 11;
CREATE OR REPLACE TEMP MACRO isbn10(number) AS
    concat(
        lpad(number::VARCHAR, 9, '0'),
        CASE WHEN isbn10_check(number) = 10 THEN 'X' ELSE isbn10_check(number)::VARCHAR END
    );
CREATE OR REPLACE TEMP MACRO asin(number) AS
    concat('B00', upper(substr(md5(concat(getvariable('seed'), number)), 1, 7)));

-- Numbers of an edition, with what is out of range in UCSD's file: shares are estimates.
CREATE OR REPLACE TEMP MACRO pages(book) AS
    CASE
        WHEN below(book, 'wrong pages', 20000) = 0 THEN pick([0, 945077, 99999, 32767], book, 'pages')
        ELSE greatest(8, least(3000, floor(exp(5.5 + 0.55 * normal(book, 'pages')))))::BIGINT
    END;
CREATE OR REPLACE TEMP MACRO year_of(book) AS
    CASE
        WHEN below(book, 'wrong year', 2500) = 0 THEN pick([0, 65535, 3013, 20006, 201, 2, 19], book, 'year')
        ELSE 2017 - floor(-11.5 * ln(1 - draw(book, 'year')))::BIGINT % 300
    END;
CREATE OR REPLACE TEMP MACRO month_of(book) AS
    CASE
        WHEN below(book, 'wrong month', 50000) = 0 THEN 13 + below(book, 'month', 13)
        ELSE 1 + below(book, 'month', 12)
    END;
CREATE OR REPLACE TEMP MACRO day_of(book) AS
    CASE
        WHEN below(book, 'wrong day', 50000) = 0 THEN 32 + below(book, 'day', 96)
        WHEN chance(book, 'first day', 0.4) THEN 1
        ELSE 1 + below(book, 'day', 28)
    END;
