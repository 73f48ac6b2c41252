"""Hostile texts through every place where a reader's words go: no answer fails, and nothing of a reader's runs.

    python benchmarks/hostile_requests.py HOME [--texts 100000] [--out benchmarks/results/hostile_requests.json]

HOME has a live build. Texts and what is looked for are those of tests/support/hostile.py: markup, headers, lines of
logs, query languages, marks that turn text around, NUL, lone surrogates and bytes that are no UTF-8. Each text goes to
two places: `/api/suggest`, and one of `PLACES` in turn.
"""

import argparse
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests" / "support"))

from hostile import INJECTED, PLACES, faults, hostile_texts, send  # noqa: E402
from reporting import report  # noqa: E402

from viberary_pipeline.query_lines import log_files  # noqa: E402
from viberary_pipeline.redis_server import connect  # noqa: E402
from viberary_pipeline.search.searcher import Searcher  # noqa: E402
from viberary_pipeline.settings import load_settings  # noqa: E402
from viberary_pipeline.web.app import create_app  # noqa: E402


class _Lines(logging.Handler):
    """Counts lines of the program's own log, and those that a reader began."""

    lines, injected = 0, 0

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        lines = self.format(record).splitlines()
        self.lines += len(lines)
        self.injected += sum(line.lstrip().startswith(INJECTED) for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    settings = load_settings(home=arguments.home)
    searcher = Searcher(connect(settings), settings.home_dir, settings.search)
    book_id = searcher.search("love", 1).results[0].book_id
    program = _Lines()
    logging.getLogger().addHandler(program)
    logging.getLogger().setLevel(logging.INFO)
    statuses: dict[str, Counter[int]] = {place: Counter() for place in PLACES}
    found: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "logs" / "queries.jsonl"
        client = create_app(searcher, query_log=log).test_client()
        started = time.monotonic()
        for number, text in enumerate(hostile_texts(arguments.texts, arguments.seed)):
            for place in dict.fromkeys(("/api/suggest?q={}", PLACES[number % len(PLACES)])):
                answer = send(client, place, text, book_id)
                statuses[place][answer.status_code] += 1
                found += [f"{place} {text[:80]!r}: {fault}" for fault in faults(answer, text)]
            if number % 5000 == 4999:
                print(f"{number + 1:,} texts, {len(found)} faults, {time.monotonic() - started:.0f} s", flush=True)
        lines = [line for file in log_files(log) for line in file.read_bytes().split(b"\n") if line]
        entries: list[Any] = [json.loads(line) for line in lines]
    figures = {
        "texts": arguments.texts,
        "requests": sum(map(Counter.total, statuses.values())),
        "statuses": {place: dict(sorted(counts.items())) for place, counts in statuses.items()},
        "faults": found,
        "lines_of_the_query_log": len(entries),
        "of_them_neither_search_nor_click": sum(entry.get("event") not in ("search", "click") for entry in entries),
        "lines_of_the_program_log": program.lines,
        "of_them_begun_by_a_reader": program.injected,
    }
    report(json.dumps(figures, indent=1), arguments.out)


if __name__ == "__main__":
    main()
