-- openlibrary_damaged: the rows of `lines` as bytes, a share $damage of them damaged in one of twelve ways.
-- Input:  lines (line), with columns separated by tabs. One row may become two lines.
WITH drawn AS (
    SELECT
        line,
        draw(hash(line), 'damage') < $damage AS is_damaged,
        below(hash(line), 'kind of damage', 12) AS kind,
        line[:-2] AS columns,
        length(line) // 2 AS middle
    FROM lines
)

SELECT
    CASE
        WHEN NOT is_damaged THEN encode(line)
        WHEN kind = 0 THEN encode(concat(left(line, middle), chr(10)))
        WHEN kind = 1 THEN encode(left(line, middle)) || '\xFF\xFE\xC3\x28'::BLOB || encode(substr(line, middle + 1))
        WHEN kind = 2 THEN encode(left(line, middle)) || '\x00\x00\x00'::BLOB || encode(substr(line, middle + 1))
        WHEN kind = 3 THEN encode(concat('<html><body>502 Bad Gateway</body></html>', chr(10)))
        WHEN kind = 4 THEN encode(concat(left(line, middle), chr(9), substr(line, middle + 1)))
        WHEN kind = 5 THEN encode(regexp_replace(line, '\t[^\t]*', ''))
        WHEN kind = 6 THEN encode(concat(columns, chr(9), 'one more', chr(10)))
        WHEN kind = 7 THEN encode(concat(regexp_replace(columns, '[^\t]*$', ''), chr(10)))
        WHEN kind = 8 THEN encode(concat(regexp_replace(columns, '[^\t]*$', 'null'), chr(10)))
        WHEN kind = 9 THEN encode(concat(columns, chr(13), chr(10)))
        WHEN kind = 10 THEN encode(line || line)
        ELSE '\xEF\xBB\xBF'::BLOB || encode(line)
    END AS line
FROM drawn
