"""What kind of search server this is: the one place that tells Redis 7.4 from Redis 8.

RediSearch 2.10 (Redis 7.4, redis-stack) links a vector into the graph within the HSET that brings it. Redis 8 with
`search-workers` above 0 answers the HSET first: the vector waits in a flat buffer, which queries search exactly, until
a worker links it. `indexing=0` says nothing of that buffer, so a gate that did not wait for it would measure the
buffer's perfect recall. (Tested on RediSearch 2.10.5, whose buffer is always empty; Redis 8 as documented.)
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis

from viberary_pipeline.redis_contract import VECTOR, as_text, index_name

log = logging.getLogger(__name__)

# Redis 8 renamed it; the first name that the server knows is used.
_DEBUG_COMMANDS = ("FT.DEBUG", "_FT.DEBUG")


@dataclass(frozen=True)
class SearchServer:
    """A server's versions, and how many threads link vectors beside the main one (0: none, as in Redis 7.4; None: it
    does not say)."""

    redis: str
    search: str
    workers: int | None


def describe_server(client: redis.Redis) -> SearchServer:
    """What this server says of itself; what it does not say is '' or None."""
    modules = [_named(module) for module in _ask(client, "MODULE", "LIST") or []]
    number = next((int(module["ver"]) for module in modules if module.get("name") in ("search", "searchlight")), 0)
    config = _ask(client, "CONFIG", "GET", "search-workers")
    return SearchServer(
        redis=str(client.info("server")["redis_version"]),
        search=f"{number // 10_000}.{number // 100 % 100}.{number % 100}" if number else "",
        workers=None if config is None else int(_named(config).get("search-workers", 0)),
    )


def vectors_waiting(client: redis.Redis, build: str) -> int | None:
    """How many of a build's vectors are not in its graph yet; None where the server does not say (managed ones)."""
    info = _vector_info(client, build)
    return None if info is None else waiting_in(info)


def vectors_held(client: redis.Redis, build: str) -> int | None:
    """How many documents of a build have a vector in its index; None where the server does not say.

    A document without one counts among num_docs, and no KNN query ever finds it.
    """
    info = _vector_info(client, build)
    return None if info is None else int(info["INDEX_LABEL_COUNT"])


def _vector_info(client: redis.Redis, build: str) -> dict[str, Any] | None:
    for command in _DEBUG_COMMANDS:
        answer = _ask(client, command, "VECSIM_INFO", index_name(build), VECTOR)
        if answer is not None:
            return _named(answer)
    return None


def waiting_in(info: Mapping[str, Any]) -> int:
    """The vectors that wait, by the reply to VECSIM_INFO: those of the flat buffer in front of the graph.

    At least 1 while a worker is at work: a vector in its hands is in neither.
    """
    buffer = _named(info.get("FRONTEND_INDEX", {}))
    return max(int(buffer.get("INDEX_SIZE", 0)), int(info.get("BACKGROUND_INDEXING", 0)))


def _ask(client: redis.Redis, *command: str) -> Any:
    """The reply, or None where the server does not know the command, or does not let us."""
    try:
        return client.execute_command(*command)
    except redis.ResponseError as error:
        log.debug("%s: %s", command[0], error)
        return None


def _named(reply: Any) -> dict[str, Any]:
    """A reply of names and values, flat or a map, with names as text."""
    pairs = reply.items() if isinstance(reply, Mapping) else zip(reply[::2], reply[1::2], strict=False)
    return {as_text(name): value.decode() if isinstance(value, bytes) else value for name, value in pairs}
