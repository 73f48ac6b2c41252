"""Four ways to keep suggestions in Redis, over the same works: memory, time to build, and the time of one look-up.

    python benchmarks/suggestions.py DOCUMENTS.parquet... [--copies N] [--out benchmarks/results/suggestions.json]

- ours: `viberary_pipeline.search.suggestions`, one HASH.
- sugadd: RediSearch's FT.SUGADD, a name from each of its words on, its id as the payload; FT.SUGGET with MAX 14.
- zset: a sorted set of equal scores, `key TAB id`; ZRANGE BYLEX and the best by a second HASH of weights. All that
  begin so must be read to know the most popular: at most 5,000 are.
- search: no structure of its own: FT.SEARCH of the index's `names` with the last word as a prefix, sorted by
  review_count.

Each look-up ends with the texts that a reader sees. What is typed: the first 1 to 8 characters of a word of a title, of
works that are drawn by their number of reviews. `--copies N` adds N - 1 copies of each work with other words in its
title, for figures at a larger scale.
"""

import argparse
import json
import platform
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import redis
from redis.commands.search.field import NumericField, TextField
from redis.commands.search.index_definition import IndexDefinition, IndexType
from redis.commands.search.query import Query

from viberary_pipeline.index.suggestions import SuggestionEntries, write_suggestions
from viberary_pipeline.name_keys import words_of
from viberary_pipeline.redis_contract import document_prefix, suggestions_key
from viberary_pipeline.redis_server import connect, ensure, stop
from viberary_pipeline.search.spelling import NameWords
from viberary_pipeline.search.suggestions import MOST_STORED, suggest, suggestion_words
from viberary_pipeline.settings import load_settings

BUILD = "b"
COLUMNS = ("work_id", "book_id", "title", "author", "authors", "review_count", "other_titles", "series")
LOOKUPS = 300  # of each length
MOST_READ = 5000
Rows = list[dict[str, Any]]


def batches(paths: list[Path], copies: int) -> Iterator[Rows]:
    """Works, some thousand at a time."""
    for path in paths:
        file = pq.ParquetFile(path)
        columns = [name for name in COLUMNS if name in file.schema_arrow.names]
        words = sorted(
            {
                word
                for row in next(file.iter_batches(5000, columns=["title"])).to_pylist()
                for word in row["title"].split()
            }
        )
        generator = random.Random(0)
        for batch in file.iter_batches(4096, columns=columns):
            rows = batch.to_pylist()
            yield rows
            for copy in range(1, copies):
                yield [
                    {
                        **row,
                        "work_id": f"{row['work_id']}{copy:03}",
                        "title": " ".join(generator.choices(words, k=len(row["title"].split()))),
                        "author": f"{generator.choice(words)} {generator.choice(words)}",
                        "authors": "",
                    }
                    for row in rows
                ]


def keys_of(row: dict[str, Any]) -> Iterator[str]:
    """What the other ways store of a work: title and author from each word on."""
    for name in (row["title"], row["author"] or ""):
        words = suggestion_words(name)
        yield from ("".join(words[at:])[:32] for at in range(min(8, len(words))))


class Sugadd:
    key = "sugadd"

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def add(self, rows: Rows) -> None:
        pipeline = self.client.pipeline(transaction=False)
        for row in rows:
            for key in keys_of(row):
                # Equal strings are one entry: the id keeps them apart.
                text = f"{key} {row['work_id']}"
                pipeline.execute_command(
                    "FT.SUGADD", self.key, text, row["review_count"] + 1, "PAYLOAD", row["work_id"]
                )
        pipeline.execute_command("PING")
        pipeline.execute()

    def ask(self, typed: str) -> list[Any]:
        key = "".join(suggestion_words(typed))
        found = self.client.execute_command("FT.SUGGET", self.key, key, "MAX", MOST_STORED, "WITHPAYLOADS") or []
        return titles(self.client, found[1::2])


class Zset:
    key = "zset"

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def add(self, rows: Rows) -> None:
        pipeline = self.client.pipeline(transaction=False)
        for row in rows:
            pipeline.hset("weights", row["work_id"], row["review_count"])
            pipeline.zadd(self.key, {f"{key}\t{row['work_id']}": 0 for key in keys_of(row)})
        pipeline.execute()

    def ask(self, typed: str) -> list[Any]:
        key = "".join(suggestion_words(typed)).encode()
        found = self.client.zrange(self.key, b"[" + key, b"[" + key + b"\xff", bylex=True, offset=0, num=MOST_READ)
        ids = list(dict.fromkeys(entry.split(b"\t")[1] for entry in found))
        if not ids:
            return []
        weights = self.client.hmget("weights", ids)
        return titles(
            self.client,
            [id_ for _, id_ in sorted(zip(weights, ids, strict=True), key=lambda pair: -int(pair[0]))[:MOST_STORED]],
        )


class Search:
    key = ""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        client.ft("names").create_index(
            [TextField("names"), NumericField("review_count", sortable=True)],
            definition=IndexDefinition(prefix=[document_prefix(BUILD)], index_type=IndexType.HASH),
        )

    def add(self, rows: Rows) -> None:
        """The documents are indexed as they come: it is the index that a build has anyway."""

    def ask(self, typed: str) -> list[Any]:
        *whole, last = words_of(typed)
        query = Query(f"@names:({' '.join([*whole, f'{last}*' if len(last) > 1 else last])})")
        query = query.sort_by("review_count", asc=False).return_fields("title", "author").paging(0, MOST_STORED)
        return list(self.client.ft("names").search(query.dialect(2)).docs)


class Ours:
    key = suggestions_key(BUILD)

    def __init__(self, client: redis.Redis) -> None:
        self.client, self.entries = client, SuggestionEntries()

    def add(self, rows: Rows) -> None:
        self.entries.add(rows)

    def finish(self) -> None:
        write_suggestions(self.client, BUILD, self.entries)

    def ask(self, typed: str) -> list[Any]:
        return list(suggest(self.client, BUILD, typed, NameWords()))


def titles(client: redis.Redis, ids: list[Any]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for id_ in ids:
        pipeline.hmget(f"{document_prefix(BUILD)}{id_.decode()}", "title", "author", "book_id")
    return pipeline.execute()


def timed(ask: Callable[[str], Any], typed: list[str]) -> dict[str, float]:
    """Milliseconds of one look-up."""
    taken, empty = [], 0
    for text in typed:
        started = time.perf_counter()
        found = ask(text)
        taken.append(1000 * (time.perf_counter() - started))
        empty += not found
    p50, p95, most = np.percentile(taken, [50, 95, 100]).round(2).tolist()
    return {"p50": p50, "p95": p95, "max": most, "without_suggestions": empty}


def measure(client: redis.Redis, way: str, paths: list[Path], copies: int) -> dict[str, Any]:
    """Documents as a build writes them, then one way's structure over them."""
    client.flushall()
    made = {"ours": Ours, "sugadd": Sugadd, "zset": Zset, "search": Search}[way](client)
    works, kept = 0, Rows()
    generator = random.Random(1)
    seconds = 0.0
    for rows in batches(paths, copies):
        pipeline = client.pipeline(transaction=False)
        for row in rows:
            names = f"{row['title']} {row['author']}"
            shown = {name: str(row[name]) for name in ("title", "author", "book_id", "review_count")}
            pipeline.hset(
                f"{document_prefix(BUILD)}{row['work_id']}", mapping={**shown, "names": " ".join(words_of(names))}
            )
        pipeline.execute()
        works += len(rows)
        kept += generator.choices(rows, [row["review_count"] + 1 for row in rows], k=300)
    before = client.info("memory")["used_memory"]
    for rows in batches(paths, copies):
        started = time.perf_counter()
        made.add(rows)
        seconds += time.perf_counter() - started
    started = time.perf_counter()
    if isinstance(made, Ours):
        made.finish()
    seconds += time.perf_counter() - started
    after = client.info("memory")["used_memory"]
    words = [generator.choice(words_of(row["title"]) or ["a"]) for row in generator.choices(kept, k=LOOKUPS)]
    lookups = {str(size): timed(made.ask, [word[:size] for word in words]) for size in range(1, 9)}
    started = time.perf_counter()
    if made.key:
        client.unlink(made.key)
        client.ping()
    return {
        "works": works,
        "bytes_a_work": round((after - before) / works, 1),
        "seconds_to_build": round(seconds, 1),
        "milliseconds_of_a_look_up": lookups,
        "milliseconds_that_its_removal_blocks": round(1000 * (time.perf_counter() - started), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("documents", nargs="+", type=Path)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--ways", default="ours,sugadd,zset,search")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"machine": platform.platform()}
    with tempfile.TemporaryDirectory() as home:
        try:
            ensure(Path(home))
            client = connect(load_settings(home=Path(home)))
            for way in arguments.ways.split(","):
                figures[way] = measure(client, way, arguments.documents, arguments.copies)
                print(way, json.dumps(figures[way]), flush=True)
        finally:
            stop(Path(home))
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
