-- compared_works: one row per work of either source: its names in lists. Inputs: compared_editions, compared_titles,
-- compared_people, works (may be empty).
-- title: Open Library's own of the work, else that of the edition with most readers, which may have a subtitle more;
-- derived (the words that mark it as a book about another one, or of several), volumes and words are those of it.
CREATE TEMP TABLE compared_works AS
WITH editions_of AS (
    SELECT
        unit, any_value(source) AS source, sum(readers)::BIGINT AS readers,
        arg_max(title, {'readers': readers, 'book_id': book_id}) AS title
    FROM compared_editions
    GROUP BY unit
),
titles_of AS (
    SELECT unit, list(DISTINCT title_key) || list(DISTINCT head_key) FILTER (NOT is_volume) AS title_keys
    FROM compared_titles
    GROUP BY unit
),
people_of AS (
    SELECT unit, list(words ORDER BY words) AS people, min("name") AS author FROM compared_people GROUP BY unit
),
own AS (
    SELECT
        work_id AS unit, any_value(original_title) AS title
    FROM works
    WHERE source_of(work_id) = 'openlibrary'
    GROUP BY work_id
)
SELECT
    *,
    list_sort(list_distinct(regexp_extract_all(plainly(title), getvariable('derived_titles')))) AS derived,
    list_filter(string_split(trim(letters_of(title)), ' '), lambda word: length(word) > 3) AS words,
    volumes_of(title) AS volumes
FROM (
    SELECT
        e.unit, e.source, e.readers,
        CASE WHEN title_key_of(o.title) <> title_key_of(before_colon(e.title)) THEN o.title ELSE e.title END AS title,
        p.author, coalesce(p.people, []) AS people, t.title_keys
    FROM editions_of AS e
    JOIN titles_of AS t USING (unit)
    LEFT JOIN people_of AS p USING (unit)
    LEFT JOIN own AS o USING (unit)
)
