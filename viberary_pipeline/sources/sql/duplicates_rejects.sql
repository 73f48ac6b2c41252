-- duplicates_rejects: one row per duplicate in a part, as the table of rejects has them.
-- Input:  the view part (record: the row as a struct; file_row_number), the table duplicates. KEY stands for the
--         table's id. Parameter: $filename, the part's.
SELECT
    record.file,
    record.line,
    duplicates.reason,
    record.KEY AS record_id,
    left(CAST(to_json(record) AS VARCHAR), 500) AS raw
FROM part
JOIN duplicates ON duplicates.filename = $filename AND duplicates.file_row_number = part.file_row_number
