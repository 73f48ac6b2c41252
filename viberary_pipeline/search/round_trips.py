"""Several commands in one round trip, and work done here while the server answers.

redis-py's pipelines wait for the replies at once. A query has something better to do: its vector is computed while the
server looks up its words.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import redis

from viberary_pipeline.search.replies import Command

_Made = TypeVar("_Made")


def ask(client: redis.Redis, *commands: Command | None) -> list[Any]:
    """The replies, in one round trip; None where there is no command. A failed command's reply is its exception.

    Raises:
        redis.ConnectionError, redis.TimeoutError: the server is away, or slower than the client waits.
    """
    return ask_while(client, commands, lambda: None)[0]


def ask_while(
    client: redis.Redis, commands: Sequence[Command | None], work: Callable[[], _Made]
) -> tuple[list[Any], _Made]:
    """The replies as `ask` gives them, and what `work` returns, which runs while the server answers."""
    sent = [command for command in commands if command is not None]
    if not sent:
        return [None] * len(commands), work()
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        connection.send_packed_command(connection.pack_commands(sent))
        made = work()
        replies = iter([_reply(connection) for _ in sent])
    except BaseException:
        connection.disconnect()  # or replies that nobody read would answer the next one's commands
        raise
    finally:
        pool.release(connection)
    return [None if command is None else next(replies) for command in commands], made


def _reply(connection: Any) -> Any:
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error
