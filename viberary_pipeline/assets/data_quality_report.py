"""data_quality_report: one page on what came in, what was left out, and what the tables are like."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from viberary_pipeline.artifacts import Produced, digest
from viberary_pipeline.assets.common import StageConfig, artifact_metadata
from viberary_pipeline.duck import sql
from viberary_pipeline.encoders.layout import read_layout
from viberary_pipeline.quality.baseline import Source
from viberary_pipeline.quality.bounds import TABLES
from viberary_pipeline.quality.profile import profiled
from viberary_pipeline.quality.report import (
    code_digest,
    gather,
    make_latest,
    plots_markdown,
    publish_report,
    standing_tables,
    verdict,
)
from viberary_pipeline.quality.tokens import MOST_DOCUMENTS, token_lengths
from viberary_pipeline.resources import Encoder, Storage


@dg.asset(deps=list(TABLES), group_name="quality", kinds={"duckdb", "greatexpectations"})
def data_quality_report(
    context: dg.AssetExecutionContext, config: StageConfig, storage: Storage, encoder: Encoder
) -> dg.MaterializeResult:
    """quality/report/latest.html: one page that needs no network, with the plots that are below as well."""
    produced = make_report(storage, encoder, force=config.force)
    facts = produced.artifact.facts
    context.log.info(facts["verdict"] + (" (unchanged)" if produced.reused else ""))
    profiles = {
        table: profiled(storage.store, table, storage.limits).facts
        for table in standing_tables(storage.store)
        if table in TABLES
    }
    return dg.MaterializeResult(
        metadata={
            **artifact_metadata(produced),
            "verdict": facts["verdict"],
            "report": dg.MetadataValue.path(facts["page"]),
            "rows": dg.MetadataValue.json({table: profile["rows"] for table, profile in profiles.items()}),
            **{
                f"plots_{table}": plots
                for table, profile in profiles.items()
                for plots in plots_metadata(table, profile).values()
            },
        }
    )


def plots_metadata(table: str, profile: Mapping[str, Any]) -> dict[str, dg.MetadataValue]:
    """The plots of a table, as its asset shows them: {"plots": Markdown with the images in it}."""
    markdown = plots_markdown(table, profile)
    return {"plots": dg.MetadataValue.md(markdown)} if markdown else {}


def plots_of(storage: Storage, table: str) -> dict[str, dg.MetadataValue]:
    """The plots of a table as it is now, as metadata of its asset."""
    return plots_metadata(table, profiled(storage.store, table, storage.limits).facts)


def source_of(storage: Storage) -> Source:
    """Whether this build is of the bundled sample: such a one is compared with its like only."""
    return "sample" if storage.raw is None else "given"


def make_report(storage: Storage, encoder: Encoder | None = None, *, force: bool = False) -> Produced:
    """The report on the tables as they are, as far as they were made: found again, or written.

    Args:
        storage: The home.
        encoder: Whose tokens are counted; None: they are left out.
        force: Write it anew.
    """
    store = storage.store
    tables = standing_tables(store)
    for table in (table for table in TABLES if table in tables):
        profiled(store, table, storage.limits)
    counted: dict[str, Any] = {}
    if encoder is not None and "documents" in tables:
        counted = {"tokens": _tokens(storage, encoder), "encoder": encoder.name}
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    inputs, name = gather(store, storage.path, source_of(storage), made=now, **counted)

    def build(_: Path) -> dict[str, Any]:
        page = publish_report(storage.path, name, inputs)
        outcome, sentence = verdict(inputs)
        return {"page": str(page), "outcome": outcome, "verdict": sentence}

    made_from: dict[str, Any] = {"inputs": {"tables": name}, "settings": {"code": code_digest()}, "build": build}
    produced = store.produce("data_quality_report", **made_from, force=force)
    page = Path(produced.artifact.facts["page"])
    if not page.exists():  # pruned since, or removed by hand
        produced = store.produce("data_quality_report", **made_from, force=True)
    elif produced.reused:
        make_latest(page)
    return produced


def _tokens(storage: Storage, encoder: Encoder) -> dict[str, Any]:
    """How long the texts of the documents are for the encoder; found again where neither has changed."""
    model = encoder.resolve()
    documents = storage.store.current("documents")

    def count(out: Path) -> dict[str, Any]:
        return token_lengths(
            documents.file("documents.parquet"),
            tokenizer=read_layout(model.folder).tokenizer,
            max_tokens=model.spec.max_tokens,
            prefix=model.spec.document_prefix,
            scratch=out,
            limits=storage.limits,
        )

    counted = storage.store.produce(
        "documents_tokens",
        inputs={"documents": documents.key},
        settings={"encoder": model.fingerprint, "sample": digest([sql("quality", "profile_texts"), MOST_DOCUMENTS])},
        build=count,
    )
    return dict(counted.artifact.facts)
