"""The `viberary` command in a home of its own, and a home with a published index."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from viberary_pipeline.settings import Settings


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
    """A home with a published index of the bundled sample. Tests read it and leave it as it is."""

    home: Path
    settings: Settings
    redis: redis.Redis
    build: str
    outcome: dict[str, Any]
    cli: Cli
