-- Macros of the metrics: rows_where and share_where give {value, against, total, examples} of a group of rows.
-- examples: up to three `example` texts of the rows against, the lowest first; NULL where there is none.

-- The rows that meet `condition` (NULL is not met): value = against = how many, total = all rows.
CREATE OR REPLACE TEMP MACRO rows_where(condition, example) AS {
    'value': (count(*) FILTER (WHERE condition))::DOUBLE,
    'against': count(*) FILTER (WHERE condition),
    'total': count(*),
    'examples': min(left(example::VARCHAR, 100), 3) FILTER (WHERE condition)
};

-- The share, 0 to 1, of rows that meet `condition` (NULL is not met): against = the rows that do not. The share
-- of no rows is NULL, because it says nothing.
CREATE OR REPLACE TEMP MACRO share_where(condition, example) AS {
    'value': avg(CASE WHEN condition THEN 1.0 ELSE 0.0 END)::DOUBLE,
    'against': count(*) FILTER (WHERE (condition) IS NOT TRUE),
    'total': count(*),
    'examples': min(left(example::VARCHAR, 100), 3) FILTER (WHERE (condition) IS NOT TRUE)
};

-- Whether a text is null or holds nothing that can be seen: white space, control and other invisible characters.
CREATE OR REPLACE TEMP MACRO is_blank(value) AS value IS NULL OR NOT regexp_matches(value, '[^\s\p{C}\p{Z}]');
