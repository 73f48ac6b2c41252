"""Readable text from what the files hold: the macro `clean_text` for a DuckDB connection."""

import html

import duckdb
import pyarrow as pa
from duckdb.func import ARROW

from viberary_pipeline.duck import sql


def register_text(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a connection `clean_text(value)`: VARCHAR to VARCHAR, null where nothing readable is left.

    The steps and their order are in `sql/text.sql`. A connection takes this once, or again without harm.
    """
    if not connection.execute("SELECT 1 FROM duckdb_functions() WHERE function_name = 'resolve_entities'").fetchone():
        connection.create_function(
            "resolve_entities", _resolve_entities, [duckdb.sqltypes.VARCHAR], duckdb.sqltypes.VARCHAR, type=ARROW
        )
    connection.execute(sql("sources", "text"))


def _resolve_entities(texts: pa.ChunkedArray) -> pa.Array:
    """HTML entities resolved by the standard library's table (HTML 5), twice: many texts were escaped twice."""
    return pa.array(
        [text if text is None else html.unescape(html.unescape(text)) for text in texts.to_pylist()], pa.string()
    )
