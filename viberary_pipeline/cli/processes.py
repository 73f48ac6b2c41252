"""What runs: `serve`, the embedded Redis, machines in AWS."""

import json
from dataclasses import asdict
from typing import Any

import click

from viberary_pipeline.cli.group import main
from viberary_pipeline.errors import SettingsError
from viberary_pipeline.settings import load_settings


@main.command()
@click.option("--host", help="Address to listen on.  [VIBERARY_WEB_HOST]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.  [VIBERARY_WEB_PORT]")
@click.option("--workers", type=click.IntRange(1, 256), help="Number of processes that answer.  [VIBERARY_WEB_WORKERS]")
def serve(host: str | None, port: int | None, workers: int | None) -> None:
    """Serve the search page."""
    from viberary_pipeline.web.server import serve as serve_page

    serve_page(load_settings(web_host=host, web_port=port, web_workers=workers))


@main.group()
def redis() -> None:
    """The embedded Redis of this VIBERARY_HOME."""


@redis.command()
def start() -> None:
    """Start the embedded Redis, if it is not running, and show its address."""
    settings = load_settings()
    from viberary_pipeline.redis_server import ensure

    server = ensure(settings.writable_home(), binary=settings.redis.server)
    click.echo(f"{server.url} (Redis {server.version}, pid {server.pid})")


@redis.command()
def stop() -> None:
    """Save the data of the embedded Redis and stop it."""
    from viberary_pipeline.redis_server import stop as stop_server

    click.echo("stopped" if stop_server(load_settings().home_dir) else "it was not running")


@redis.command(name="status")
def redis_status() -> None:
    """Say whether the embedded Redis is running, and at which address."""
    from viberary_pipeline.redis_server import running

    server = running(load_settings().home_dir)
    if server is None:
        click.echo("not running")
    else:
        click.echo(f"{server.url} (Redis {server.version}, pid {server.pid}, {server.binary})")


@main.group()
def gpu() -> None:
    """Machines in AWS that this project started (VIBERARY_EXECUTOR: ec2 or batch)."""


@gpu.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per machine.")
def gpu_list(as_json: bool) -> None:
    """List the machines that are still running, with their jobs and the times at which they expire."""
    machines = _executor().machines()
    for machine in machines:
        if as_json:
            click.echo(json.dumps(asdict(machine)))
        else:
            expiry = f"expired {machine.expires}" if machine.expired else f"until {machine.expires}"
            click.echo(f"{machine.id}  {machine.state:<12} {machine.kind:<24} {expiry}  {machine.job}")
    if not machines and not as_json:
        click.echo("none")


@gpu.command(name="reap")
def gpu_reap() -> None:
    """End the machines that have expired, and no others."""
    reaped = _executor().reap()
    for machine in reaped:
        click.echo(f"ended {machine.id} ({machine.kind}), expired {machine.expires or 'without saying when'}")
    if not reaped:
        click.echo("none had expired")


def _executor() -> Any:
    settings = load_settings()
    if settings.executor == "local":
        raise SettingsError(
            "The executor local starts no machines that could be listed or ended",
            expected="an executor that starts machines: ec2 or batch",
            found="VIBERARY_EXECUTOR=local",
            todo="set VIBERARY_EXECUTOR as in your builds, and the other settings of that executor",
        )
    from viberary_pipeline.embedding.executors.choice import executor_for

    return executor_for(settings)
