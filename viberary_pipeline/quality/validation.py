"""Validation of one table: its bounds checked by Great Expectations, the result kept in Data Docs and an artifact."""

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viberary_pipeline.artifacts import Artifact, ArtifactStore, file_sha256
from viberary_pipeline.code_digest import code_digest
from viberary_pipeline.errors import QualityError
from viberary_pipeline.quality.baseline import NO_EARLIER_BUILD, Source, load_baseline
from viberary_pipeline.quality.bounds import BOUNDS, ExpectationSpec, expectation_specs
from viberary_pipeline.quality.results import ExpectationResult, not_asked
from viberary_pipeline.quality.verdict import same_artifact, validation_stage

if TYPE_CHECKING:
    from viberary_pipeline.duck import DuckLimits
    from viberary_pipeline.quality.metrics import Metric

LOCK_SECONDS = 600.0

_MEASURED_BY = ("quality/metrics.py", "quality/results.py", "quality/suite.py", "quality/sql")
"""What of this package measures tables (`code_digest`)."""


@dataclass(frozen=True)
class ValidationReport:
    """One run of one table's expectations: `results` in the order of `bounds.toml`, `page` its page in Data Docs."""

    table: str
    run_name: str
    row_count: int
    results: tuple[ExpectationResult, ...]
    page: Path
    index: Path


def validated(
    store: ArtifactStore,
    table: str,
    *,
    home: Path,
    source: Source,
    limits: "DuckLimits",
    bounds: Path = BOUNDS,
    accept_drift: bool = False,
    run_name: str,
    force: bool = False,
) -> Artifact:
    """The validation of the table as it is: `facts` holds `page` and `results`.

    The validation stands where neither the table nor the bounds have changed, and either the baseline has not or it was
    made of this very table. Great Expectations is only imported where something must be validated.

    Args:
        store: The artifacts.
        table: One of `bounds.TABLES`.
        home: VIBERARY_HOME.
        source: Whether the catalogue is the bundled sample.
        limits: DuckDB's memory and threads.
        bounds: The bounds file.
        accept_drift: Failed expectations of drift warn instead of blocking.
        run_name: What the run is called in Data Docs.
        force: Validate anew.

    Raises:
        ArtifactError: the table has not been made.
        QualityError: it could not be checked (a failed expectation is a result, not an error).
    """
    from viberary_pipeline.quality.drift import drift_metrics
    from viberary_pipeline.quality.metrics import RELATED
    from viberary_pipeline.quality.profile import profiled

    artifacts = {name: store.current(name) for name in (table, *RELATED.get(table, ()))}
    inputs = {name: artifact.key for name, artifact in artifacts.items()}
    profile = profiled(store, table, limits, force=force)
    compared_with = load_baseline(home, source)
    shaped_by = {"bounds": file_sha256(bounds), "measured_by": code_digest(*_MEASURED_BY), "profile": profile.key}
    stage = validation_stage(table)
    standing = same_artifact(store, stage, inputs, shaped_by)
    if standing and not force and compared_with.holds(inputs) and standing.page.exists():
        return standing

    def build(out: Path) -> dict[str, Any]:
        report = validate(
            table,
            artifacts[table].file(f"{table}.parquet"),
            docs=home / "quality" / "docs",
            run_name=run_name,
            related={name: artifacts[name].file(f"{name}.parquet") for name in artifacts if name != table},
            works_left_out=sum(artifacts[table].facts.get("filtered", {}).values())
            + artifacts[table].facts.get("joined", 0),
            drift=drift_metrics(table, profile.facts, compared_with),
            of_source=artifacts[table].facts.get("source", "ucsd"),
            accept_drift=accept_drift,
            bounds=bounds,
            limits=limits,
            scratch=out,
        )
        return {"page": os.path.relpath(report.page, home), "results": [asdict(result) for result in report.results]}

    settings = {**shaped_by, "compared_with": compared_with.digest, "accept_drift": accept_drift}
    produced = store.produce(stage, inputs=inputs, settings=settings, build=build, force=force)
    if not produced.artifact.page.exists():  # pruned since, or removed by hand
        produced = store.produce(stage, inputs=inputs, settings=settings, build=build, force=True)
    return produced.artifact


def validate(
    table: str,
    parquet: Path,
    *,
    docs: Path,
    run_name: str,
    related: Mapping[str, Path] | None = None,
    works_left_out: int = 0,
    drift: "Mapping[str, Metric] | None" = None,
    of_source: str = "ucsd",
    accept_drift: bool = False,
    keep_runs: int = 10,
    bounds: Path = BOUNDS,
    limits: "DuckLimits | None" = None,
    scratch: Path | None = None,
) -> ValidationReport:
    """Check a table against its bounds and put the result into Data Docs.

    Args:
        table: "books", "authors", "reviews" or "documents".
        parquet: Its Parquet file, or folder of them.
        docs: The folder of the site; the stored results lie beside it, in `gx/`.
        run_name: What the run is called in Data Docs, such as the Dagster run id.
        related: For documents: the Parquet files of books, authors and reviews (`metrics.RELATED`).
        works_left_out: For documents: how many works are none of them on purpose: left out by a filter, or joined.
        drift: How far the table is from the live build (`drift.drift_metrics`); None: there is no live build.
        of_source: The source of the table: expectations of another one are not asked.
        accept_drift: Failed expectations of drift warn instead of blocking.
        keep_runs: How many results of each suite are kept, this one included; older ones are removed.
        bounds: The bounds file.
        limits: DuckDB's memory and threads; None: its defaults.
        scratch: An existing folder, in which DuckDB may spill; None: beside the stored results.

    Raises:
        QualityError: the table could not be checked (a failed expectation is a result, not an error).
    """
    from filelock import FileLock, Timeout

    from viberary_pipeline.duck import DuckLimits
    from viberary_pipeline.quality.drift import drift_metrics
    from viberary_pipeline.quality.metrics import measure
    from viberary_pipeline.quality.suite import run_suites

    specs = expectation_specs(table, bounds)
    accepted = frozenset(s.name for s in specs if accept_drift and s.severity == "ERROR" and is_drift(s))
    specs = [spec.model_copy(update={"severity": "WARN"}) if spec.name in accepted else spec for spec in specs]
    asked = [spec for spec in specs if spec.source in (None, of_source)]
    docs, limits = docs.absolute(), limits or DuckLimits()
    stored = docs.parent / "gx"
    stored.mkdir(parents=True, exist_ok=True)
    run_name = re.sub(r"[^A-Za-z0-9_.-]+", "-", run_name).strip(".-")[:100] or "run"  # it names a folder
    with tempfile.TemporaryDirectory(prefix=".checked-", dir=scratch or stored) as folder:
        database = Path(folder) / "checked.duckdb"
        measured = measure(
            table,
            parquet,
            database,
            drift=drift if drift is not None else drift_metrics(table, None, NO_EARLIER_BUILD),
            related=related,
            limits=limits,
            works_left_out=works_left_out,
        )
        try:
            # Great Expectations writes several files without locks: one validation of a site at a time.
            with FileLock(stored / "lock", timeout=LOCK_SECONDS):
                results, page = run_suites(
                    table,
                    asked,
                    database,
                    measured,
                    accepted=accepted,
                    limits=limits,
                    docs=docs,
                    run_name=run_name,
                    keep=keep_runs,
                )
        except Timeout as error:
            raise QualityError(
                "The data quality report is locked",
                expected=f"the lock {stored / 'lock'} within {LOCK_SECONDS:.0f} s",
                found="another process still holds it",
                todo="wait for that process, or end it; its lock ends with it",
            ) from error
    ordered = tuple(results.get(spec.name) or not_asked(spec, of_source) for spec in specs)
    return ValidationReport(table, run_name, measured.rows, ordered, page, docs / "index.html")


def is_drift(spec: ExpectationSpec) -> bool:
    """Whether the expectation compares the table with the live build."""
    from viberary_pipeline.quality.drift import DRIFT_METRICS

    return spec.column in DRIFT_METRICS
