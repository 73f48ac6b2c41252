-- damaged: the rows of `lines` as bytes, a share $damage of them damaged in one of eleven ways.
-- Input:  lines (line), of a table whose own id is the field $id. One row may become two lines (the same id twice).
WITH drawn AS (
    SELECT
        line,
        draw(hash(line), 'damage') < $damage AS is_damaged,
        below(hash(line), 'kind of damage', 11) AS kind
    FROM lines
)

SELECT
    CASE
        WHEN NOT is_damaged THEN encode(line)
        WHEN kind = 0 THEN encode(concat(left(line, length(line) // 2), chr(10)))
        WHEN kind = 1 THEN encode(left(line, 60)) || '\xFF\xFE\xC3\x28'::BLOB || encode(substr(line, 61))
        WHEN kind = 2 THEN encode(left(line, 60)) || '\x00\x00\x00'::BLOB || encode(substr(line, 61))
        WHEN kind = 3 THEN encode(concat('<html><body>502 Bad Gateway</body></html>', chr(10)))
        -- Valid JSON that is not what it should be: the id twice, the id missing, null for "", numbers for strings,
        -- a field that nobody knows; then line ends and a byte order mark from another system.
        WHEN kind = 4 THEN encode(line || line)
        WHEN kind = 5 THEN encode(replace(line, concat('"', $id, '": "'), '"lost_id": "'))
        WHEN kind = 6 THEN encode(replace(line, ': ""', ': null'))
        WHEN kind = 7 THEN encode(regexp_replace(line, '"([1-9][0-9]*)"', '\1', 'g'))
        WHEN kind = 8 THEN encode('{"unknown": {"deep": [1, 2]}, ' || substr(line, 2))
        WHEN kind = 9 THEN encode(concat(left(line, length(line) - 1), chr(13), chr(10)))
        ELSE '\xEF\xBB\xBF'::BLOB || encode(line)
    END AS line
FROM drawn
