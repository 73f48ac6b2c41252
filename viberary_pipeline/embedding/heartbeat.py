"""What a worker says of itself while it works: one small object per worker, written anew every few seconds.

It is how whoever waits tells a slow worker from a dead one, and learns the exit code of a machine that is gone.
"""

import json
import logging
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Literal

from viberary_pipeline.errors import StorageError
from viberary_pipeline.storage import Place
from viberary_pipeline.typed_json import parse_json

log = logging.getLogger(__name__)
SECONDS = 15.0
_FOLDER = "workers/"
_FAILED = "failed/"
_SIDE_BY_SIDE = 16


@dataclass
class Heartbeat:
    """What one worker last said. `time` is Unix time; `rows` of `total` (texts, or steps of a training) are done by it;
    `exit_code` and `message` are set when it has ended."""

    worker: str
    host: str
    pid: int
    state: Literal["starting", "embedding", "training", "ended"] = "starting"
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
        if exit_code:
            self._write(_FAILED)  # where it is found by one listing, among thousands of workers

    def _beat(self) -> None:
        while not self._stop.wait(self._seconds):
            self._write()

    def _write(self, folder: str = _FOLDER) -> None:
        self.now.time = time.time()
        try:
            self._place.write(f"{folder}{self.now.worker}.json", json.dumps(asdict(self.now)).encode(), durable=False)
        except (OSError, StorageError) as error:  # the work itself will find out whether it matters
            log.warning("no heartbeat: %s", error)


def heartbeats(at: Place) -> list[Heartbeat]:
    """What every worker of a job last said."""
    return _read(at, at.names(_FOLDER))


def failures(at: Place) -> list[Heartbeat]:
    """The last words of workers that ended with another exit code than 0; of many, the first few."""
    return _read(at, at.names(_FAILED)[:_SIDE_BY_SIDE])


def forget(at: Place) -> None:
    """Remove what workers of earlier submissions said."""
    at.delete(*at.names(_FOLDER), *at.names(_FAILED))


def _read(at: Place, names: list[str]) -> list[Heartbeat]:
    def read(name: str) -> Heartbeat | None:
        try:
            return parse_json(Heartbeat, at.read(name))
        except (FileNotFoundError, ValueError):
            return None

    with ThreadPoolExecutor(_SIDE_BY_SIDE) as threads:
        return [beat for beat in threads.map(read, names) if beat is not None]
