"""Several commands in one round trip on a real server, and what becomes of the connection where one fails."""

import pytest
import redis

from viberary_pipeline.search.round_trips import ask, ask_while


def test_replies_come_in_the_order_of_the_commands(client):
    client.hset("one", mapping={"title": "Emma", "year": "1815"})
    replies = ask(client, ("HMGET", "one", "title", "gone"), None, ("EXISTS", "one"), None)
    assert replies == [[b"Emma", None], None, 1, None]
    assert ask(client, None) == [None]
    assert ask(client) == []


def test_the_work_is_done_while_the_server_answers(client):
    waited = client.execute_command  # another connection
    order = []

    def work():
        order.append(waited("LPUSH", "queue", "done by the work"))
        return "made"

    # The server holds its answer back until the work has been done.
    replies, made = ask_while(client, [("BLPOP", "queue", 10), ("PING",)], work)
    assert (replies[0], made, order) == ([b"queue", b"done by the work"], "made", [1])
    assert replies[1] in (b"PONG", "PONG", True)


def test_a_command_that_fails_leaves_the_others_their_replies(client):
    client.set("text", "x")
    first, failed, last = ask(client, ("GET", "text"), ("HGETALL", "text"), ("GET", "text"))
    assert (first, last) == (b"x", b"x")
    assert isinstance(failed, redis.ResponseError)
    assert "WRONGTYPE" in str(failed)


def test_replies_that_nobody_read_answer_nothing_else(client):
    client.mset({"mine": "right", "other": "wrong"})

    def fails():
        raise ValueError("no vector")

    with pytest.raises(ValueError, match="no vector"):
        ask_while(client, [("GET", "other")] * 3, fails)
    assert ask(client, ("GET", "mine")) == [b"right"]
    assert client.get("mine") == b"right"


def test_a_server_that_is_away_is_a_connection_error():
    with pytest.raises(redis.ConnectionError):
        ask(redis.Redis(port=1), ("PING",))
