"""Many requests while everything changes: `python benchmarks/soak.py [--requests 100000] [--out FILE]`.

`viberary serve --workers 2` with a Redis of its own, builds of 5,000 works (as in load.py), eight readers who ask one
query after another, and 200 connections that send nothing. Meanwhile two builds are published, the last is rolled back,
and Redis is stopped and started again. Checked of every answer: 200 while Redis is there, 503 only while it is away;
ten works of one build, the one that the answer names, which was live while it was asked or a second before. `memory`
has that of the workers after a tenth of the requests, after each event, and at the end.
"""

import argparse
import asyncio
import contextlib
import json
import random
import time
import urllib.parse
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from load import Served, ask, library, ours, queries_for
from reporting import machine_and_versions, report
from search_latency import publish_ours

from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.index.clean import remove_build
from viberary_pipeline.redis_contract import POINTER, index_info, read_pointer
from viberary_pipeline.redis_server import connect, ensure, stop
from viberary_pipeline.settings import load_settings

READERS, IDLE = 8, 200
WORKS = 5_000
"""Of each build, so that three of them are built and loaded within a run."""
CACHED = 0.3
"""Share of the requests that repeat an earlier one."""


class Watch:
    """What was answered, and by which build it should have been."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.live: list[tuple[float, str]] = []
        self.away: list[tuple[float, float]] = []
        self.slowest = 0.0

    def may_be(self, asked: float, answered: float) -> set[str]:
        """The builds that were live between a question and its answer, or a second before."""
        before = [build for since, build in self.live if since <= asked - 1]
        return {*before[-1:], *(build for since, build in self.live if asked - 1 < since <= answered)}

    def is_away(self, asked: float, answered: float) -> bool:
        return any(start <= answered and asked <= end for start, end in self.away)

    def take(self, asked: float, status: int, body: bytes) -> None:
        answered = time.time()
        self.slowest = max(self.slowest, answered - asked)
        self.statuses[f"{status}{' while Redis was away' if self.is_away(asked, answered) else ''}"] += 1
        if status == 200:
            answer = json.loads(body)
            # The works of a build are told by their titles, which begin with its name.
            told = {hit["title"].split(" ")[0] for hit in answer["results"]} | {answer["build"]}
            if len(answer["results"]) != 10 or len(told) != 1 or not told <= self.may_be(asked, answered):
                self.wrong.append(f"{sorted(told)} for {answer['query']}")
        elif status != 503 or not self.is_away(asked, answered):
            self.wrong.append(f"{status} at {answered:.1f}")


async def read(port: int, queries: list[str], left: list[int], watch: Watch, seed: int) -> None:
    """One reader."""
    chance, streams = random.Random(seed), list[Any]()
    while left[0] > 0:
        left[0] -= 1
        query = queries[left[0] % 200 if chance.random() < CACHED else left[0] % len(queries)]
        asked = time.time()
        try:
            path = f"/search?{urllib.parse.urlencode({'query': query, 'format': 'json'})}"
            watch.take(asked, *await ask(port, path, streams))
        except (OSError, asyncio.IncompleteReadError) as error:
            watch.wrong.append(f"{type(error).__name__} at {time.time():.1f}")


def renamed(documents: Path, name: str, folder: Path) -> Path:
    """The first works, whose titles begin with a build's name."""
    table = pq.read_table(documents).slice(0, WORKS)
    titles = pa.array([f"{name} {title}" for title in table["title"].to_pylist()])
    path = folder / f"{name}.parquet"
    pq.write_table(table.set_column(table.column_names.index("title"), "title", titles), path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--cache", type=Path, help="keep documents, vectors and the encoder there")
    parser.add_argument("--encoder", type=Path, help="an exported query encoder; else one is exported")
    parser.add_argument("--out", type=Path, help="the JSON to write")
    options = parser.parse_args()
    results = machine_and_versions()
    with library(options.cache, options.encoder) as (home, client, url, _, documents, vectors):
        watch = Watch()
        encoder = QueryEncoder(home / "artifacts" / "query_encoder" / "benchmark.0")

        def publish() -> str:
            import viberary_pipeline.index.build as build

            before, name = read_pointer(client).live, build.new_build_name()
            build.new_build_name, kept = (lambda: name), build.new_build_name
            publish_ours(client, renamed(documents, name, home), vectors[:WORKS], encoder)
            build.new_build_name = kept
            client.hset(POINTER, "previous", before or "")
            watch.live.append((time.time(), name))
            return name

        def roll_back() -> None:
            pointer = read_pointer(client)
            client.hset(POINTER, mapping={"live": pointer.previous or "", "previous": pointer.live or ""})
            watch.live.append((time.time(), pointer.previous or ""))

        def restart() -> None:
            client.save()
            start = time.time()
            watch.away.append((start, float("inf")))
            stop(home)
            time.sleep(2)
            assert ensure(home).url == url
            again, live = connect(load_settings(home=home, redis_url=url)), read_pointer(client).live or ""
            while (info := index_info(again, live)) is None or info["indexing"] or info["num_docs"] != WORKS:
                time.sleep(0.1)
            watch.away[-1] = (start, time.time() + 1)

        first = read_pointer(client).live or ""
        publish()
        remove_build(client, first)
        queries = queries_for(documents, 20_000)
        with ours(home, url) as page:
            asyncio.run(soak(page, queries, options.requests, watch, [publish, publish, roll_back, restart], results))
    results |= {
        "requests": options.requests,
        "answers": dict(watch.statuses),
        "wrong": len(watch.wrong),
        "first_wrong": watch.wrong[:5],
        "slowest_seconds": round(watch.slowest, 2),
        "redis_away_seconds": [round(end - start, 1) for start, end in watch.away],
        "builds": len(watch.live),
    }
    report(json.dumps(results, indent=1), options.out)
    raise SystemExit(bool(watch.wrong))


async def soak(
    page: Served, queries: list[str], requests: int, watch: Watch, events: list[Any], results: dict[str, Any]
) -> None:
    """Ask while the events happen, one after each sixth of the requests."""
    left, started = [requests], time.time()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(IDLE):
            _, idle = await asyncio.open_connection("127.0.0.1", page.port)
            stack.callback(idle.close)
        readers = [asyncio.create_task(read(page.port, queries, left, watch, seed)) for seed in range(READERS)]
        while left[0] > requests * 0.9:
            await asyncio.sleep(0.1)
        results["memory"] = [page.memory()]
        for number, event in enumerate(events, 1):
            while left[0] > requests * (1 - number / (len(events) + 2)):
                await asyncio.sleep(0.1)
            await asyncio.to_thread(event)
            results["memory"].append(page.memory())
        await asyncio.gather(*readers)
    results["memory"].append(page.memory())
    results["per_second"] = round(requests / (time.time() - started), 1)


if __name__ == "__main__":
    main()
