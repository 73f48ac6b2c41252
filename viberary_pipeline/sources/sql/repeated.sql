-- repeated: the lines of a block of whose id the block has a better row. Input: the table block. KEY and PREFERENCE stand
-- for the table's id and the order in which the kept one comes first; of equals the earliest is kept.
SELECT block_line
FROM (
    SELECT block_line, row_number() OVER (PARTITION BY KEY ORDER BY PREFERENCE, block_line) AS rank_in_id
    FROM block
    WHERE
        reason IS NULL
        AND KEY IN (SELECT KEY FROM block WHERE reason IS NULL GROUP BY KEY HAVING count(*) > 1)
)
WHERE rank_in_id > 1
