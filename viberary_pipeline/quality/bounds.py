"""The bounds of the data: reads `bounds.toml`, which holds every expectation and its severity.

Imports nothing heavy, so that Dagster can declare one asset check per expectation cheaply.
"""

import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from viberary_pipeline.errors import QualityError

BOUNDS = Path(__file__).with_name("bounds.toml")
CheckedTable = Literal["books", "authors", "reviews", "documents"]
TABLES: tuple[str, ...] = get_args(CheckedTable)

Severity = Literal["ERROR", "WARN"]


class ExpectationSpec(BaseModel):
    """One expectation: a Great Expectations type and its arguments, on a table, its columns or its figures.

    Of a table from another source than `source` it is not asked; None: of every one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: CheckedTable
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
    severity: Severity
    expectation: Annotated[str, StringConstraints(pattern=r"^expect_(column|table)_[a-z_]+$")]
    arguments: dict[str, Any]
    source: Literal["ucsd", "openlibrary"] | None = None
    reason: Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)] = Field(repr=False)

    @model_validator(mode="after")
    def _names_a_column(self) -> "ExpectationSpec":
        if self.expectation.startswith("expect_column_") and self.column is None:
            raise ValueError("arguments need `column`, a column or figure of the table")
        return self

    @property
    def column(self) -> str | None:
        """The column of `sql/{table}.sql`, or the figure, that it looks at; None: the table as a whole."""
        column = self.arguments.get("column")
        return column if isinstance(column, str) else None


@lru_cache
def load_bounds(path: Path = BOUNDS) -> tuple[ExpectationSpec, ...]:
    """Every expectation of a bounds file, in the file's order.

    Raises:
        QualityError: the file is not TOML, an entry is wrong (the message names each), or a table has none.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise QualityError(
            "The bounds of the data cannot be read",
            expected=f"a TOML file at {path}",
            found=f"{type(error).__name__}: {error.strerror or error}",
            todo="correct or unset VIBERARY_QUALITY_BOUNDS",
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _refused(path, f"{type(error).__name__}: {error}") from error
    specs: list[ExpectationSpec] = []
    problems: list[str] = []
    for table, name, entry in _entries(tables):
        try:
            specs.append(ExpectationSpec.model_validate({**entry, "table": table, "name": name}))
        except ValidationError as error:
            entry_name = f"{table}.{name}".rstrip(".")
            problems += [f"{entry_name}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    unchecked = [table for table in TABLES if not tables.get(table)]
    problems += [f"{table}: has no expectation" for table in unchecked]
    if problems:
        raise _refused(path, "; ".join(problems))
    return tuple(specs)


def expectation_specs(table: str, bounds: Path = BOUNDS) -> list[ExpectationSpec]:
    """The expectations of one table, in the file's order. Cheap: Great Expectations is not imported.

    Raises:
        QualityError: there is no such table, or the bounds file is wrong.
    """
    if table not in TABLES:
        raise QualityError(
            "There is no such table to check",
            expected=f"one of {', '.join(TABLES)}",
            found=table,
            todo="correct the table's name",
        )
    return [spec for spec in load_bounds(bounds) if spec.table == table]


def wrong_entry(spec: ExpectationSpec, found: str) -> QualityError:
    """The error that says that an entry, although well formed, cannot be checked."""
    return QualityError(
        f"The expectation {spec.table}.{spec.name} cannot be checked",
        expected="a Great Expectations type with its arguments, on a column or figure of the table",
        found=found,
        todo=f"correct the entry [{spec.table}.{spec.name}] of the bounds file",
    )


def _entries(tables: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for table, entries in tables.items():
        if not isinstance(entries, dict):
            yield table, "", {"": entries}
            continue
        for name, entry in entries.items():
            yield table, name, entry if isinstance(entry, dict) else {"": entry}


def _refused(path: Path, found: str) -> QualityError:
    return QualityError(
        "The bounds of the data cannot be used",
        expected="entries [TABLE.NAME] with severity, expectation, arguments and reason",
        found=found,
        todo=f"correct the entries named above in {path}",
    )
