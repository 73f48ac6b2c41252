"""Data quality: what a table looks like, what it must be like, how far it is from the live build, and the report.

One way for every table:

1. `profile` and `sql/{table}.sql` measure the full Parquet table in DuckDB.
2. `bounds.toml` says what each figure must be, how severe a failure is, and why.
3. `validation` lets Great Expectations judge the figures, with drift from the `baseline` among them.
4. Data Docs keeps every result; `report` writes one page for people.

This package imports nothing: `baseline` and `bounds` also load where DuckDB and Great Expectations are not installed.
"""
