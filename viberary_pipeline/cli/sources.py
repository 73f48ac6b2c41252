"""Files to build from: `sample`, `synth`, `fetch`."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from viberary_pipeline.cli.group import main
from viberary_pipeline.settings import load_settings


def _local_folder(_: click.Context, __: click.Parameter, folder: Path) -> Path:
    if ":/" in str(folder):
        raise click.BadParameter(f"expected a folder of this machine, not {folder}")
    return folder


_FOLDER = click.argument(
    "folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False), callback=_local_folder
)


_DUMPS = ("works", "editions", "authors", "ratings", "reading-log", "redirects")


_SOURCE = click.option(
    "--source",
    type=click.Choice(["ucsd", "openlibrary"]),
    default="ucsd",
    show_default=True,
    help="Form of the files: that of the UCSD Book Graph, or of Open Library's dumps.",
)


@main.command()
@_FOLDER
@_SOURCE
def sample(folder: Path, source: str) -> None:
    """Write the bundled catalogue to DIR, as gz files in the form of a source."""
    from viberary_pipeline.sample.write import write_sample

    for file in sorted(write_sample(folder, source).values()):
        click.echo(f"{file.path} ({file.path.stat().st_size:,} bytes)")


@main.command()
@_FOLDER
@_SOURCE
@click.option("--books", type=click.IntRange(0), help="ucsd: number of editions (the real files: 2,360,655).")
@click.option("--reviews", type=click.IntRange(0), help="ucsd: number of reviews (the real files: 15,739,967).")
@click.option("--works", type=click.IntRange(0), help="openlibrary: number of works (the real dump: 40 million).")
@click.option(
    "--readings", type=click.IntRange(0), help="openlibrary: lines of the reading log.  [default: a fifth of --works]"
)
@click.option("--date", type=click.DateTime(["%Y-%m-%d"]), help="openlibrary: date in the names of the files.")
@click.option(
    "--changed", type=click.FloatRange(0, 1), help="openlibrary: share of works that have changed since last month."
)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed; each gives another catalogue."
)
@click.option(
    "--damage", default=0.0, show_default=True, type=click.FloatRange(0, 1), help="Share of lines that are broken."
)
def synth(folder: Path, source: str, seed: int, damage: float, **options: Any) -> None:
    """Write a made-up catalogue of any size to DIR, with the structure and the faults of a real one.

    --source ucsd needs --books and --reviews; --source openlibrary needs --works.
    """
    needed, other = (("books", "reviews"), ()) if source == "ucsd" else (("works",), ("readings", "date", "changed"))
    given = {name: value for name, value in options.items() if value is not None}
    if missing := [name for name in needed if name not in given]:
        raise click.UsageError(f"--source {source} needs --{' and --'.join(missing)}.")
    if foreign := [name for name in given if name not in (*needed, *other)]:
        raise click.UsageError(f"--source {source} has no --{' and no --'.join(foreign)}.")
    if "date" in given:
        given["of"] = given.pop("date").date()
    settings = load_settings()
    from viberary_pipeline.synth.write import write_dumps, write_synthetic

    write: Any = write_synthetic if source == "ucsd" else write_dumps
    for file in write(folder, **given, seed=seed, limits=settings.duckdb, damage=damage).values():
        click.echo(f"{file.path} ({file.lines:,} lines, {file.bytes:,} bytes)")


@main.group()
def fetch() -> None:
    """Download a public source."""


@fetch.command()
@_FOLDER
@click.option("--date", "of", type=click.DateTime(["%Y-%m-%d"]), help="Date of the dump.  [default: the latest]")
@click.option("--only", multiple=True, type=click.Choice(_DUMPS), help="Only these files; may be repeated.")
@click.option("--replace", is_flag=True, help="Remove dumps of other dates from DIR once this one is complete.")
@click.option("--from", "url", metavar="URL", help="Server to download from.  [VIBERARY_FETCH_URL]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def openlibrary(
    folder: Path, of: datetime | None, only: tuple[str, ...], replace: bool, url: str | None, as_json: bool
) -> None:
    """Download Open Library's monthly dump (some 17 GB) to DIR, or resume a download.

    Every file is compared with its published checksum. No file gets its final name before all are complete.
    """
    settings = load_settings(fetch_url=url)
    from viberary_pipeline.fetch.openlibrary import fetch_dump

    dump = fetch_dump(
        folder,
        settings.fetch,
        of=of.date() if of else None,
        tables=only or _DUMPS,
        replace=replace,
        say=lambda line: click.echo(line, err=True),
    )
    if as_json:
        files = [{**asdict(file), "path": str(file.path)} for file in dump.files]
        click.echo(json.dumps({"date": dump.date, "files": files, "removed": [str(path) for path in dump.removed]}))
        return
    for file in dump.files:
        verified = (
            f"{file.verified} verified" if file.verified != "gzip" else "no published checksum; gzip's own verified"
        )
        click.echo(f"{file.path} ({file.bytes:,} bytes, {verified}{'' if file.downloaded else ', was there'})")
    for path in dump.removed:
        click.echo(f"removed {path}")
