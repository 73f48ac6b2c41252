"""Profiles: what a table looks like, measured by DuckDB over all its rows, as JSON values of a few kilobytes.

A profile is what the report draws and what drift compares with the live build::

    {"table": "books", "rows": 472, "lines": 485, "rejected": 13,
     "fill": {"title": 472, "description": 391, ...},              rows with a value, per column
     "distributions": {"languages": {"bins": [["en", 430], ...],   label and rows, in the order of the axis
                                     "without": 12,                rows without a value
                                     "quantiles": null}, ...},     of numbers: {"p5", "p25", "p50", "p75", "p95", "max"}
     "numbers": {"works": 269, ...}, "examples": {...}}

`sql/profile_{table}.sql` counts how often each value occurs; everything else (bins, quantiles) is made here from
those counts, so that it is exact, and one pass serves them all.
"""

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viberary_pipeline.artifacts import Artifact, ArtifactStore
from viberary_pipeline.code_digest import code_digest
from viberary_pipeline.errors import QualityError
from viberary_pipeline.quality.bounds import TABLES
from viberary_pipeline.quality.distributions import DISTRIBUTIONS, Bins, Distribution

if TYPE_CHECKING:
    from viberary_pipeline.duck import DuckLimits

QUANTILES = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
MOST_CATEGORIES = 200
"""Categories of a distribution that are kept; what is rarer is counted together."""

OTHER = "other"


def profile(
    table: str, parquet: Path, *, scratch: Path, limits: "DuckLimits", facts: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Measure one table.

    Args:
        table: One of `bounds.TABLES`.
        parquet: Its Parquet file, or folder of them.
        scratch: An existing folder, in which DuckDB may spill.
        limits: DuckDB's memory and threads.
        facts: What its stage reported, of which `lines` and `rejected` are taken over.

    Raises:
        QualityError: there is no such table, or its Parquet is missing or has other columns than the SQL reads.
    """
    row = _measured(table, parquet, scratch, limits)
    rejected = (facts or {}).get("rejected")
    return {
        "table": table,
        "rows": row["rows"],
        "lines": (facts or {}).get("lines"),
        "rejected": None if rejected is None else sum(rejected.values()),
        "fill": row["fill"],
        "distributions": {
            shape.name: distribution(shape, row["spectra"][shape.name] or {}, row["rows"])
            for shape in DISTRIBUTIONS[table]
        },
        "numbers": {name: value or 0 for name, value in row["numbers"].items()},
        "examples": {name: values or [] for name, values in row.get("examples", {}).items()},
    }


def profiled(store: ArtifactStore, table: str, limits: "DuckLimits", *, force: bool = False) -> Artifact:
    """The profile of the table as it is now, in the artifact's `facts`: found again, or measured.

    Raises:
        ArtifactError: the table has not been made here.
        QualityError: it cannot be measured.
    """
    artifact = store.current(table)

    def build(out: Path) -> dict[str, Any]:
        parquet = artifact.file(f"{table}.parquet")
        return profile(table, parquet, scratch=out, limits=limits, facts=artifact.facts)

    measured_by = code_digest("quality/profile.py", "quality/distributions.py", f"quality/sql/profile_{table}.sql")
    return store.produce(
        f"{table}_profile", inputs={table: artifact.key}, settings={"by": measured_by}, build=build, force=force
    ).artifact


def distribution(shape: Distribution, spectrum: Mapping[Any, int], rows: int | None = None) -> dict[str, Any]:
    """{value: rows} as the bins of a distribution.

    Args:
        shape: How its values are put into bins.
        spectrum: How many rows have each value.
        rows: The rows of the table, where one row has at most one value.
    """
    counted = sum(spectrum.values())
    bins = _numbers(shape.bins, spectrum) if shape.bins else _categories(spectrum)
    return {
        "bins": bins,
        "without": max(rows - counted, 0) if rows is not None and shape.of_rows else 0,
        "quantiles": _quantiles(spectrum) if shape.ranked and shape.bins and spectrum else None,
    }


def shares(measured: Mapping[str, Any]) -> dict[str, float]:
    """Label to share, 0 to 1, of a distribution; rows without a value are a share of their own, named ''."""
    counts = {**dict(measured["bins"]), "": measured["without"]}
    total = sum(counts.values())
    return {label: count / total for label, count in counts.items() if count} if total else {}


def _measured(table: str, parquet: Path, scratch: Path, limits: "DuckLimits") -> dict[str, Any]:
    import duckdb

    from viberary_pipeline.duck import connect, parquet_glob, sql

    if table not in TABLES:
        raise QualityError(
            "There is no such table to profile",
            expected=f"one of {', '.join(TABLES)}",
            found=table,
            todo="correct the table's name",
        )
    with connect(limits, scratch) as connection:
        try:
            connection.read_parquet(parquet_glob(parquet)).create_view(table)
            cursor = connection.execute(sql("quality", f"profile_{table}"))
            values = cursor.fetchone() or ()
        except duckdb.Error as error:
            raise QualityError(
                f"The table {table} cannot be profiled",
                expected=f"Parquet with the columns that quality/sql/profile_{table}.sql reads",
                found=f"{type(error).__name__}: {error}",
                todo=f"look at {parquet}; if it is damaged, build it again",
            ) from error
        return {column[0]: value for column, value in zip(cursor.description or (), values, strict=True)}


def _categories(spectrum: Mapping[Any, int]) -> list[list[Any]]:
    """Most rows first; equal ones by name, so that the same table always gives the same profile."""
    ordered = sorted(spectrum.items(), key=lambda item: (-item[1], item[0]))
    bins = [[str(label), count] for label, count in ordered[:MOST_CATEGORIES]]
    rest = sum(count for _, count in ordered[MOST_CATEGORIES:])
    return [*bins, [OTHER, rest]] if rest else bins


def _numbers(bins: Bins, spectrum: Mapping[Any, int]) -> list[list[Any]]:
    """One bin from each edge up to the next, the last one without an end; values below the first edge join it."""
    counts = [0] * len(bins.edges)
    for value, count in spectrum.items():
        counts[max(bisect_right(bins.edges, value) - 1, 0)] += count
    return [[label, count] for label, count in zip(bins.labels, counts, strict=True)]


def _quantiles(spectrum: Mapping[Any, int]) -> dict[str, float]:
    """The value below or at which each share of the rows lies (no interpolation: a value that occurs)."""
    values = sorted(spectrum)
    below = list(accumulate(spectrum[value] for value in values))
    found = {
        name: values[next(i for i, rows in enumerate(below) if rows >= q * below[-1])] for name, q in QUANTILES.items()
    }
    return {**found, "max": values[-1]}
