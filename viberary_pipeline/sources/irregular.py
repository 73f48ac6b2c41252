"""Records whose values have another shape than UCSD's, read as far as nothing has to be guessed.

DuckDB reads a list of objects or ids, and nothing else, into a list column; and it reads an object into a text
column as its JSON. The few lines where that may have happened are parsed again here, and written as UCSD would:

    "authors": "[{'author_id': 5}]"     [{"author_id": "5"}]     a Python or JSON list as text: repaired
    "authors": {"author_id": 5}         [{"author_id": "5"}]     one object instead of a list: repaired
    "authors": [5, 6], 5                [{"author_id": "5"}...   bare ids: repaired
    "authors": "Herman Melville"        null                     nulled
    "description": {"en": "A whale."}   null                     nulled
"""

import ast
import json
import re
from collections import Counter
from typing import Any

from viberary_pipeline.sources.columns import Column, Table
from viberary_pipeline.sources.statements import NULLED

_NUMBER = re.compile(r"\s*[+-]?[0-9.]+([eE][+-]?[0-9]+)?\s*")
_MOST_LITERAL = 1 << 20
"""Longest text that is parsed as a Python literal: Python's parser takes 100 times its size in memory."""


class _NoNumber:
    """NaN, Infinity or -Infinity outside a string: a value that is none, and no text either."""


def regular(line: bytes, table: Table) -> tuple[bytes, Counter[str]] | None:
    """The line as UCSD would have written it, and how many values of each column were repaired.

    None if Python cannot parse it. What a column cannot hold is null, and the column's name stands in `NULLED`.
    """
    try:
        record = json.loads(line, parse_constant=lambda _: _NoNumber(), parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    nulled, repaired = [], Counter[str]()
    for name, column in table.fields.items():
        value = record.get(name)
        if value is None or value == "":
            continue
        if column.is_text and not isinstance(value, str):
            record[name] = None
            nulled.append(column.name)
        elif column.is_list:
            record[name] = read = _list(value, column) if column.item else _mapping(value)
            if read is None:
                nulled.append(column.name)
            elif read != value:
                repaired[column.name] += 1
    record[NULLED] = " ".join(nulled)
    return json.dumps(record, default=lambda _: "NaN").encode(), repaired


def _list(value: Any, column: Column) -> list[Any] | None:
    """The elements of a list column; one that is none of its kind is null, which SQL counts. None: no list at all."""
    value = _parsed(value)
    if isinstance(value, dict):
        value = [value] if column.item in value else None
    elif isinstance(value, str):
        value = [value] if _is_bare(value, column) else None
    if not isinstance(value, (list, tuple)):
        return None
    return [_element(_parsed(element), column) for element in value]


def _element(element: Any, column: Column) -> Any:
    inner = _as_text(element.get(column.item) if isinstance(element, dict) else element)
    if column.bare:
        return inner
    if isinstance(element, dict):
        texts = {key: _as_text(inside) for key, inside in element.items() if isinstance(key, str)}
        return {**texts, column.item: inner}
    return {column.item: inner} if inner is not None and _is_bare(inner, column) else None


def _is_bare(text: str, column: Column) -> bool:
    """Whether a text alone is an element: a number among ids, any text among names."""
    return column.item == "name" or _NUMBER.fullmatch(text) is not None


def _mapping(value: Any) -> dict[str, Any] | None:
    """{genre: readers}, also of a list of objects with name and count."""
    value = _parsed(value)
    if isinstance(value, list) and all(isinstance(pair, dict) and {"name", "count"} <= pair.keys() for pair in value):
        value = {pair["name"]: pair["count"] for pair in value if isinstance(pair["name"], str)}
    return {str(key): _as_text(count) for key, count in value.items()} if isinstance(value, dict) else None


def _parsed(value: Any) -> Any:
    """The value, or what a text that is a JSON or Python list, tuple or dict holds. None for one that is broken."""
    if not isinstance(value, str) or not value.strip().startswith(("[", "{", "(")):
        return value
    try:
        return json.loads(value, parse_constant=lambda _: _NoNumber(), parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(value.strip()) if len(value) <= _MOST_LITERAL else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _as_text(value: Any) -> str | None:
    """A string or number as text; None for anything else (a boolean is no number)."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
