-- subject_names: one row per subject as written and name that it gives: none (name is null), one, or several.
-- Inputs: subjects_used (written: each subject once, as the records have it), subject_spellings (part, shown).
-- Variables, from subjects.toml: subject_machine, subject_divider, subject_forms, subject_dropped, subject_adjectives,
-- longest_subject.
-- kind: 'machine' (a program's mark), 'heading' (split), 'plain', or 'silent' (words that say nothing, names, dates).
-- A part is a name as it is spelled in the rules; else, without what stands in brackets, if it is no part that says
-- nothing, no longer than the longest, and holds no comma ("Austen, Jane") but before an adjective ("Novelists, American").
CREATE TEMP TABLE subject_names AS
WITH plain AS (
    SELECT
        written,
        -- "holmes, sherlock (fictitious character)" is sherlock holmes.
        regexp_replace(
            regexp_replace(fold_space(lower(nfc_normalize(written))), '\.$', ''),
            '([^,/]+), ([^,()/]+) \(fictitious characters?\)', '\2 \1', 'g'
        ) AS subject
    FROM subjects_used
),
split AS (
    SELECT
        written, subject,
        regexp_matches(subject, getvariable('subject_machine')) AS machine,
        CASE
            -- A heading that the rules know as a whole ("world war, 1939-1945").
            WHEN list_contains(getvariable('subject_spellings'), subject) THEN [subject]
            ELSE
                flatten([
                    CASE
                        WHEN
                            NOT list_contains(getvariable('subject_spellings'), trim(piece))
                            AND len(list_filter(
                                string_split(piece, ','), lambda one: regexp_matches(trim(one), getvariable('subject_forms'))
                            )) > 0
                            THEN string_split(piece, ',')
                        ELSE [piece]
                    END
                    FOR piece IN regexp_split_to_array(subject, getvariable('subject_divider'))
                ])
        END AS parts
    FROM plain
),
named AS (
    SELECT written, subject, machine, len(parts) > 1 AS heading, trim(unnest(parts)) AS part
    FROM split
    WHERE NOT machine
),
spelled AS (
    SELECT
        n.written, n.heading, s.shown,
        trim(regexp_replace(n.part, '\s*\([^()]*\)|[()]', '', 'g')) AS bare
    FROM named AS n
    LEFT JOIN subject_spellings AS s USING (part)
),
turned AS (
    SELECT
        written, heading, shown,
        CASE
            WHEN len(string_split(bare, ',')) = 2 AND regexp_matches(trim(string_split(bare, ',')[2]), getvariable('subject_adjectives'))
                THEN trim(string_split(bare, ',')[2]) || ' ' || trim(string_split(bare, ',')[1])
            ELSE bare
        END AS bare
    FROM spelled
),
again AS (
    SELECT
        t.written, t.heading,
        coalesce(
            t.shown, s.shown,
            CASE
                WHEN
                    length(t.bare) BETWEEN 2 AND getvariable('longest_subject')
                    AND NOT contains(t.bare, ',')
                    AND regexp_matches(t.bare, '\p{L}')
                    AND NOT regexp_matches(t.bare, getvariable('subject_dropped'))
                    THEN t.bare
            END
        ) AS "name"
    FROM turned AS t
    LEFT JOIN subject_spellings AS s ON s.part = t.bare
)
SELECT DISTINCT written, "name", CASE WHEN heading THEN 'heading' ELSE 'plain' END AS kind
FROM again
WHERE "name" IS NOT NULL
UNION ALL
SELECT split.written, NULL, CASE WHEN split.machine THEN 'machine' ELSE 'silent' END
FROM split
ANTI JOIN (SELECT written FROM again WHERE "name" IS NOT NULL) AS telling USING (written)
