"""What a worker says of itself while it works: one small object per worker, written anew every few seconds.

It is how whoever waits tells a slow worker from a dead one, and learns the exit code of a machine that is gone.
"""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Literal

from viberary_pipeline.embedding.places import Place
from viberary_pipeline.errors import StorageError

log = logging.getLogger(__name__)
SECONDS = 15.0
_FOLDER = "workers/"


@dataclass
class Heartbeat:
    """What one worker last said. `time` is Unix time; `rows` of `total` are embedded by it; `exit_code` and
    `message` are set when it has ended."""

    worker: str
    host: str
    pid: int
    state: Literal["starting", "embedding", "ended"] = "starting"
    time: float = 0.0
    started: float = 0.0
    total: int = 0
    rows: int = 0
    tokens: int = 0
    shards: int = 0
    seconds: float = 0.0
    exit_code: int | None = None
    message: str = ""


class Pulse:
    """Writes a worker's heartbeat from a thread, until `end`."""

    def __init__(self, at: Place, *, name: str = "", seconds: float = SECONDS) -> None:
        host = socket.gethostname()
        self.now = Heartbeat(name or f"{host}-{os.getpid()}", host, os.getpid(), started=time.time())
        self._place, self._seconds = at, seconds
        self._stop = threading.Event()
        self._write()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def end(self, exit_code: int, message: str = "") -> None:
        """Say how the worker ends."""
        self._stop.set()
        self._thread.join(self._seconds)
        self.now.state, self.now.exit_code, self.now.message = "ended", exit_code, message[:2000]
        self._write()

    def _beat(self) -> None:
        while not self._stop.wait(self._seconds):
            self._write()

    def _write(self) -> None:
        self.now.time = time.time()
        try:
            self._place.write(f"{_FOLDER}{self.now.worker}.json", json.dumps(asdict(self.now)).encode())
        except (OSError, StorageError) as error:  # the work itself will find out whether it matters
            log.warning("no heartbeat: %s", error)


def heartbeats(at: Place) -> list[Heartbeat]:
    """What every worker of a job last said."""
    return list(_read(at))


def forget(at: Place) -> None:
    """Remove what workers of earlier attempts said."""
    at.delete(*at.names(_FOLDER))


def _read(at: Place) -> Iterator[Heartbeat]:
    known = {field.name for field in fields(Heartbeat)}
    for name in at.names(_FOLDER):
        try:
            values = json.loads(at.read(name))
            yield Heartbeat(**{key: value for key, value in values.items() if key in known})
        except (FileNotFoundError, ValueError, TypeError):
            continue
