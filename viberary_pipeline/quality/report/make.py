"""The stages of the report: each table's plots, and the page. What has not changed is found again."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viberary_pipeline.artifacts import ArtifactStore, Produced, digest
from viberary_pipeline.code_digest import code_digest
from viberary_pipeline.quality.baseline import Source, load_baseline
from viberary_pipeline.quality.bounds import TABLES
from viberary_pipeline.quality.profile import profiled
from viberary_pipeline.quality.report.inputs import (
    ReportInputs,
    consistent_tables,
    joined_facts,
    same_facts,
    table_input,
)
from viberary_pipeline.quality.report.kept_plots import KeptPlots
from viberary_pipeline.quality.verdict import same_artifact

if TYPE_CHECKING:
    from viberary_pipeline.duck import DuckLimits
    from viberary_pipeline.encoders.files import ResolvedEncoder

STAGE = "data_quality_report"

_MADE_BY = (
    "quality/report",
    "quality/templates",
    "quality/distributions.py",
    "quality/drift.py",
    "quality/results.py",
)
"""What of this package makes the page and the plots (`code_digest`)."""


def make_report(
    store: ArtifactStore,
    home: Path,
    source: Source,
    limits: "DuckLimits",
    *,
    encoder: "ResolvedEncoder | None" = None,
    force: bool = False,
    failed: Mapping[str, str] | None = None,
    licence: str = "",
) -> Produced:
    """The report on the current tables, as far as they were made: found again, or written.

    It stands where neither the tables nor their results have changed, and either the baseline has not or it was made of
    these very tables. Its `facts` hold `page`, `badge`, `verdict`, `rows` (by table) and `documents`,
    the key of those that it is on ('' where there are none).

    Args:
        store: The artifacts.
        home: VIBERARY_HOME.
        source: Whether the catalogue is the bundled sample.
        limits: DuckDB's memory and threads.
        encoder: Whose tokens are counted; None: they are left out.
        force: Write it anew.
        failed: {table: why} of tables that could not be read: what is current of them is an earlier build's.
        licence: Under what a catalogue of one's own may be used (`sources/licences.py`).
    """
    failed = failed or {}
    artifacts = {
        table: artifact
        for table, artifact in consistent_tables(store).items()
        if table not in failed and not (failed and table == "documents")
    }
    keys = {table: artifact.key for table, artifact in artifacts.items()}
    checked = {table: key for table, key in keys.items() if table in TABLES}
    for table in checked:
        profiled(store, table, limits)
    tables = {table: table_input(store, table, artifact) for table, artifact in artifacts.items()}
    tokens = _tokens(store, encoder, limits) if encoder and "documents" in tables else None
    compared_with = load_baseline(home, source)
    joined, same = joined_facts(store, artifacts), same_facts(store, artifacts)
    results = {table: [list(entry.results), _from(home, entry.page)] for table, entry in tables.items()}
    shown = [keys, results, source, tokens, *([same] if same else []), *([licence] if licence else [])]
    inputs = {"tables": digest([*shown, encoder.spec.name if encoder else "", *sorted(failed.items())])}
    shaped_by = {"code": code_digest(*_MADE_BY)}
    if not force and checked and compared_with.holds(checked):
        standing = same_artifact(store, STAGE, inputs, shaped_by)
        if standing and standing.page.exists():
            return Produced(standing, reused=True)

    def build(out: Path) -> dict[str, Any]:
        from viberary_pipeline.quality.report.page import publish_report
        from viberary_pipeline.quality.report.summary import verdict

        made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        name = encoder.spec.name if encoder else ""
        plots = KeptPlots.of(store, STAGE)
        gathered = ReportInputs(tables, source, compared_with, tokens, name, made, failed, joined, same, licence, plots)
        page = publish_report(home, digest([inputs, compared_with.digest]), gathered)
        plots.save(out)
        badge, sentence = verdict(gathered)
        rows = {table: entry.facts["rows"] for table, entry in tables.items() if table in TABLES}
        documents = keys.get("documents", "")
        return {"page": _from(home, page), "badge": badge, "verdict": sentence, "rows": rows, "documents": documents}

    settings = {**shaped_by, "compared_with": compared_with.digest}
    produced = store.produce(STAGE, inputs=inputs, settings=settings, build=build, force=force)
    page = produced.artifact.page
    if not page.exists():  # pruned since, or removed by hand
        return store.produce(STAGE, inputs=inputs, settings=settings, build=build, force=True)
    if produced.reused:
        from viberary_pipeline.quality.report.page import make_latest

        make_latest(page)
    return produced


def _from(home: Path, page: Path | None) -> str:
    """Where a page lies, from the home on."""
    return os.path.relpath(page, home) if page is not None else ""


def table_plots(store: ArtifactStore, table: str, limits: "DuckLimits") -> str:
    """The plots of a current table as Markdown for the Dagster UI, drawn once per profile; '' where there are none."""
    profile, stage = profiled(store, table, limits), f"{table}_plots"

    def build(out: Path) -> dict[str, Any]:
        from viberary_pipeline.quality.report.plots import plots_markdown

        kept = KeptPlots.of(store, stage)
        markdown = plots_markdown(table, profile.facts, kept)
        kept.save(out)
        (out / "plots.md").write_text(markdown, encoding="utf-8")
        return {"characters": len(markdown)}

    drawn = store.produce(
        stage,
        inputs={f"{table}_profile": profile.key},
        settings={"code": code_digest(*_MADE_BY)},
        build=build,
    )
    return drawn.artifact.file("plots.md").read_text(encoding="utf-8")


def _tokens(store: ArtifactStore, model: "ResolvedEncoder", limits: "DuckLimits") -> Mapping[str, Any]:
    """How long the texts of the documents are for the encoder; found again where neither has changed."""
    from viberary_pipeline.duck import sql
    from viberary_pipeline.quality.tokens import MOST_DOCUMENTS, token_lengths

    documents = store.current("documents")

    def count(out: Path) -> dict[str, Any]:
        from viberary_pipeline.encoders.layout import read_layout

        return token_lengths(
            documents.file("documents.parquet"),
            tokenizer=read_layout(model.folder).tokenizer,
            max_tokens=model.spec.max_tokens,
            prefix=model.spec.document_prefix,
            scratch=out,
            limits=limits,
        )

    counted = store.produce(
        "documents_tokens",
        inputs={"documents": documents.key},
        settings={"encoder": model.fingerprint, "sample": digest([sql("quality", "profile_texts"), MOST_DOCUMENTS])},
        build=count,
    )
    return counted.artifact.facts
