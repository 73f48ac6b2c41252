"""A part of benchmarks/hostile_requests.py: what attacks gets an answer, which fails at nothing and runs nothing."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hostile import INJECTED, PLACES, faults, hostile_texts, send
from werkzeug import Response
from werkzeug.test import TestResponse

from viberary_pipeline.search.searcher import Searcher
from viberary_pipeline.web.app import create_app

SEED, TEXTS = 20261126, 320


def test_hostile_texts_fail_nothing_and_run_nothing(
    published: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "queries.jsonl"
    caplog.set_level(logging.INFO)
    searcher = Searcher(published.redis, published.home)
    book_id = searcher.search("love", 1).results[0].book_id
    client = create_app(searcher, query_log=log).test_client()
    found = []
    for number, text in enumerate(hostile_texts(TEXTS, SEED)):
        place = PLACES[number % len(PLACES)]
        found += [(place, text, fault) for fault in faults(send(client, place, text, book_id), text)]
    assert found == []
    entries = [json.loads(line) for line in log.read_bytes().split(b"\n") if line]
    assert {entry["event"] for entry in entries} == {"search", "click"}
    assert not any(line.lstrip().startswith(INJECTED) for line in caplog.text.splitlines())


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("<p>&lt;script&gt;</p><script src='/static/a.js'></script>", []),
        ("<script>alert(1)</script>", ["markup of the reader's: ['']"]),
        ("<p onclick=alert(1)>", ["markup of the reader's: ['onclick']"]),
        ("<a href='javascript:alert(1)'>", ["an address of the reader's: javascript:alert(1)"]),
        ("<p>a &amp; \"b\" 'c'</p>", ["what was typed, as it was typed"]),
    ],
)
def test_what_runs_is_seen(page: str, fault: list[str]) -> None:
    answer = TestResponse([page.encode()], "200 OK", Response(mimetype="text/html").headers, None)
    assert faults(answer, b"\"b\" 'c'</p>") == fault
