"""Builds that take turns, and clients that search meanwhile and compare each answer with the build that it names."""

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from builds import published
from works import works

from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.search.searcher import Searcher

WORKS = 400
QUERIES = ("revenge", "a quiet garden by the sea", "robot winter")
Expected = Mapping[str, Mapping[str, Any]]
"""What each build gives for each query."""


def publish_in_turn(client: redis.Redis, home: Path, encoders: Sequence[Path]) -> Expected:
    """Publish a build by each exported encoder, one after the other."""
    expected = {}
    for number, folder in enumerate(encoders):
        key = f"{number}" * 16
        shutil.copytree(folder, home / "artifacts" / "query_encoder" / f"{key}.1")
        encoder = QueryEncoder(folder)
        source = works(
            *(home, WORKS),
            dimensions=encoder.dimensions,
            seed=number,
            fingerprint=encoder.fingerprint,
            query_encoder=key,
        )
        record = published(client, source, GateRules(queries=5))
        searcher = Searcher(client, home)
        expected[record.build] = {query: searcher.search(query).results for query in QUERIES}
    return expected


@dataclass
class Answers:
    """What four clients got. `wrong` holds errors, and answers that are not those of the build that they name."""

    builds: list[str] = field(default_factory=list)
    wrong: list[Any] = field(default_factory=list)


def search_while(
    client: redis.Redis, home: Path, expected: Expected, switch: Callable[[], Any], switches: int
) -> Answers:
    """Let four clients search, and switch so often, each time after some answers.

    Of a build that `expected` does not know, an answer needs ten works.
    """
    stop, answers = threading.Event(), Answers()

    def search() -> None:
        searcher, number = Searcher(client, home), 0
        while not stop.is_set():
            query = QUERIES[number % len(QUERIES)]
            number += 1
            try:
                response = searcher.search(query)
            except Exception as error:
                answers.wrong.append(error)
                continue
            answers.builds.append(response.build)
            known = expected.get(response.build, {query: response.results})
            if len(response.results) != 10 or response.results != known[query]:
                answers.wrong.append(response)

    clients = [threading.Thread(target=search) for _ in range(4)]
    for thread in clients:
        thread.start()
    try:
        for _ in range(switches):
            seen = len(answers.builds)
            switch()
            while len(answers.builds) < seen + 8 and not answers.wrong:
                stop.wait(0.002)
    finally:
        stop.set()
        for thread in clients:
            thread.join()
    return answers
