"""The `viberary` command in a home of its own, and homes with a published index of the bundled sample."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from click.testing import CliRunner
from filelock import FileLock

from viberary_pipeline import redis_server
from viberary_pipeline.cli import main
from viberary_pipeline.sample.works import load_works
from viberary_pipeline.sample.write import clean_records, load_dirt
from viberary_pipeline.settings import Settings, load_settings
from viberary_pipeline.sources.raw_files import FILES


@dataclass(frozen=True)
class Cli:
    """Runs the `viberary` command in a process of its own, in one VIBERARY_HOME."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "VIBERARY_HOME": str(self.home), "PYTHONWARNINGS": "ignore"}

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "viberary_pipeline.cli", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env={**self.environment, **environment},
            timeout=600,
            check=False,
        )


class CliHere(Cli):
    """Runs it in this process, which has torch already: a process of its own takes seconds to import it."""

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        given = {"VIBERARY_HOME": str(self.home), **environment}
        done = CliRunner().invoke(main, arguments, input=stdin, env=given)
        if not isinstance(done.exception, SystemExit | None):
            raise done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


@dataclass(frozen=True)
class Built:
    """A home that one build filled, its Redis stopped, and what the build said. Nobody writes into it: tests copy it.
    `raw` holds the files that it was built of, None where they are the bundled sample's."""

    home: Path
    raw: Path | None
    outcome: dict[str, Any]


@dataclass(frozen=True)
class Published:
    """A home with a published index and a Redis of its own."""

    home: Path
    settings: Settings
    redis: redis.Redis
    build: str
    outcome: dict[str, Any]
    cli: Cli


def built_once(folder: Path, *, raw: Callable[[Path], object] | None = None, known: Built | None = None) -> Built:
    """Build in `folder`, unless another process of this test run has; it is waited for.

    `raw` writes the raw files into the folder that it is given, and returns VIBERARY_RAW where that is not the folder
    (none: the bundled sample); `known` is a build whose vectors and exported encoder are taken over.
    """
    home, files, outcome = folder / "home", folder / "raw", folder / "built.json"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if not outcome.exists():
            if known is not None:
                warm(home, known)
            place = (raw(files) or files) if raw is not None else None
            try:
                built = Cli(home)("build", "--json", *(["--raw", str(place)] if place else []))
            finally:
                redis_server.stop(home)
            assert built.returncode == 0, built.stderr
            (home / "redis" / "port").unlink()  # or the servers of all copies would try the same one
            outcome.write_text(built.stdout.splitlines()[-1])
    return Built(home, files if raw else None, json.loads(outcome.read_text()))


@contextmanager
def published_copy(built: Built, home: Path) -> Iterator[Published]:
    """A copy of what was built, with a Redis of its own, which is stopped in the end."""
    shutil.copytree(built.home, home, symlinks=True)  # current/ holds links
    try:
        settings = load_settings(home=home, redis_url=redis_server.ensure(home).url)
        yield Published(
            home, settings, redis_server.connect(settings), built.outcome["build"], built.outcome, Cli(home)
        )
    finally:
        redis_server.stop(home)


def warm(home: Path, known: Built, *, embeddings: bool = True) -> None:
    """Give `home` what is dear to make: the vectors that are known (unless it is to make them), the encoder's graph and
    its export."""
    for name in (*(("embeddings",) if embeddings else ()), "graphs", "artifacts/query_encoder"):
        shutil.copytree(known.home / name, home / name)


def write_few(raw: Path) -> int:
    """Write some works of the sample: enough for a page of results, few to embed. Returns how many."""
    works = [
        work for number, work in enumerate(load_works()) if number < 24 or work.editions[0].title == "Best Served Cold"
    ]
    tables = clean_records(works, load_dirt()["private_shelves"])
    for table, name in FILES.items():
        write_gz(raw / name, tables[table])
    return len(works)


def write_gz(path: Path, lines: list[Any]) -> Path:
    """Write JSON lines as gzip: dicts are dumped, str and bytes are written as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = [
        line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode()
        for line in lines
    ]
    with gzip.open(path, "wb") as file:
        file.write(b"".join(line + b"\n" for line in encoded))
    return path


def url_of(client: redis.Redis, *, user: str = "", database: int = 0) -> str:
    """The address of a test's server, as VIBERARY_REDIS_URL takes it."""
    return f"redis://{user}127.0.0.1:{client.connection_pool.connection_kwargs['port']}/{database}"
