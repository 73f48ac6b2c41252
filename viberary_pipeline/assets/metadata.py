"""Metadata that a person wants to see of a table."""

from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

_SAMPLE_ROWS = 5
_CELL_CHARACTERS = 120


def counts_table(counts: dict[str, int], name: str) -> dg.TableMetadataValue:
    """{what: count} as a table, most first."""
    return table([{name: what, "count": count} for what, count in sorted(counts.items(), key=lambda item: -item[1])])


def sample_table(parquet: Path) -> dg.TableMetadataValue:
    """The first rows of a Parquet file, or of a table's first part, cells cut to a readable length."""
    with pq.ParquetFile(min(parquet.iterdir()) if parquet.is_dir() else parquet) as file:
        batch = next(file.iter_batches(batch_size=_SAMPLE_ROWS), None)
    rows = batch.to_pylist() if isinstance(batch, pa.RecordBatch) else []
    return table([{name: _cell(value) for name, value in row.items()} for row in rows])


def table(rows: list[dict[str, Any]]) -> dg.TableMetadataValue:
    """Rows with the same columns as a table."""
    columns = [
        dg.TableColumn(name, "int" if isinstance(value, int) else "string") for name, value in (rows or [{}])[0].items()
    ]
    return dg.MetadataValue.table(records=[dg.TableRecord(row) for row in rows], schema=dg.TableSchema(columns=columns))


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _CELL_CHARACTERS else text[: _CELL_CHARACTERS - 1] + "…"
