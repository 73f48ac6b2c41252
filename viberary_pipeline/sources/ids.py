"""Ids in one spelling, for the cases that the macros of `sql/macros.sql` do not handle.

Nearly every id is plain digits, and never comes here. What comes here is padded, signed, a float, or no id at all.
"""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import duckdb
import pyarrow as pa
from duckdb.func import ARROW, SPECIAL

NO_VALUE = frozenset({"", "nan", "<na>", "nat", "none", "null", "n/a", "na", "nil", "undefined"})
"""What programs write for an id that is missing, in lower case."""

_NO_ID = re.compile(r"[\[{]|(?:true|false|[+-]?inf(?:inity)?)\Z", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_UNSEEN = r"[\s\x00-\x20\x7f-\xa0\xad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]+"
_TRIMMED = re.compile(rf"\A{_UNSEEN}|{_UNSEEN}\Z")


def canonical_id(text: str) -> str | None:
    """'77' for '077', '+77', '77.0', '7.7e1'; None for a number that is not whole or not in [0, 2^63).

    Text that is no number stays, trimmed: another catalogue's ids may be such. Words for "no value", booleans,
    infinity, and objects or arrays as JSON are none.
    """
    text = opaque_id(text) or ""
    if not _NUMBER.fullmatch(text):
        return text or None
    try:
        number = Decimal(text)
        whole = 0 <= number < 2**63 and number == number.to_integral_value()
    except InvalidOperation:  # an exponent of many digits
        return None
    return str(int(number)) if whole else None


def opaque_id(text: str) -> str | None:
    """An id that may be any text, trimmed: 32 hexadecimal digits may read like a number, and are none."""
    text = _TRIMMED.sub("", text)
    return None if text.lower() in NO_VALUE or _NO_ID.match(text) else text


def is_no_value(text: str | None) -> bool:
    """Whether a field says that there is no id."""
    return text is None or _TRIMMED.sub("", text).lower() in NO_VALUE


def register_ids(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a connection `respelled_id`, `trimmed_id` (VARCHAR to VARCHAR) and `is_no_id` (VARCHAR to BOOLEAN)."""
    text, truth = duckdb.sqltypes.VARCHAR, duckdb.sqltypes.BOOLEAN
    for name, function, returned, kind in (
        ("respelled_id", canonical_id, text, pa.string()),
        ("trimmed_id", opaque_id, text, pa.string()),
        ("is_no_id", is_no_value, truth, pa.bool_()),
    ):
        column = _over_columns(function, kind, nulls=returned is truth)
        connection.create_function(name, column, [text], returned, type=ARROW, null_handling=SPECIAL)


def _over_columns(function: Callable[[Any], Any], kind: pa.DataType, *, nulls: bool) -> Callable[..., pa.Array]:
    def column(texts: pa.ChunkedArray) -> pa.Array:
        return pa.array([function(text) if nulls or text is not None else None for text in texts.to_pylist()], kind)

    return column
