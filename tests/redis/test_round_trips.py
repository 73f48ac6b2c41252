"""Several commands in one round trip on a real server, and what becomes of the connection where one fails."""

import pytest
import redis

from viberary_pipeline.redis_server.probe import local_url, open_client
from viberary_pipeline.search.round_trips import ask, ask_while


def test_replies_come_by_the_names_of_the_commands(client):
    client.hset("one", mapping={"title": "Emma", "year": "1815"})
    commands = {"fields": ("HMGET", "one", "title", "gone"), "none": None, b"there": ("EXISTS", "one")}
    assert ask(client, commands) == {"fields": [b"Emma", None], "none": None, b"there": 1}
    assert ask(client, {"none": None}) == {"none": None}
    assert ask(client, {}) == {}


def test_the_work_is_done_while_the_server_answers(client):
    waited = client.execute_command  # another connection
    order = []

    def work():
        order.append(waited("LPUSH", "queue", "done by the work"))
        return "made"

    # The server holds its answer back until the work has been done.
    replies, made = ask_while(client, {"popped": ("BLPOP", "queue", 10), "ping": ("PING",)}, work)
    assert (replies["popped"], made, order) == ([b"queue", b"done by the work"], "made", [1])
    assert replies["ping"] in (b"PONG", "PONG", True)


def test_a_command_that_fails_leaves_the_others_their_replies(client):
    client.set("text", "x")
    commands = {"first": ("GET", "text"), "failed": ("HGETALL", "text"), "last": ("GET", "text")}
    replies = ask(client, commands)
    assert (replies["first"], replies["last"]) == (b"x", b"x")
    assert isinstance(replies["failed"], redis.ResponseError)
    assert "WRONGTYPE" in str(replies["failed"])


def test_replies_that_nobody_read_answer_nothing_else(client):
    client.mset({"mine": "right", "other": "wrong"})

    def fails():
        raise ValueError("no vector")

    with pytest.raises(ValueError, match="no vector"):
        ask_while(client, dict.fromkeys(range(3), ("GET", "other")), fails)
    assert ask(client, {"mine": ("GET", "mine")}) == {"mine": b"right"}
    assert client.get("mine") == b"right"


def test_a_server_that_is_away_is_a_connection_error():
    with pytest.raises(redis.ConnectionError):
        ask(open_client(local_url(1), answer_seconds=1), {"ping": ("PING",)})
