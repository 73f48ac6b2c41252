"""What the assets share: the force switch, and metadata that a person wants to see."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from viberary_pipeline.artifacts import Artifact, Produced

_SAMPLE_ROWS = 5
_CELL_CHARACTERS = 120


class StageConfig(dg.Config):
    """The one choice a run has per stage."""

    force: bool = False
    """Make the artifact anew even if its inputs and settings have not changed."""


def artifact_metadata(produced: Produced, *, rows: int | None = None) -> dict[str, Any]:
    """Where the artifact lies, what determines it, and whether it was there already."""
    artifact = produced.artifact
    metadata: dict[str, Any] = {
        "path": dg.MetadataValue.path(artifact.path),
        "key": artifact.key,
        "reused": produced.reused,
        "seconds": artifact.seconds,
    }
    if rows is not None:
        metadata["dagster/row_count"] = rows
    return metadata


def counts_table(counts: dict[str, int], name: str) -> dg.TableMetadataValue:
    """{what: count} as a table, most first."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: what, "count": count}) for what, count in ordered],
        schema=dg.TableSchema(columns=[dg.TableColumn(name), dg.TableColumn("count", "int")]),
    )


def sample_table(parquet: Path) -> dg.TableMetadataValue:
    """The first rows of a Parquet file, or of a table's first part, cells cut to a readable length."""
    with pq.ParquetFile(min(parquet.iterdir()) if parquet.is_dir() else parquet) as file:
        batch = next(file.iter_batches(batch_size=_SAMPLE_ROWS), None)
        columns = file.schema_arrow.names
    rows = batch.to_pylist() if isinstance(batch, pa.RecordBatch) else []
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: _cell(row[name]) for name in columns}) for row in rows],
        schema=dg.TableSchema(columns=[dg.TableColumn(name) for name in columns]),
    )


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _CELL_CHARACTERS else text[: _CELL_CHARACTERS - 1] + "…"


def current_inputs(artifacts: dict[str, Artifact]) -> dict[str, str]:
    """{stage: key} of upstream artifacts, as `ArtifactStore.produce` takes them."""
    return {stage: artifact.key for stage, artifact in artifacts.items()}


def gate_check(gate: Mapping[str, Any]) -> dg.AssetCheckResult:
    """A gate's verdict (`GateResult.to_json`) as the asset check of its name.

    What was not compared is a warning, which stops nothing: Dagster knows no third outcome.
    """
    failed = gate["outcome"] == "failed"
    return dg.AssetCheckResult(
        check_name=gate["name"],
        passed=gate["outcome"] == "passed",
        severity=dg.AssetCheckSeverity.ERROR if failed else dg.AssetCheckSeverity.WARN,
        description=f"{gate['outcome']}: {gate['means']}",
        metadata={name: gate[name] for name in ("outcome", "figure", "bound", "means") if gate[name] is not None},
    )
