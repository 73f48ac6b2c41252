-- The text, or NULL where it holds nothing that can be seen: only white space, control and other invisible characters.
CREATE MACRO visible(value) AS CASE WHEN regexp_matches(value, '[^\s\p{C}\p{Z}]') THEN value END;

-- The share, 0 to 1, of rows that meet `condition` (NULL is not met), as {value, against, total, examples}: against =
-- the rows that do not, examples = up to five of their `example` texts, the lowest first. The share of no rows is NULL.
CREATE MACRO share_where(condition, example) AS {
    'value': avg(CASE WHEN condition THEN 1.0 ELSE 0.0 END)::DOUBLE,
    'against': count(*) FILTER (WHERE (condition) IS NOT TRUE),
    'total': count(*),
    'examples': min(left(example::VARCHAR, 100), 5) FILTER (WHERE (condition) IS NOT TRUE)
};
