-- Where a row comes from, told by its id: works, editions and authors of Open Library are OL1W, OL1M and OL1A.
CREATE OR REPLACE TEMP MACRO source_of(id) AS
    CASE WHEN regexp_full_match(id, 'OL[0-9]+[AMW]') THEN 'openlibrary' ELSE 'ucsd' END;
