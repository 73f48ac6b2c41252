-- duplicates: one row per row of a table whose id another row has, and which is not the one that is kept:
-- where it lies (part file and position in it, from 0), and why it goes.
-- Input:  the view parts (the part files of the table). KEY and PREFERENCE stand for the table's id and the order in
--         which the kept one comes first; of equals the earliest is kept.
-- Hashes find the few candidates: grouping millions of ids by their text would take many times the memory.
WITH repeated AS (
    SELECT hash(KEY) AS id_hash FROM parts GROUP BY ALL HAVING count(*) > 1
),
ranked AS (
    SELECT
        filename,
        file_row_number,
        file,
        row_number() OVER best AS rank_in_id,
        first_value(file) OVER best AS kept_file
    FROM parts
    SEMI JOIN repeated ON hash(KEY) = id_hash
    WINDOW best AS (PARTITION BY KEY ORDER BY PREFERENCE, filename, file_row_number)
)
SELECT
    filename,
    file_row_number,
    CASE WHEN file = kept_file THEN 'duplicate_KEY' ELSE 'duplicate_KEY_in_another_file' END AS reason
FROM ranked
WHERE rank_in_id > 1
