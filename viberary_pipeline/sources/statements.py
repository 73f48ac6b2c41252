"""The statement that reads a block of lines into a typed table, made of the table's declaration.

Input are the variables `path` (a file of JSON lines), `file`, `first_line`, `numbers` and `present` (the list fields
that occur in the block). Output is one row per line, and nothing is dropped: `reason` says why a line is to be
rejected, `nulled` names the columns that lost what their field said, `irregular` lines have to be read again by
`irregular.py`, and `block_line` is the position in the block, from 1.
"""

import json

from viberary_pipeline.duck import sql
from viberary_pipeline.sources.columns import Column, Table

NULLED = "viberary_nulled"
"""The field in which `irregular.py` names what it nulled."""


_OBJECTS = """
    SELECT *
    FROM read_json(
        getvariable('path'), format = 'newline_delimited', compression = 'uncompressed', ignore_errors = true,
        maximum_object_size = 16777216, columns = {{{fields}, {nulled}: 'VARCHAR'}}
    )
"""

# Columns between tabs, and an object. It stops at the first line that is anything else. The buffer holds two of the
# longest lines; DuckDB's own choice, sixteen of them, takes twice as long.
_COLUMNS = """
    SELECT {columns}, {record}
    FROM read_csv(
        getvariable('path'), delim = E'\\t', quote = '', escape = '', header = false, new_line = '\\n',
        auto_detect = false, compression = 'none', max_line_size = 16777216, buffer_size = 33554432,
        columns = {{{types}}}
    )
"""

_READ = """
WITH lines AS ({lines}),
typed AS (SELECT {nulled}, {typed} FROM (SELECT *{said} FROM lines)),
derived AS ({step})
SELECT
    getvariable('file') AS file, line_number(block_line) AS line, {columns},
    CASE WHEN {nulled} <> '' OR {any_lost} THEN concat_ws(' ', nullif({nulled}, ''), {lost}) END AS nulled,
    block_line,
    coalesce({irregular}, false) AS irregular,
    CASE WHEN {unknown} THEN 'malformed_json' {missing} END AS reason
-- The window stands here, so that no filter on the columns above is moved below it, where they are computed twice.
FROM (SELECT row_number() OVER () AS block_line, * FROM derived)
"""


def statement(table: Table, *, as_written: bool = False) -> str:
    """The SELECT for `table`. `as_written`: the lines are those of the raw file, columns and all; not yet objects."""
    fields = table.fields
    columns = {column.name: column for column in fields.values()}
    lists_and_texts = [column for column in fields.values() if column.is_list or column.is_text]
    return _READ.format(
        nulled=NULLED,
        lines=_columns(table) if as_written else _objects(table),
        typed=", ".join(
            f'{_typed(column)} AS "{column.name}", "{name}" AS "raw_{name}"' for name, column in fields.items()
        ),
        said="".join(_said(column) for column in fields.values() if column.is_text or column.first),
        step=sql("sources", table.step) if table.step else "FROM typed",
        columns=", ".join(
            f'"{column.name}"' if column.field else f'{column.sql} AS "{column.name}"' for column in table.columns
        ),
        lost=", ".join(f"CASE WHEN {_lost(column)} THEN '{column.name}' END" for column in fields.values()),
        # Nearly no line has lost anything, which this says in less time than the list of columns takes.
        any_lost=" OR ".join(f"({_lost(column)})" for column in fields.values()),
        irregular=" OR ".join(_irregular(column) for column in lists_and_texts) or "false",
        unknown=" AND ".join(f'"raw_{name}" IS NULL' for name in table.known_by),
        missing=" ".join(_missing(columns[name]) for name in table.required),
    )


def _objects(table: Table) -> str:
    fields = ", ".join(f"\"{name}\": '{column.read_as}'" for name, column in table.fields.items())
    return _OBJECTS.format(fields=fields, nulled=NULLED)


def _columns(table: Table) -> str:
    names = [name.decode() or f"column_{place}" for place, name in enumerate(table.layout.columns)]
    of_object = {name: column.read_as for name, column in table.fields.items() if name not in names} | {
        NULLED: "VARCHAR"
    }
    record = f"unnest(json_transform(record, '{json.dumps(of_object)}'))"
    return _COLUMNS.format(
        columns=", ".join(map(_quoted, names)),
        record=record if table.layout.has_object else f"NULL::VARCHAR AS {NULLED}",
        types=", ".join(f"'{name}': 'VARCHAR'" for name in (*names, *(["record"] * table.layout.has_object))),
    )


def _quoted(name: str | None) -> str:
    return f'"{name}"'


def _typed(column: Column) -> str:
    return column.sql.format(raw=_quoted(f"said_{column.field}" if column.is_text or column.first else column.field))


def _said(column: Column) -> str:
    # On a level below the macros, which repeat their argument wherever they name it.
    field = _quoted(column.field)
    if column.first:
        return f', {column.first.format(raw=field)} AS "said_{column.field}"'
    return f', CASE WHEN NOT {column.lost.format(raw=field)} THEN {field} END AS "said_{column.field}"'


def _lost(column: Column) -> str:
    return column.lost.format(raw=f"raw_{column.field}", column=_quoted(column.name))


def _irregular(column: Column) -> str:
    if column.is_list:
        unread = f"(raw_{column.field} IS NULL AND list_contains(getvariable('present')::VARCHAR[], '{column.field}'))"
        return f"{unread} OR {_lost(column)}"
    return f"is_other_json(raw_{column.field})"


def _missing(column: Column) -> str:
    """A text that is missing is missing; an id may also be there and be none."""
    reason = (
        f"'missing_{column.name}'"
        if column.is_text
        else f"if(is_no_id(raw_{column.field}), 'missing_{column.name}', 'invalid_{column.name}')"
    )
    return f'WHEN "{column.name}" IS NULL THEN {reason}'
