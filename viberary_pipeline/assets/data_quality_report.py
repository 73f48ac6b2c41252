"""data_quality_report: one page on what came in, what was left out, and what the tables are like."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from viberary_pipeline.artifacts import Produced
from viberary_pipeline.assets.stages import Result, Work, stage
from viberary_pipeline.code_digest import code_digest
from viberary_pipeline.encoders.layout import read_layout
from viberary_pipeline.quality.bounds import TABLES
from viberary_pipeline.quality.profile import profiled
from viberary_pipeline.quality.report import (
    gather,
    make_latest,
    plots_markdown,
    publish_report,
    standing_tables,
    verdict,
)
from viberary_pipeline.quality.tokens import token_lengths
from viberary_pipeline.resources import Pipeline


@stage(group="quality", kinds={"duckdb", "greatexpectations"}, reads=TABLES)
def data_quality_report(work: Work) -> Result:
    """quality/report/latest.html: one page that needs no network, with the plots that are below as well."""
    pipeline = work.pipeline
    made = make_report(pipeline, tokens=True, force=work.force)
    facts = made.artifact.facts
    profiles = {table: profiled(pipeline.store, table, pipeline.settings.duckdb).facts for table in TABLES}
    return Result(
        made,
        facts["verdict"],
        metadata={
            "verdict": facts["verdict"],
            "report": dg.MetadataValue.path(facts["page"]),
            "row_counts": dg.MetadataValue.json({table: profile["rows"] for table, profile in profiles.items()}),
            **{
                f"plots_{table}": plots
                for table, profile in profiles.items()
                for plots in plots_metadata(table, profile).values()
            },
        },
    )


def plots_metadata(table: str, profile: Mapping[str, Any]) -> dict[str, dg.MetadataValue]:
    """The plots of a table, as its asset shows them: {"plots": Markdown with the images in it}."""
    markdown = plots_markdown(table, profile)
    return {"plots": dg.MetadataValue.md(markdown)} if markdown else {}


def plots_of(pipeline: Pipeline, table: str) -> dict[str, dg.MetadataValue]:
    """The plots of a table as it is now, as metadata of its asset."""
    return plots_metadata(table, profiled(pipeline.store, table, pipeline.settings.duckdb).facts)


def make_report(pipeline: Pipeline, *, tokens: bool = False, force: bool = False) -> Produced:
    """The report on the tables as they are, as far as they were made: found again, or written.

    Args:
        pipeline: The home.
        tokens: Whether the encoder's tokens are counted.
        force: Write it anew.
    """
    store, limits = pipeline.store, pipeline.settings.duckdb
    tables = standing_tables(store)
    for table in (table for table in TABLES if table in tables):
        profiled(store, table, limits)
    counted: dict[str, Any] = {}
    if tokens and "documents" in tables:
        counted = {"tokens": _tokens(pipeline), "encoder": pipeline.settings.encoder}
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    inputs, name = gather(store, pipeline.home, pipeline.settings.source, made=now, **counted)

    def build(_: Path) -> dict[str, Any]:
        page = publish_report(pipeline.home, name, inputs)
        outcome, sentence = verdict(inputs)
        return {"page": str(page), "outcome": outcome, "verdict": sentence}

    made_from: dict[str, Any] = {
        "inputs": {"tables": name},
        "settings": {"code": code_digest("quality")},
        "build": build,
    }
    produced = store.produce("data_quality_report", **made_from, force=force)
    page = Path(produced.artifact.facts["page"])
    if not page.exists():  # pruned since, or removed by hand
        produced = store.produce("data_quality_report", **made_from, force=True)
    elif produced.reused:
        make_latest(page)
    return produced


def _tokens(pipeline: Pipeline) -> dict[str, Any]:
    """How long the texts of the documents are for the encoder; found again where neither has changed."""
    model = pipeline.encoder
    documents = pipeline.store.current("documents")

    def count(out: Path) -> dict[str, Any]:
        return token_lengths(
            documents.file("documents.parquet"),
            tokenizer=read_layout(model.folder).tokenizer,
            max_tokens=model.spec.max_tokens,
            prefix=model.spec.document_prefix,
            scratch=out,
            limits=pipeline.settings.duckdb,
        )

    counted = pipeline.store.produce(
        "documents_tokens",
        inputs={"documents": documents.key},
        settings={
            "encoder": model.fingerprint,
            "code": code_digest("quality/tokens.py", "quality/sql/profile_texts.sql"),
        },
        build=count,
    )
    return dict(counted.artifact.facts)
