-- nulled: one row per column, how many rows' fields said something that it cannot hold.
-- Input:  the view parts (the part files of the table).
SELECT "column", count(*) AS fields
FROM (SELECT unnest(string_split(nulled, ' ')) AS "column" FROM parts WHERE nulled IS NOT NULL)
GROUP BY "column"
ORDER BY "column"
