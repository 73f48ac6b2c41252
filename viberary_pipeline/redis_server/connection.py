"""A connection to the Redis of these settings, refused unless it can carry the index."""

import re
import tempfile
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import redis

from viberary_pipeline.errors import RedisServerError
from viberary_pipeline.redis_server.candidates import MINIMUM_VERSION
from viberary_pipeline.redis_server.failures import explain
from viberary_pipeline.redis_server.instance import ensure, stop
from viberary_pipeline.redis_server.probe import PROBE_SECONDS, open_client, wait_until_loaded
from viberary_pipeline.redis_server.state import Server

LOADING_SECONDS = 60.0
ANSWER_SECONDS = 120.0  # far beyond any command of ours; a blocking SAVE of many GB is not one of them

_INSTALL = "point VIBERARY_REDIS_URL at a Redis 8 (image redis:8), or unset it to use the embedded server"


class RedisAddress(Protocol):
    """Which Redis is meant: a URL, or the embedded server, by which binary."""

    @property
    def url(self) -> str | None: ...
    @property
    def server(self) -> Path | None: ...


class RedisHome(Protocol):
    """What of the settings leads to a Redis."""

    @property
    def redis(self) -> RedisAddress: ...
    def writable_home(self, *, with_room: bool = True) -> Path: ...


def connect(
    settings: RedisHome, *, loading_seconds: float = LOADING_SECONDS, answer_seconds: float = ANSWER_SECONDS
) -> redis.Redis:
    """A client of the Redis that these settings name; the embedded server is started if need be.

    Checked first: the database is 0, the server answers, has read its data (waits up to `loading_seconds`), is new
    enough, has search, and never evicts keys. Whether its indexes are complete is for the caller to ask. A command that
    is not answered within `answer_seconds` fails; readers want a short one, builders a long one.

    Returns:
        A client that answers in bytes (`decode_responses=False`) and repeats no command by itself.

    Raises:
        RedisServerError: one of these does not hold. No message carries the URL's password.
    """
    if settings.redis.url:
        url = settings.redis.url
        shown = _shown(url)
    else:
        home = settings.writable_home(with_room=False)  # a server that runs needs none
        url = ensure(home, binary=settings.redis.server, loading_seconds=loading_seconds).url
        shown = f"the embedded server at {url}"
    try:
        with open_client(url, answer_seconds=PROBE_SECONDS) as client:
            check_server(client, shown, loading_seconds)
    except redis.RedisError as error:
        raise explain(error, shown) from error
    except (OSError, ValueError, TypeError) as error:  # the last two: options in the URL
        raise explain(redis.ConnectionError(f"{type(error).__name__}: {error}"), shown) from error
    return open_client(url, answer_seconds=answer_seconds)


def prepare(binary: Path | None = None) -> Server:
    """Start and stop an embedded server in a temporary home, downloading what it needs.

    Returns:
        The server that worked (it no longer runs).

    Raises:
        RedisServerError: no candidate works here.
    """
    with tempfile.TemporaryDirectory(prefix="viberary-redis-") as temporary:
        home = Path(temporary)
        try:
            return ensure(home, binary=binary)
        finally:
            stop(home)


def check_server(client: redis.Redis, shown: str = "this server", loading_seconds: float = LOADING_SECONDS) -> None:
    """Raise `RedisServerError` unless the server is loaded, new enough, has search, never evicts keys, and this is its
    database 0, the only one that search indexes."""
    database = client.connection_pool.connection_kwargs.get("db") or 0
    if database != 0:
        raise RedisServerError(
            "The index must be in database 0 of Redis",
            expected="database 0, the only one that search indexes",
            found=f"database {database} of {shown}",
            todo="give this pipeline a Redis of its own, or unset VIBERARY_REDIS_URL to use the embedded server; "
            "leave the database out of the URL only if no other pipeline uses that server's database 0",
        )
    wait_until_loaded(client, shown, loading_seconds)
    version = str(client.info("server")["redis_version"])
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < MINIMUM_VERSION:
        raise RedisServerError(
            "Redis is too old",
            expected=f"{'.'.join(map(str, MINIMUM_VERSION))} or newer",
            found=f"{version} at {shown}",
            todo=_INSTALL,
        )
    try:
        client.execute_command("FT._LIST")
    except redis.exceptions.NoPermissionError as error:  # Redis knows the command: it has search
        raise explain(error, shown) from error
    except redis.ResponseError as error:
        raise RedisServerError(
            "Redis has no search",
            expected="the search module, which answers FT._LIST",
            found=f"{error} (Redis {version} at {shown})",
            todo=_INSTALL,
        ) from error
    policy = client.info("memory").get("maxmemory_policy")
    if policy != "noeviction":
        raise RedisServerError(
            "Redis may evict the index",
            expected="maxmemory-policy noeviction",
            found=f"{policy} at {shown}",
            todo="run `CONFIG SET maxmemory-policy noeviction` on that server, and add the setting to its "
            "configuration file",
        )


def _shown(url: str) -> str:
    """The URL for messages, without its password and without its query (which may hold one too).

    Raises:
        RedisServerError: the URL is malformed. A password whose `/`, `?` or `#` is not percent-encoded ends
            up in the port, the path, the query or the fragment; no part of such a URL is printed.
    """
    try:
        parts = urlsplit(url)
        well_formed = parts.scheme in ("redis", "rediss", "unix") and (parts.port is None or parts.port > 0)
    except ValueError:
        well_formed = False
    if not well_formed or parts.fragment or "@" in parts.path + parts.query:
        raise RedisServerError(
            "VIBERARY_REDIS_URL cannot be used",
            expected="redis://[user:password@]host[:port][/db], rediss://... or unix://...",
            found="another form (not printed, since it may hold a password)",
            todo="correct it; percent-encode special characters in the password",
        )
    user = f"{parts.username or ''}{':***' if parts.password else ''}"
    return f"{parts.scheme}://{user}{'@' if user else ''}{parts.netloc.rpartition('@')[2]}{parts.path}"
