"""Asking a Redis who it is and whether it is ready, within bounded time."""

import time
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from viberary_pipeline.errors import RedisServerError

CONNECT_SECONDS = 5.0
PROBE_SECONDS = 10.0  # for the answer to a command that costs the server nothing
POLL_SECONDS = 0.05


class StillLoading(RedisServerError):
    """The server is up and reads its data from disk; it will be usable without anybody's help."""


@dataclass(frozen=True)
class Identity:
    """What a server says of itself. `run_id` is drawn anew at every start; `folder` is where it saves."""

    pid: int
    run_id: str
    version: str
    executable: str
    folder: str


def open_client(url: str, *, answer_seconds: float | None) -> redis.Redis:
    """A client that answers in bytes, waits `answer_seconds` (None: for ever) per answer and repeats nothing.

    No repetition, because a command whose answer was lost may have been carried out, and the script that
    publishes must not run twice. A connection that was closed while it lay idle is replaced all the same.
    """
    options: dict[str, Any] = {} if url.startswith("unix:") else {"socket_keepalive": True}
    return redis.Redis.from_url(
        url,
        decode_responses=False,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=answer_seconds,
        retry=Retry(NoBackoff(), 0),
        **options,
    )


def local_url(port: int) -> str:
    """The URL of a server on this port of the loopback."""
    return f"redis://127.0.0.1:{port}/0"


def identify(port: int) -> Identity:
    """Who listens on this port of the loopback; answers while LOADING too. Raises what redis-py raises."""
    with open_client(local_url(port), answer_seconds=PROBE_SECONDS) as client:
        info = client.info("server")
        folder = client.config_get("dir")["dir"]
    return Identity(
        pid=info["process_id"],
        run_id=info["run_id"],
        version=info["redis_version"],
        executable=info.get("executable", ""),
        folder=folder,
    )


def wait_until_loaded(client: redis.Redis, shown_url: str, seconds: float) -> None:
    """Return once the server answers and has read its data.

    Raises:
        StillLoading: it has not within `seconds`.
        redis.RedisError: it does not answer, or refuses us.
    """
    deadline = time.monotonic() + seconds
    # PING would say so as well, by an error; INFO also tells how far it has come.
    while (info := client.info("persistence"))["loading"]:
        if time.monotonic() > deadline:
            raise StillLoading(
                "Redis is still loading its data",
                expected=f"{shown_url} to be ready within {seconds:g} s",
                found=f"LOADING, {info.get('loading_loaded_perc', '?')} % read",
                todo="wait and run the command again; the server goes on by itself",
            )
        time.sleep(POLL_SECONDS)
    client.ping()
