"""What was built, what is live, and the way back: `status`, `builds`, `diff`, `rollback`, `late`."""

import json
import platform
import uuid
from dataclasses import asdict

import click

from viberary_pipeline.cli.group import main
from viberary_pipeline.cli.homes import open_home
from viberary_pipeline.errors import SettingsError
from viberary_pipeline.settings import load_settings


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(as_json: bool) -> None:
    """Show the live build: its source, age and quality, its gates and reports, and what was refused since."""
    settings = load_settings()
    from viberary_pipeline.index.clean import known_builds
    from viberary_pipeline.redis_contract import read_pointer, read_record
    from viberary_pipeline.redis_server import connect
    from viberary_pipeline.search.searcher import Searcher

    client, home = connect(settings), open_home(settings)
    pointer = read_pointer(client)
    readiness = Searcher(client, home).readiness()
    records = [record for build in reversed(known_builds(client)) if (record := read_record(client, build))]
    if as_json:
        builds = [{**asdict(record), "gates": record.gate_results} for record in records]
        click.echo(json.dumps({**asdict(pointer), "readiness": readiness.to_json(), "builds": builds}))
        return
    from viberary_pipeline.history.words import status_lines

    click.echo(f"live      {pointer.live or 'nothing is published yet: run `viberary build`'}")
    click.echo(f"previous  {pointer.previous or 'none'}")
    click.echo(f"ready     {'yes' if readiness.ready else 'no: ' + readiness.reason}")
    for line in status_lines(home, pointer.live, records):
        click.echo(line)


@main.command()
@click.option("--last", default=20, show_default=True, type=click.IntRange(1), help="Number of builds to show.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with all builds.")
def builds(last: int, as_json: bool) -> None:
    """List all builds, newest first, with their verdict, size, quality and time."""
    home = open_home(load_settings())
    from viberary_pipeline.history.records import History
    from viberary_pipeline.history.words import builds_table

    records = History(home).all()
    if as_json:
        click.echo(json.dumps({"builds": [record.to_json() for record in records]}))
        return
    if not records:
        click.echo("no build has run in this VIBERARY_HOME: run `viberary build`")
        return
    for line in builds_table(records, last):
        click.echo(line)
    if len(records) > last:
        click.echo(f"{len(records) - last:,} earlier ones: --last {len(records)}")


@main.command()
@click.argument("a", metavar="[A]", default="previous")
@click.argument("b", metavar="[B]", default="live")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def diff(a: str, b: str, as_json: bool) -> None:
    """Say what changed from build A to build B.

    A and B are numbers or names that `viberary builds` lists, or `live` or `previous`. Without them it compares the
    previous build with the live one.
    """
    settings = load_settings()
    from viberary_pipeline.history import diff as differences
    from viberary_pipeline.history.records import History
    from viberary_pipeline.history.words import diff_lines

    pointer = {}
    if {"live", "previous"} & {a, b}:
        from viberary_pipeline.redis_contract import read_pointer
        from viberary_pipeline.redis_server import connect

        pointer = asdict(read_pointer(connect(settings)))
    home = open_home(settings)
    history = History(home)
    first, second = (history.find(name, pointer) for name in (a, b))
    found = differences.diff(home, first, second, settings.duckdb)
    if as_json:
        click.echo(json.dumps(found))
        return
    for line in diff_lines(found):
        click.echo(line)


@main.command()
def rollback() -> None:
    """Go back to the previous build. Run it again to go forward."""
    settings = load_settings()
    from viberary_pipeline.history.rollback import go_back
    from viberary_pipeline.notifications import tell
    from viberary_pipeline.redis_server import connect

    back = go_back(
        connect(settings), settings.home_dir, keep_records=settings.keep.records, public=settings.sources.public
    )
    tell(settings, back.message(uuid.uuid4().hex, host=platform.node()))
    outcome, *warnings = back.lines()
    for line in warnings:
        click.echo(f"viberary: {line}", err=True)
    click.echo(outcome)


@main.command()
def late() -> None:
    """Send a message, and exit with 1, if no build was finished for VIBERARY_NOTIFY_LATE_HOURS.

    Run it from cron, if Dagster's daemon does not run.
    """
    settings = load_settings()
    if not settings.notify.late_hours:
        raise SettingsError(
            "VIBERARY_NOTIFY_LATE_HOURS is not set",
            expected="the hours after which a build is late, such as 192 for a weekly build",
            found="no value",
            todo="set it, both for this command and for Dagster's daemon",
        )
    from viberary_pipeline.jobs.sensors import late_message
    from viberary_pipeline.notifications import tell

    message = late_message(settings)
    if message is None:
        click.echo("no build is late")
        return
    tell(settings, message)
    click.echo(f"{message.title}. {message.text}", err=True)
    raise click.exceptions.Exit(1)
