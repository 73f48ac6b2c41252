"""What lies in the home: `artifacts` and `gc`."""

import json
import os
from dataclasses import asdict

import click

from viberary_pipeline.cli.group import main
from viberary_pipeline.cli.homes import open_home
from viberary_pipeline.errors import SettingsError
from viberary_pipeline.settings import Settings, load_settings


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def artifacts(as_json: bool) -> None:
    """List the artifacts under VIBERARY_HOME: where they are, how large, and what needs them."""
    settings = load_settings()
    from viberary_pipeline.history.records import History
    from viberary_pipeline.index.garbage import artifacts_needed
    from viberary_pipeline.redis_server import connect

    home = open_home(settings)
    found = artifacts_needed(connect(settings), home, History(home).document_keys(settings.keep.documents))
    if as_json:
        rows = [
            {
                **{name: getattr(artifact, name) for name in ("stage", "key", "created", "seconds")},
                "path": str(artifact.path),
                "bytes": size,
                "needed_by": by,
            }
            for artifact, size, by in found
        ]
        click.echo(json.dumps({"home": str(settings.home if settings.home_in_s3 else home), "artifacts": rows}))
        return
    for artifact, size, by in found:
        needed = ", ".join(by) or "nothing"
        click.echo(
            f"{artifact.stage:<20} {artifact.path.name:<26} {size / 1e6:>10,.2f} MB  {artifact.created[:16]}  {needed}"
        )
    total, unneeded = (sum(size for _, size, by in found if every or not by) for every in (True, False))
    click.echo(f"{len(found):,} artifacts, {total / 1e6:,.1f} MB; {unneeded / 1e6:,.1f} MB of it is needed by nothing")


@main.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option(
    "--vectors", is_flag=True, help="Also remove the vectors of texts that are in none of the kept documents."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def gc(dry_run: bool, vectors: bool, as_json: bool) -> None:
    """Remove builds and artifacts that nothing needs. The live build and the previous one stay."""
    settings = load_settings()
    home = settings.writable_home(with_room=False)
    from viberary_pipeline.index.garbage import collect_garbage
    from viberary_pipeline.redis_server import connect

    if vectors and settings.embedding.vectors:
        raise SettingsError(
            "Other homes may use these vectors too",
            expected="vectors under VIBERARY_HOME",
            found=f"VIBERARY_EMBEDDING_VECTORS={settings.embedding.vectors}, which other homes may share",
            todo="leave --vectors out; to remove old vectors, give the bucket a lifecycle rule",
        )
    from viberary_pipeline.history.records import History
    from viberary_pipeline.storage import open_place

    keep = History(open_home(settings)).document_keys(settings.keep.documents)
    garbage = collect_garbage(
        connect(settings),
        home,
        dry_run=dry_run,
        vectors=vectors,
        shared_vectors=open_place(settings.vectors_uri) if settings.vectors_uri else None,
        keep_documents=keep,
    )
    runs = _old_runs(settings, dry_run)
    if as_json:
        named = [str(folder) for folder in garbage.folders]
        click.echo(json.dumps({**asdict(garbage), "folders": named, "runs": runs, "dry_run": dry_run}))
        return
    verb = "would remove" if dry_run else "removed"
    counted = f"{len(garbage.builds)} builds, {len(garbage.folders)} folders, {garbage.bytes / 1e6:,.1f} MB"
    counted += f", {garbage.vectors:,} vectors" if vectors else ""
    if dry_run:
        click.echo(f"{verb} {counted}")
        for kind, folders, size in garbage.by_kind(home):
            click.echo(
                f"  {kind:<28} {folders:>6,} {'folder' if folders == 1 else 'folders':<7} {size / 1e6:>10,.1f} MB"
            )
    for build in garbage.builds:
        click.echo(f"{verb} build {build}")
    for folder in garbage.folders:
        click.echo(f"{verb} {folder}")
    if not dry_run:
        click.echo(counted)
    if runs:
        click.echo(f"{verb} {len(runs)} runs of Dagster: the newest {settings.runs.kept} stay (VIBERARY_RUNS_KEPT)")
    if garbage.left:
        click.echo(f"left: {garbage.left}")


def _old_runs(settings: Settings, dry_run: bool) -> list[str]:
    """Dagster's runs that are deleted, or would be; a machine that never built has no Dagster."""
    if not (settings.home_dir / "dagster" / "dagster.yaml").exists() and not os.environ.get("DAGSTER_HOME"):
        return []
    from viberary_pipeline.resources.dagster_store import prune_home

    return prune_home(settings.home_dir, settings.runs.kept, dry_run=dry_run)
