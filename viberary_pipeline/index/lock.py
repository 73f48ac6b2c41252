"""One builder at a time: a lock in Redis with a heartbeat, taken over at once from a dead process."""

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import redis

from viberary_pipeline.errors import IndexBuildError
from viberary_pipeline.owner import is_dead, read_owner, this_process
from viberary_pipeline.redis_contract import LOCK, OOM_ALLOWED
from viberary_pipeline.redis_server.failures import explained

log = logging.getLogger(__name__)

_OURS: set[str] = set()
"""The tokens of this process that hold the lock or wait for it."""
_LEASE_SECONDS = 60
_HEARTBEAT_SECONDS = 15
# Takes a free lock, or one whose holder (ARGV[3]) is known to be dead. Allowed beyond maxmemory: gc needs the lock to
# free memory, and a build is told by its preflight what it lacks.
_ACQUIRE = f"""{OOM_ALLOWED}
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[3] then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return ''
"""
# Compare-and-act, so that a lock which ran out and went to another builder is neither renewed nor removed.
_RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('EXPIRE', KEYS[1], ARGV[2]) end return 0"
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@contextmanager
def build_lock(client: redis.Redis, *, wait_seconds: float = 120) -> Iterator[Callable[[], None]]:
    """Hold the lock of this Redis while building or publishing; yields a function that checks it is still held.

    A lock whose owner died on this machine is taken over at once, as is one that this process could not release because
    Redis was away. One of another machine runs out within a minute of its last heartbeat.

    Raises:
        IndexBuildError: another builder holds it for longer than `wait_seconds`, or it was lost meanwhile.
        RedisServerError: Redis refuses a command, here or in the body, or does not answer.
    """
    token = json.dumps({**read_owner(this_process()), "id": uuid.uuid4().hex})
    _OURS.add(token)
    try:
        with explained():
            _acquire(client, token, wait_seconds)
    except BaseException:
        _OURS.discard(token)
        raise
    lost = threading.Event()
    done = threading.Event()

    def beat() -> None:
        last = time.monotonic()
        while not done.wait(_HEARTBEAT_SECONDS):
            try:
                if not client.eval(_RENEW, 1, LOCK, token, _LEASE_SECONDS):
                    lost.set()
                    return
                last = time.monotonic()
            except redis.RedisError:
                if time.monotonic() - last > _LEASE_SECONDS:
                    lost.set()
                    return

    def check() -> None:
        if lost.is_set():
            raise IndexBuildError(
                "The lock of the index was lost",
                expected=f"this build to hold {LOCK} until it ends",
                found="it expired, or another builder took it",
                todo="check whether another build uses this Redis, then build again",
            )

    heartbeat = threading.Thread(target=beat, name="index lock", daemon=True)
    heartbeat.start()
    try:
        with explained():
            yield check
    finally:
        done.set()
        heartbeat.join()
        _OURS.discard(token)
        try:
            client.eval(_RELEASE, 1, LOCK, token)
        except redis.RedisError as error:
            log.warning("the lock could not be released (%s); it runs out in %s s", error, _LEASE_SECONDS)


def _acquire(client: redis.Redis, token: str, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    dead = b""
    while holder := cast(bytes, client.eval(_ACQUIRE, 1, LOCK, token, _LEASE_SECONDS, dead)):
        if (is_dead(holder) or _is_left(holder)) and holder != dead:
            dead = holder  # the next attempt takes it over, unless another builder has done so
            continue
        if time.monotonic() > deadline:
            owner = read_owner(holder)
            raise IndexBuildError(
                "Another build holds the lock of the index",
                expected=f"{LOCK} to be free within {wait_seconds:.0f} s",
                found=f"process {owner.get('pid', '?')} on {owner.get('host', '?')}",
                todo="wait for that build, or stop it; the lock of a dead build expires within a minute",
            )
        time.sleep(0.25)
    if dead:
        log.info("took the lock over from a builder that is gone")


def _is_left(holder: bytes) -> bool:
    """Whether it is a lock of this very process that it could not release: Redis was away, and is back with it."""
    owner = read_owner(holder)
    owner.pop("id", None)
    return owner == read_owner(this_process()) and holder.decode() not in _OURS
