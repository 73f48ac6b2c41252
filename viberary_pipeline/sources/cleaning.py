"""Readable text from what the files hold: the macro `clean_text` for a DuckDB connection."""

import html

import duckdb

from viberary_pipeline.duck import sql


def register_text(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a connection `clean_text(value)`: VARCHAR to VARCHAR, null where nothing readable is left.

    The steps and their order are in `sql/text.sql`. A connection takes this once, or again without harm.
    """
    if not connection.execute("SELECT 1 FROM duckdb_functions() WHERE function_name = 'resolve_entities'").fetchone():
        # Not of type ARROW, which takes half a millisecond a call, and nearly every call has one or two texts.
        connection.create_function("resolve_entities", _resolve_entities)
    connection.execute(sql("sources", "text"))


def _resolve_entities(text: str) -> str:
    """HTML entities resolved by the standard library's table (HTML 5), twice: many texts were escaped twice."""
    return html.unescape(html.unescape(text))
