"""One home, one build at a time, from its first stage to its last.

The stages of a home share the pointers to what is current, so two builds side by side would mix their inputs. The
lock is an flock on `VIBERARY_HOME/build.lock`: it goes with its process, however that ends. `build.owner.json` says
who holds it.

Of a home in S3 the lock holds on this machine, and a lease (`origin.Lease`) among machines. Under it the folder is
brought to what S3 has; what changed is sent before it is given back.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from viberary_pipeline.errors import HomeBusyError
from viberary_pipeline.origin import Origin, origin_of, send
from viberary_pipeline.storage import write_atomically

WAIT_SECONDS = 6 * 3600.0
_ASK_SECONDS = 1.0
_ASK_S3_SECONDS = 5.0
_REPEAT_SECONDS = 300.0


@contextmanager
def hold_home(
    home: Path,
    *,
    wait_seconds: float = WAIT_SECONDS,
    say: Callable[[str], object] = lambda _: None,
    what: str = "build",
) -> Iterator[None]:
    """Hold the home while building in it. Holding it again within one process is harmless.

    Args:
        home: VIBERARY_HOME, or the folder of a training.
        wait_seconds: How long to wait for another build.
        say: Takes a line when the wait begins, and every five minutes.
        what: What is done in it, for messages.

    Raises:
        HomeBusyError: another build still holds it after `wait_seconds`.
        StorageError: the home is in S3, which cannot be used.
    """
    lock = FileLock(home / "build.lock", is_singleton=True)
    started = time.monotonic()
    said = -_REPEAT_SECONDS
    while True:
        try:
            lock.acquire(timeout=0 if wait_seconds <= 0 else min(_ASK_SECONDS, wait_seconds))
            break
        except Timeout:
            waited = time.monotonic() - started
            if waited >= wait_seconds:
                raise HomeBusyError(
                    f"Another {what} is under way in this VIBERARY_HOME",
                    expected=f"{home} to be free" + (f" within {wait_seconds:.0f} s" if wait_seconds > 0 else ""),
                    found=holder(home),
                    todo=f"wait for that {what}, or stop it, then run the command again",
                ) from None
            if waited - said >= _REPEAT_SECONDS:
                said = waited
                say(f"waiting for another {what} in {home}: {holder(home)}")
    try:
        if lock.lock_counter == 1:
            owner = {"pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
            with suppress(OSError):
                write_atomically(_owner(home), json.dumps(owner))
            if (origin := origin_of(home)) is not None:
                with _leased(origin, started + wait_seconds, say, what):
                    yield
                return
        yield
    finally:
        if lock.lock_counter == 1:
            with suppress(OSError):
                _owner(home).unlink(missing_ok=True)
        lock.release()


@contextmanager
def _leased(origin: Origin, deadline: float, say: Callable[[str], object], what: str) -> Iterator[None]:
    """Hold the home in S3, of which this machine's copy is locked already."""
    lease, said = origin.new_lease(), -_REPEAT_SECONDS
    while other := lease.acquire():
        if (now := time.monotonic()) >= deadline:
            raise HomeBusyError(
                f"Another {what} is under way in this VIBERARY_HOME",
                expected=f"{origin.place.uri} to be free",
                found=other,
                todo=f"wait for that {what}, or stop it, then run the command again",
            )
        if now - said >= _REPEAT_SECONDS:
            said = now
            say(f"waiting for another {what} in {origin.place.uri}: {other}")
        time.sleep(min(_ASK_S3_SECONDS, deadline - now))
    try:
        origin.pull()
        origin.lease = lease
        try:
            yield
        finally:
            send(origin.home)
    finally:
        origin.lease = None
        lease.release()


def holder(home: Path) -> str:
    """Who holds the home, for people."""
    try:
        owner = json.loads(_owner(home).read_text(encoding="utf-8"))
        return f"process {owner['pid']}, since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "a process that has not said who it is"


def _owner(home: Path) -> Path:
    return home / "build.owner.json"
