"""Metadata that a person wants to see of a table."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

_SAMPLE_ROWS = 5
_CELL_CHARACTERS = 120


def column_schema(name: str, parquet: Path) -> dict[str, dg.TableSchemaMetadataValue]:
    """The columns of a table as the UI shows them, with what they mean: `contracts/{name}.json` says."""
    contract = json.loads(files("viberary_pipeline").joinpath("contracts", f"{name}.json").read_text(encoding="utf-8"))
    promised = {column["name"]: column for column in contract["columns"]}
    columns = [
        dg.TableColumn(
            field.name,
            str(field.type),
            description=promised.get(field.name, {}).get("meaning"),
            constraints=dg.TableColumnConstraints(nullable=promised.get(field.name, {}).get("nullable", True)),
        )
        for field in pq.read_schema(_a_part(parquet))
    ]
    return {"dagster/column_schema": dg.MetadataValue.table_schema(dg.TableSchema(columns))}


def page_links(url: str, **pages: str | Path) -> dict[str, dg.MetadataValue]:
    """Pages under `VIBERARY_HOME/quality`: `report` is where the file lies, `report_url` opens it in a browser."""
    links: dict[str, dg.MetadataValue] = {}
    for name, page in pages.items():
        links[name] = dg.MetadataValue.path(str(page))
        below = str(page).rpartition("/quality/")[2]
        links[f"{name}_url"] = dg.MetadataValue.url(f"{url.rstrip('/')}/{quote(below)}")
    return links


def counts_table(counts: dict[str, int], name: str) -> dg.TableMetadataValue:
    """{what: count} as a table, most first."""
    return table([{name: what, "count": count} for what, count in sorted(counts.items(), key=lambda item: -item[1])])


def counts_in_words(counts: Mapping[str, int]) -> str:
    """{what: count} in one line, most first: "1,657 review_too_short, 3 unknown_author_id"; "nothing" if empty."""
    most_first = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count:,} {what}" for what, count in most_first) or "nothing"


def sample_table(parquet: Path) -> dg.TableMetadataValue:
    """The first rows of a Parquet file, or of a table's first part, cells cut to a readable length."""
    with pq.ParquetFile(_a_part(parquet)) as file:
        batch = next(file.iter_batches(batch_size=_SAMPLE_ROWS), None)
    columns = {name: _values(batch.column(name)) for name in batch.schema.names} if batch is not None else {}
    rows = zip(*columns.values(), strict=True)
    return table([{name: _cell(value) for name, value in zip(columns, row, strict=True)} for row in rows])


def table(rows: list[dict[str, Any]]) -> dg.TableMetadataValue:
    """Rows with the same columns as a table."""
    columns = [
        dg.TableColumn(name, "int" if isinstance(value, int) else "string") for name, value in (rows or [{}])[0].items()
    ]
    return dg.MetadataValue.table(records=[dg.TableRecord(row) for row in rows], schema=dg.TableSchema(columns=columns))


def _a_part(parquet: Path) -> Path:
    """The file, or the first of a table's parts."""
    return min(parquet.iterdir()) if parquet.is_dir() else parquet


def _values(column: pa.Array) -> list[Any]:
    """Its values. For times pyarrow would import pandas, which takes longer than all else of a stage that is kept."""
    if not pa.types.is_timestamp(column.type):
        return column.to_pylist()
    epoch = datetime(1970, 1, 1, tzinfo=UTC if column.type.tz else None)
    since = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).to_pylist()
    return [None if value is None else epoch + timedelta(microseconds=value) for value in since]


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _CELL_CHARACTERS else text[: _CELL_CHARACTERS - 1] + "…"
