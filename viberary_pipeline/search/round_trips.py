"""Several commands in one round trip, by name, and work done here while the server answers.

redis-py's pipelines wait for the replies at once. A query has something better to do: its vector is computed while the
server looks up its words.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import redis

from viberary_pipeline.search.replies import Command

_Made = TypeVar("_Made")


def ask(client: redis.Redis, commands: Mapping[Any, Command | None]) -> dict[Any, Any]:
    """The reply to each command by its name, in one round trip; None where there is no command.

    A failed command's reply is its exception.

    Raises:
        redis.ConnectionError, redis.TimeoutError: the server is away, or slower than the client waits.
    """
    return ask_while(client, commands, lambda: None)[0]


def ask_while(
    client: redis.Redis, commands: Mapping[Any, Command | None], work: Callable[[], _Made]
) -> tuple[dict[Any, Any], _Made]:
    """The replies as `ask` gives them, and what `work` returns, which runs while the server answers."""
    sent = {name: command for name, command in commands.items() if command is not None}
    replies: dict[Any, Any] = dict.fromkeys(commands)
    if not sent:
        return replies, work()
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        connection.send_packed_command(connection.pack_commands(sent.values()))
        made = work()
        for name in sent:
            replies[name] = _reply(connection)
    except BaseException:
        connection.disconnect()  # or replies that nobody read would answer the next one's commands
        raise
    finally:
        pool.release(connection)
    return replies, made


def _reply(connection: Any) -> Any:
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error
