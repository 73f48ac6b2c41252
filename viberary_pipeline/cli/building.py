"""`viberary build`."""

import json
from collections.abc import Iterator
from typing import Any

import click

from viberary_pipeline.cli.group import main
from viberary_pipeline.machine import importing
from viberary_pipeline.settings import load_settings

_STAGES_SHOWN = 6
"""The slowest; all are in `build --json`."""


@main.command()
@click.option(
    "--raw",
    metavar="PLACE",
    help="Folder, s3://bucket/prefix or books file; or two, with a comma between.  [VIBERARY_RAW]",
)
@click.option("--encoder", help="Name of an encoder, or a sentence-transformers folder.  [VIBERARY_ENCODER]")
@click.option(
    "--executor", type=click.Choice(["local", "ec2", "batch"]), help="Where to embed documents.  [VIBERARY_EXECUTOR]"
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Device to embed on.  [VIBERARY_EMBEDDING_DEVICE]")
@click.option(
    "--force", is_flag=True, help="Run all stages again and publish a new build. Stored vectors are used again."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def build(
    raw: str | None,
    encoder: str | None,
    executor: str | None,
    device: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Build an index from the raw files, check it, and publish it.

    Without --raw and VIBERARY_RAW it builds the bundled sample.
    """
    settings = load_settings(raw=raw, encoder=encoder, executor=executor, embedding_device=device)
    home = settings.writable_home()
    with importing():
        from viberary_pipeline.run import run_build

    click.echo(f"building in {home}" + (f", a copy of {settings.home}" if settings.home_in_s3 else ""), err=True)
    outcome = run_build(settings, force=force, say=lambda line: click.echo(line, err=True))
    if outcome.failure is None:
        for line in _summary(outcome.to_json()):
            click.echo(line, err=as_json)
    if as_json:
        click.echo(json.dumps(outcome.to_json()))
    if outcome.failure is not None:
        click.echo(f"viberary: {outcome.failure.stage}: {outcome.failure.message}", err=True)
        raise click.exceptions.Exit(outcome.failure.exit_code)


def _summary(outcome: dict[str, Any]) -> Iterator[str]:
    verdict = "published" if outcome["published"] else "nothing changed: it stays live, no new index"
    yield f"build {outcome['build']}: {verdict}"
    yield (
        f"  {outcome['documents']:,} documents, {outcome['embedded']:,} texts embedded, {outcome['reused']:,} reused, "
        f"{sum(outcome['rejected'].values()):,} rows left out"
    )
    width = max(map(len, outcome["rejected"]), default=0)
    for reason, count in sorted(outcome["rejected"].items()):
        yield f"    {reason:<{width}} {count:>8,}"
    slowest = sorted(outcome["seconds"].items(), key=lambda stage: -stage[1])
    shown = [f"{stage} {seconds:.1f}" for stage, seconds in slowest[:_STAGES_SHOWN]]
    if rest := [seconds for _, seconds in slowest[_STAGES_SHOWN:]]:
        shown.append(f"{len(rest)} others {sum(rest):.1f}")
    yield f"  {sum(outcome['seconds'].values()):.1f} s ({', '.join(shown)})"
