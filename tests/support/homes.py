"""The `viberary` command in a home of its own, and homes with a published index of the bundled sample."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from filelock import FileLock

from viberary_pipeline import redis_server
from viberary_pipeline.settings import Settings, load_settings


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
            timeout=300,
            check=False,
        )


@dataclass(frozen=True)
class Published:
    """A home with a published index of the bundled sample. Tests read it and leave its live build as it is."""

    home: Path
    settings: Settings
    redis: redis.Redis
    build: str
    outcome: dict[str, Any]
    cli: Cli


def built_sample(shared: Path) -> tuple[Path, dict[str, Any]]:
    """A home in which the sample was built, its Redis stopped, and what the build said. Whichever process asks first
    builds it; the others wait for it. Nobody writes into it afterwards."""
    home, outcome = shared / "built", shared / "built.json"
    shared.mkdir(exist_ok=True)
    with FileLock(shared / "lock"):
        if not outcome.exists():
            try:
                built = Cli(home)("build", "--json")
            finally:
                redis_server.stop(home)
            assert built.returncode == 0, built.stderr
            (home / "redis" / "port").unlink()  # or the servers of all copies would try the same one
            outcome.write_text(built.stdout.splitlines()[-1])
    return home, json.loads(outcome.read_text())


@contextmanager
def published_copy(home: Path, built: Path, outcome: dict[str, Any]) -> Iterator[Published]:
    """A copy of what was built, with a Redis of its own, which is stopped in the end."""
    shutil.copytree(built, home)
    try:
        settings = load_settings(home=home, redis_url=redis_server.ensure(home).url)
        yield Published(home, settings, redis_server.connect(settings), outcome["build"], outcome, Cli(home))
    finally:
        redis_server.stop(home)


def warm(home: Path, built: Path) -> None:
    """Give `home` the sample's vectors and the exported encoder, and nothing else."""
    for known in ("embeddings", "artifacts/query_encoder"):
        shutil.copytree(built / known, home / known)
