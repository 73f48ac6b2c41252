-- duplicates_rest: the rows of a part that are no duplicates, in their order.
-- Input:  the view part (record: the row as a struct; file_row_number), the table duplicates.
-- Parameter: $filename, the part's.
SELECT unnest(record)
FROM part
ANTI JOIN duplicates ON duplicates.filename = $filename AND duplicates.file_row_number = part.file_row_number
ORDER BY part.file_row_number
