-- compared_titles: one row per work and title of it or of one of its editions.
-- Inputs: compared_editions, works (may be empty). Variables: derived_titles, plain_subtitles.
-- title_key: of the whole title; of what stands before a colon where the subtitle says only what kind of book it is.
-- head_key: of what stands before a colon. derived: it is the title of a book about another one, or of several.
-- Dropped: titles that Open Library has of a work as the heads of longer ones of its editions: their subtitle is missing.
CREATE TEMP TABLE compared_titles AS
WITH given AS (
    SELECT unit, source, title, false AS of_work FROM compared_editions
    UNION
    SELECT work_id, source_of(work_id), original_title, true FROM works WHERE original_title IS NOT NULL
),
parts AS (
    SELECT
        *,
        title_key_of(before_colon(title)) AS head_key,
        title_key_of(without_edition(title)) AS whole_key,
        trim(letters_of(behind_colon(title))) AS subtitle,
        own_volume(title) AS volume,
        regexp_matches(plainly(title), getvariable('derived_titles')) AS derived
    FROM given
)
SELECT
    unit, source, title, derived, volume IS NOT NULL AS is_volume, head_key,
    CASE
        WHEN volume IS NOT NULL THEN whole_key || '#' || volume
        WHEN subtitle = '' OR list_contains(getvariable('plain_subtitles'), subtitle) THEN head_key
        ELSE whole_key
    END AS title_key
FROM parts
WHERE head_key IS NOT NULL AND whole_key IS NOT NULL
QUALIFY
    NOT (of_work AND source = 'openlibrary')
    OR count(*) FILTER (NOT of_work AND whole_key <> head_key) OVER (PARTITION BY unit, head_key) = 0
