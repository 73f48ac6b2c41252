"""Lists of texts in the rarer of the shapes that Open Library's fields have come in."""

import json
from typing import Any

import duckdb


def texts_of_any_shape(field: str) -> list[str]:
    """The texts of a JSON list: strings, numbers, and those that objects have under `value` or `name`.

    One that is no list is its own only element. Numbers are as the JSON has them. A list so deep that Python does not
    read it has none.
    """
    try:
        items = json.loads(field, parse_int=str, parse_float=str)
    except RecursionError:
        return []
    texts = [_text(item) for item in (items if isinstance(items, list) else [items])]
    return [text for text in texts if text is not None]


def _text(item: Any) -> str | None:
    if isinstance(item, dict):
        return next((item[key] for key in ("value", "name") if isinstance(item.get(key), str)), None)
    return item if isinstance(item, str) else None


def register_shapes(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a connection `texts_of_any_shape` (VARCHAR to VARCHAR[])."""
    text = duckdb.sqltypes.VARCHAR
    connection.create_function("texts_of_any_shape", texts_of_any_shape, [text], duckdb.list_type(text))
