-- Grain: one row per reason for which lines were left out: `reason`, `lines` (how many) and `examples`, up to three
-- of them, the first in the file: {file, line, record_id, raw}.
-- Inputs: the view `rejects`. Nothing is dropped. Most lines first.
SELECT
    reason,
    count(*) AS lines,
    arg_min(
        {'file': file, 'line': line, 'record_id': left(record_id, 100), 'raw': raw},
        (file, line), 3
    ) AS examples
FROM rejects
GROUP BY reason
ORDER BY lines DESC, reason
