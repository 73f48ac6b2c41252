-- reviews: one row per review $first to $last - 1, a line of goodreads_reviews_dedup.json.gz in `line`.
-- Inputs: texts, titles, variables. A review in 160 repeats the one before it (same user and text) on another
-- edition of the work, where there is one; one in 5,000 is of a book that the books file does not have.
WITH drawn AS (
    SELECT
        id,
        offset_of(book_of_rank(rank_drawn(draw(id, 'book')))) AS own_offset,
        CASE
            WHEN id > 0 AND below(id, 'again', 160) = 0
                THEN offset_of(book_of_rank(rank_drawn(draw(id - 1, 'book'))))
        END AS last_offset
    FROM range($first, $last) AS ids(id)
),

placed AS (
    SELECT
        id,
        own_offset,
        CASE
            WHEN last_offset + 1 < getvariable('books') AND work_at(last_offset + 1) = work_at(last_offset)
                THEN last_offset + 1
            WHEN last_offset > 0 AND work_at(last_offset - 1) = work_at(last_offset) THEN last_offset - 1
        END AS other_edition
    FROM drawn
),

based AS (
    SELECT
        id,
        CASE WHEN other_edition IS NULL THEN id ELSE id - 1 END AS source,
        book_at(coalesce(other_edition, own_offset)) AS book,
        likeness(work_at(coalesce(other_edition, own_offset))) AS work
    FROM placed
),

judged AS (
    SELECT
        *,
        getvariable('text_languages')[1 + below(book, 'language', 2000)] AS book_text,
        CASE
            WHEN draw(source, 'rating') < 0.036 THEN 0
            WHEN draw(source, 'rating') < 0.070 THEN 1
            WHEN draw(source, 'rating') < 0.142 THEN 2
            WHEN draw(source, 'rating') < 0.346 THEN 3
            WHEN draw(source, 'rating') < 0.670 THEN 4
            ELSE 5
        END AS rating,
        least(20000, exp(5.858 + 1.177 * normal(source, 'length'))) AS length,
        1167609600 + (330000000 * pow(draw(source, 'added'), 0.55))::BIGINT AS added,
        id // 32768 * 960
        + floor(960 * (1 - pow(1 - (source % 32768) / 32768.0, 4)))::BIGINT AS reader
    FROM based
),

written AS (
    SELECT
        *,
        CASE
            WHEN book_text > 0 THEN CASE WHEN chance(source, 'own tongue', 0.65) THEN book_text ELSE 0 END
            WHEN chance(source, 'foreign', 0.012) THEN 1 + below(source, 'tongue', 5)
            ELSE 0
        END AS tongue,
        hero_name(work) AS person,
        town_of(work) AS place,
        below(source, 'start', getvariable('sentences')) AS start,
        1 + 2 * below(source, 'step', 32) AS step,
        CASE WHEN rating >= 4 THEN 0 WHEN rating IN (1, 2) THEN 2 ELSE 1 END AS tone
    FROM judged
),

texted AS (
    SELECT
        written.*,
        CASE
            WHEN below(source, 'empty', 2500) = 0 THEN ''
            WHEN length < 45 AND tongue = 0 THEN pick(getvariable('short'), source, 'short') || dirt(source)
            ELSE concat(
                CASE
                    WHEN tongue = 0 AND chance(source, 'opens', 0.75)
                        THEN replace(pick(getvariable('openers'), source, 'opener'), '{title}', title) || ' '
                END,
                passage(sentences, greatest(1, round(length / 68 - 0.75)), source, start, step),
                CASE
                    WHEN tongue = 0 AND chance(source, 'closes', 0.5)
                        THEN ' ' || pick(getvariable('closers'), source, 'closer')
                END,
                CASE
                    WHEN chance(source, 'spoils', 0.03)
                        THEN ' ' || pick(getvariable('dirt_spoilers'), source, 'spoiler')
                END,
                dirt(source)
            )
        END AS template
    FROM written
    LEFT JOIN texts ON texts.text_key = text_key(work, tongue, tone)
    LEFT JOIN titles ON titles.title_key = title_key(work, book_text)
)

SELECT concat(
    '{"user_id": "', md5(concat('reader ', getvariable('seed'), ' ', reader)),
    '", "book_id": "',
    CASE WHEN below(id, 'unknown', 5000) = 0 THEN book_id(book) + 15 * getvariable('books') ELSE book_id(book) END,
    '", "review_id": "', md5(concat('review ', getvariable('seed'), ' ', id)),
    '", "rating": ', rating,
    ', "review_text": "',
    named(template, person, place),
    '", "date_added": "', goodreads_date(added),
    '", "date_updated": "',
    goodreads_date(
        added + CASE WHEN chance(id, 'updated', 0.5) THEN below(id, 'later', 2600000) ELSE below(id, 'soon', 90) END
    ),
    '", "read_at": "',
    CASE WHEN chance(id, 'read', 0.68) THEN goodreads_day(added // 86400 - below(id, 'read days', 6)) END,
    '", "started_at": "',
    CASE WHEN chance(id, 'started', 0.46) THEN goodreads_day(added // 86400 - 6 - below(id, 'started days', 25)) END,
    '", "n_votes": ', heavy_tail(id, 'votes', 0.26, 1.15),
    ', "n_comments": ', heavy_tail(id, 'comments', 0.09, 1.2),
    '}', chr(10)
) AS line
FROM texted
