-- openlibrary_works: one row per work $first to $last - 1, a line of ol_dump_works in `line` (now and then it twice).
-- Inputs: texts, titles, kinds, variables. Shares are those that were counted in a dump of 10 million works: 95 % have
-- authors, 59 % subjects, 32 % covers, 19 % a first date, 4.4 % a description (the best-known 2 % all have one), all
-- but one in 10,000 a title. How often a form is met is an estimate.
-- The variable changed is the share of works whose descriptions and subjects are others than in the first month.
WITH placed AS (
    SELECT
        id AS work,
        likeness(id) AS likeness,
        book_at(first_offset(id)) AS book
    FROM range($first, $last) AS ids(id)
),

drawn AS (
    SELECT
        *,
        getvariable('text_languages')[1 + below(book, 'language', 2000)] AS tongue,
        hero_name(likeness) AS person,
        town_of(likeness) AS place,
        rank_of(book) < 0.02 * getvariable('books') OR chance(work, 'described', 0.0245) AS described,
        exp(5.9 + 0.7 * normal(work, 'length')) AS length,
        CASE WHEN chance(work, 'changed', getvariable('changed')) THEN work + getvariable('works') ELSE work END AS draft,
        below(draft, 'start', getvariable('sentences')) AS start,
        1 + 2 * below(work, 'step', 32) AS step,
        CASE
            WHEN work = 12345 AND getvariable('works') > 100000 THEN 40000  -- there is such a work
            WHEN chance(work, 'has subjects', 0.59) THEN subject_count(work)
            ELSE 0
        END AS subject_count
    FROM placed
),

titled AS (
    SELECT
        drawn.*,
        subjects AS own_subjects,
        string_split(named(title || subtitle(drawn.likeness, tongue), person, place), ': ') AS titles,
        CASE WHEN described THEN named(
            passage(sentences, greatest(1, round(length / 88)), work, start, step) || dirt(work)
            || CASE
                WHEN chance(work, 'has source', 0.1)
                    THEN '\r\n\r\n([source][1])\r\n\r\n----------\r\n  [1]: https://www.example.com/' || place
                ELSE ''
            END,
            person,
            place
        ) END AS description
    FROM drawn
    LEFT JOIN texts ON texts.text_key = CASE WHEN described THEN text_key(drawn.likeness, tongue, 3) END
    LEFT JOIN titles ON titles.title_key = title_key(drawn.likeness, tongue)
    LEFT JOIN kinds ON kinds.kind = kind_of(drawn.likeness)
),

listed AS (
    SELECT
        *,
        array_to_string(list_transform(
            range(CASE WHEN chance(work, 'has authors', 0.95) THEN author_count(likeness) ELSE 0 END),
            lambda i: CASE
                WHEN below(work * 64 + i, 'form', 200) < 180 THEN concat(
                    '{"author": {"key": "', named_author(author_of(likeness, i), work * 64 + i),
                    '"}, "type": {"key": "/type/author_role"}}'
                )
                WHEN below(work * 64 + i, 'form', 200) < 188 THEN concat(
                    '{"type": "/type/author_role", "author": {"key": "',
                    named_author(author_of(likeness, i), work * 64 + i), '"}}'
                )
                WHEN below(work * 64 + i, 'form', 200) < 194 THEN concat(
                    '{"author": {"key": "/a/OL', author_number(author_of(likeness, i), 0), 'A"}}'
                )
                WHEN below(work * 64 + i, 'form', 200) < 197
                    THEN concat('{"author": "', named_author(author_of(likeness, i), work * 64 + i), '"}')
                WHEN below(work * 64 + i, 'form', 200) = 197
                    THEN concat('{"key": "', named_author(author_of(likeness, i), work * 64 + i), '"}')
                WHEN below(work * 64 + i, 'form', 200) = 198
                    THEN concat('"', named_author(author_of(likeness, i), work * 64 + i), '"')
                ELSE '{"type": {"key": "/type/author_role"}, "author": {"key": "'
                    || author_key(author_of(likeness, i)) || '"}, "as": null}'
            END
        ), ', ') AS authors
    FROM titled
)

SELECT now_and_then_twice(record('/type/work', work_key(work), work, concat(
    field(below(work, 'no title', 10000) > 0, 'title', quoted(titles[1])),
    field(len(titles) > 1, 'subtitle', quoted(array_to_string(titles[2:], ': '))),
    field(authors <> '', 'authors', concat('[', authors, ']')),
    field(described, 'description', text_value(work, description)),
    field(subject_count > 0, 'subjects',
          concat('[', subjects(draft, subject_count, own_subjects, person, place), ']')),
    field(chance(work, 'places', 0.1), 'subject_places', concat('["', place, '"]')),
    field(chance(work, 'people', 0.08), 'subject_people', concat('["', person, '"]')),
    field(chance(work, 'times', 0.06), 'subject_times', '["20th century"]'),
    CASE
        WHEN chance(work, 'has cover', 0.32) THEN concat(
            '"covers": [', CASE WHEN chance(work, 'lost cover', 0.03) THEN '-1, ' END,
            1 + below(work, 'cover', 14500000),
            CASE WHEN chance(work, 'more covers', 0.15) THEN concat(', ', 1 + below(work, 'second cover', 14500000)) END,
            '], '
        )
        WHEN chance(work, 'no cover', 0.02) THEN '"covers": [-1], '
        ELSE ''
    END,
    field(chance(work, 'first date', 0.19), 'first_publish_date', quoted(free_date(work, year_of(book)))),
    field(chance(work, 'first sentence', 0.01), 'first_sentence',
          text_value(work + 7, concat('It began in ', place, ', where nobody knew ', person, '.'))),
    field(chance(work, 'links', 0.02), 'links',
          '[{"title": "Wikipedia", "url": "https://en.wikipedia.org/wiki/Book", "type": {"key": "/type/link"}}]')
)), work) AS line
FROM listed
