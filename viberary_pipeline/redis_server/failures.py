"""What a failure of redis-py means, in the words of `errors`: what was expected, what was found, what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from viberary_pipeline.errors import RedisServerError


@contextmanager
def explained(shown: str = "Redis") -> Iterator[None]:
    """Turn what redis-py raises within the block into `RedisServerError`; `shown` names the server."""
    try:
        yield
    except redis.RedisError as error:
        raise explain(error, shown) from error


def explain(error: redis.RedisError, shown: str = "Redis") -> RedisServerError:
    """The message for a failure: a right that is missing, no memory, a wrong password, a replica, or no answer."""
    found = f"{type(error).__name__}: {error}"
    if isinstance(error, redis.exceptions.NoPermissionError) or "ACL failure" in str(error):
        # Redis knows the command, or it would have said so before it looked at the user's rights.
        command = re.search(r"run the '([^']+)' command", str(error))
        right = f"+{command[1].lower()}" if command else "~viberary:*"
        return RedisServerError(
            f"The Redis user of {shown} lacks a right",
            expected=f"the right to run {command[1].upper()}" if command else "the right to the keys viberary:*",
            found=found,
            todo=f"give it that right (`ACL SETUSER name {right}`), or put another user into VIBERARY_REDIS_URL",
        )
    if isinstance(error, redis.OutOfMemoryError):
        return RedisServerError(
            f"{shown} is out of memory",
            expected="room below maxmemory",
            found=found,
            todo="run `viberary gc`, which works without free memory, or raise maxmemory (`CONFIG SET maxmemory "
            "...`); then try again",
        )
    if isinstance(error, redis.ReadOnlyError):
        return RedisServerError(
            f"{shown} is a replica, which takes no writes",
            expected="the primary",
            found=found,
            todo="name the primary in VIBERARY_REDIS_URL",
        )
    if isinstance(error, redis.AuthenticationError):
        return RedisServerError(
            f"{shown} refuses the login",
            expected="a user and password that it knows",
            found=found,
            todo="correct VIBERARY_REDIS_URL (redis://user:password@host; percent-encode special characters)",
        )
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return RedisServerError(
            "Redis cannot be used",
            expected=f"an answer from {shown}",
            found=found,
            todo="start that server, or correct VIBERARY_REDIS_URL, or unset it to use the embedded server",
        )
    return RedisServerError(
        f"{shown} refused a command",
        expected="a Redis that is used as described in the documentation",
        found=found,
        todo="look at its log, then try again",
    )
