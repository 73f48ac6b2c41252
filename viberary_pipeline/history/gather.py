"""Collects a run's inputs, rows, rejects and figures from its artifacts, for the run's record."""

import platform
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from viberary_pipeline.artifacts import Artifact, ArtifactStore
from viberary_pipeline.errors import ArtifactError
from viberary_pipeline.evaluation.systems import THIS
from viberary_pipeline.quality.bounds import TABLES
from viberary_pipeline.quality.drift import fill_rates
from viberary_pipeline.quality.verdict import current_artifact, results_of, validation_stage

_PACKAGES = (
    *("viberary-pipeline", "dagster", "duckdb", "great_expectations", "numpy", "onnxruntime", "pyarrow", "redis"),
    *("sentence-transformers", "tokenizers", "torch", "transformers"),
)
_DIGITS = 4


def versions() -> dict[str, str]:
    """{distribution: version} of Python and of what shapes a build; those that are not installed are left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def gathered(store: ArtifactStore, made: Collection[str]) -> dict[str, Any]:
    """The fields of a record that artifacts tell of.

    Args:
        store: The artifacts, while the home is held: what is current was made, or found again, by this run.
        made: The stages that the run went through. What they read counts as well: a run of the last stages alone has
            the rows of the tables that its documents were made of.
    """
    artifacts = _lineage(store, made)
    # Of optional files that are not there nothing is said.
    tables = {
        name: artifact
        for name, artifact in artifacts.items()
        if (raw := artifacts.get(f"raw_{name}")) and (artifact.facts["lines"] or not raw.facts["absent"])
    }
    rejected = {f"{name}.{reason}": n for name, a in tables.items() for reason, n in a.facts["rejected"].items() if n}
    fields: dict[str, Any] = {
        "keys": {name: artifact.key for name, artifact in sorted(artifacts.items())},
        "inputs": {name: _files(a) for name, a in artifacts.items() if name.startswith("raw_") and a.facts["parts"]},
        "rows": {name: a.facts["rows"] for name, a in tables.items()},
        "lines": {name: a.facts["lines"] for name, a in tables.items()},
        "rejected": rejected,
    }
    if (documents := artifacts.get("documents")) is not None:
        fields["rows"]["documents"] = documents.facts["rows"]
        rejected |= {f"documents.{reason}": n for reason, n in documents.facts["excluded"].items() if n}
        rejected |= {f"documents.filtered_by_{name}": n for name, n in documents.facts["filtered"].items() if n}
    if (openlibrary := artifacts.get("openlibrary")) is not None:
        left_out = openlibrary.facts.get("works_left_out", {})
        rejected |= {f"openlibrary.filtered_by_{name}": n for name, n in left_out.items() if n}
    fields["fill"] = {
        table: {column: round(share, _DIGITS) for column, share in fill_rates(profile.facts).items()}
        for table in TABLES
        if (profile := _of_table(store, f"{table}_profile", table, artifacts))
    }
    fields["checks"] = _checks(store, artifacts)
    if (index := artifacts.get("search_index")) is not None:
        fields |= {"build": index.facts["build"], "made": not index.facts["unchanged"], "gates": index.facts["gates"]}
    if (embeddings := artifacts.get("embeddings")) is not None and "embeddings" in made:
        fields |= {"embedded": embeddings.facts["embedded"], "reused": embeddings.facts["reused"]}
    pages = fields["pages"] = {}
    if (report := artifacts.get("data_quality_report")) is not None:
        pages["report"] = below_quality(report.facts["page"])
    evaluation = artifacts.get("evaluation_report")
    if index is not None and evaluation is not None and evaluation.facts["build"] == index.facts["build"]:
        facts = evaluation.facts
        others = [gate for gate in fields["gates"] if gate["name"] != facts["gate"]["name"]]
        fields["gates"] = [*others, facts["gate"]]
        fields["answers"] = facts.get("answers", {})
        fields["quality"] = {
            name: {metric: figures[0] for metric, figures in judged["systems"][THIS].items()}
            for name, judged in facts["sets"].items()
            if THIS in judged["systems"]
        }
        pages["evaluation"] = below_quality(facts["page"])
    return fields


def _lineage(store: ArtifactStore, made: Collection[str]) -> dict[str, Artifact]:
    """{stage: artifact} of these stages and of what they were made from, as far as it is still there."""
    found = {stage: artifact for stage in made if (artifact := current_artifact(store, stage))}
    waiting = list(found.values())
    while waiting:
        for stage, key in waiting.pop().inputs.items():
            if stage not in found:
                try:
                    artifact = store.find(stage, key)
                except (ArtifactError, OSError):
                    continue
                if artifact is not None:
                    found[stage] = artifact
                    waiting.append(artifact)
    return found


def _files(raw: Artifact) -> dict[str, Any]:
    parts = raw.facts["parts"]
    return {"digest": raw.key, "bytes": raw.facts["bytes"], "files": [part["uri"] for part in parts][:20]}


def _of_table(store: ArtifactStore, stage: str, table: str, artifacts: Mapping[str, Artifact]) -> Artifact | None:
    """What `stage` made of this very artifact of a table."""
    found = current_artifact(store, stage) if table in artifacts else None
    return found if found and found.inputs.get(table) == artifacts[table].key else None


def _checks(store: ArtifactStore, artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    results = [
        (table, result)
        for table in TABLES
        if (validation := _of_table(store, validation_stage(table), table, artifacts))
        for result in results_of(validation)
    ]
    if not results:
        return {}
    return {
        "passed": sum(result.outcome == "passed" for _, result in results),
        "not compared": sum(result.outcome == "not compared" for _, result in results),
        "failed": [
            f"{result.severity} {result.sentence(table)}" for table, result in results if result.outcome == "failed"
        ],
    }


def below_quality(page: str) -> str:
    """The place of a page (a path or a URL) below VIBERARY_HOME/quality: a home may be moved."""
    return "/".join(Path(page).parts[-2:])
