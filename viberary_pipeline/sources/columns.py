"""What a table of a source is declared by: its file, its columns, and which row is kept of several with one id.

`statements.py` turns a declaration into the SQL that reads and types a block of lines. The declarations are in
`table_specs.py` (UCSD) and `openlibrary/tables.py`; the macros that their expressions name are in `sql/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from viberary_pipeline.sources.layouts import JSON_LINES, Layout

Source = Literal["ucsd", "openlibrary"]
Sources = Literal["ucsd", "openlibrary", "both"]
"""What a catalogue is of."""

UNREADABLE = "unreadable({raw}, {column})"
"""A field that says something while its column is null: no id, number or date, or one out of range."""

IS_NAN, IS_MISSING = "is_nan({raw})", "is_missing({raw})"
"""A text that is a program's word for "no value". Text of which cleaning leaves nothing is no such loss."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: Its name.
        sql: Its value. `{raw}` is the JSON field. Without a field: an expression over the other columns.
        field: The JSON field, None for a derived column.
        read_as: The type that DuckDB reads the field as.
        lost: The condition on `{raw}` and `{column}` under which a value was lost; `nulled` then names the column.
        item: Of a list: the key under which each element has its value ('author_id').
        bare: Of a list: its elements are the values themselves, not objects that hold them.
        first: What is made of the field beforehand, on a level below, because a macro repeats its argument wherever it
            names it: an expression over `{raw}`, which is the `{raw}` of `sql`.
    """

    name: str
    sql: str
    field: str | None = None
    read_as: str = "VARCHAR"
    lost: str = UNREADABLE
    item: str = ""
    bare: bool = False
    first: str = ""

    @property
    def is_text(self) -> bool:
        """Whether every string is a value, so that only JSON itself tells a string from an object."""
        return self.lost in (IS_NAN, IS_MISSING)

    @property
    def is_list(self) -> bool:
        """Whether the field holds several values."""
        return self.read_as.endswith(("]", ")"))


@dataclass(frozen=True)
class Table:
    """One table, its raw file and its Parquet.

    Attributes:
        name: 'books': the asset, `books.parquet`, `contracts/books.json`.
        row: What one row is.
        columns: Its columns, in order, between `file`, `line` and `nulled`.
        required: The columns without which a line is rejected. The first identifies a row.
        known_by: The fields of which a record of this table has at least one.
        preference: Of several rows with one key, the first in this order is kept (then the earliest).
        step: A statement in `sql/` over the typed columns that adds what derived columns need.
        optional: Whether a catalogue may do without its file.
        source: The source that it is of. A build reads one; the tables of the other are empty.
        layout: How a line of its file becomes a JSON object.
        keyed: Whether its first required column identifies a row. Else every line counts, however often it is there.
        in_threads: Whether blocks may be typed in threads of one process: next to nothing is done in Python, whose
            lock they would share.
    """

    name: str
    row: str
    columns: tuple[Column, ...]
    required: tuple[str, ...]
    known_by: tuple[str, ...]
    preference: str = "true"
    step: str | None = None
    optional: bool = False
    source: Source = "ucsd"
    layout: Layout = JSON_LINES
    keyed: bool = True
    in_threads: bool = False

    @property
    def key(self) -> str:
        """The column that identifies a row."""
        return self.required[0]

    @property
    def fields(self) -> Mapping[str, Column]:
        """The JSON fields that are read, and the columns that they become."""
        return {column.field: column for column in self.columns if column.field}
