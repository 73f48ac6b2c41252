"""`viberary serve --workers 2`: several processes that answer as one."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
from homes import Built, published_copy

from viberary_pipeline import redis_server
from viberary_pipeline.query_lines import log_files
from viberary_pipeline.search.searcher import Searcher


class Site:
    """A running page: where it is, its first process, and what that said."""

    def __init__(self, process: subprocess.Popen[str], said: list[str]) -> None:
        self.process, self.said = process, said
        self.url = re.findall(r"http://127\.0\.0\.1:\d+/", said[-1])[0]

    def get(self, path: str, **fields: Any) -> tuple[int, Any, Any]:
        """Status, headers, and the body, read as JSON where it is."""
        try:
            answer = urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(fields)}", timeout=30)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            text = answer.read().decode()
        return answer.status, answer.headers, json.loads(text) if "json" in answer.headers["Content-Type"] else text

    def search(self, query: str) -> Any:
        return self.get("search", query=query, format="json")[2]

    def workers(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.process.pid).children()}


@contextlib.contextmanager
def serving(home: Path, redis_url: str, *arguments: str) -> Iterator[Site]:
    process = subprocess.Popen(
        [sys.executable, "-m", "viberary_pipeline.cli", "serve", "--workers", "2", "--port", "0", *arguments],
        env={**os.environ, "VIBERARY_HOME": str(home), "VIBERARY_REDIS_URL": redis_url, "TMPDIR": str(home)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said: list[str] = []
        for line in process.stderr:
            said.append(line)
            if "answers at" in line:
                break
        reader = threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
        site = Site(process, said)
        reader.start()
        wait_until(lambda: len(site.workers()) == 2)
        yield site
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            for each in [*psutil.Process(process.pid).children(), process]:
                each.kill()
            raise
        reader.join(10)


def wait_until(holds: Any) -> None:
    last = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < last
        time.sleep(0.05)


def test_several_processes_answer_as_one_through_a_reload_and_to_their_end(published: Any) -> None:
    searcher, url = Searcher(published.redis, published.home), published.settings.redis.url
    before = set(published.home.glob("viberary-metrics-*"))  # of hosts that other tests killed
    with serving(published.home, url) as site:
        queries = [f"{vibe} {number}" for number in range(40) for vibe in ("sea", "revenge", "a quiet garden")]
        first = site.workers()
        with ThreadPoolExecutor(8) as readers:
            answers = readers.map(site.search, queries)
            site.process.send_signal(signal.SIGHUP)  # the workers are replaced while readers ask
            assert list(answers) == [searcher.search(query).to_json() for query in queries]
        wait_until(lambda: len(site.workers()) == 2 and not site.workers() & first)
        # Whichever process is asked, old or new, it counts for all.
        counted = re.findall(r"^viberary_search_seconds_count (.+)$", site.get("metrics")[2], re.MULTILINE)
        assert counted == [str(float(len(queries)))]
    assert site.process.returncode == 0
    assert len(site.said) == 1, site.said  # no worker crashed at its end
    assert set(published.home.glob("viberary-metrics-*")) == before
    files = log_files(published.home / "logs" / "queries.jsonl")
    logged = [json.loads(line)["query"] for file in files for line in file.read_text().splitlines()]
    assert Counter(logged[-len(queries) :]) == Counter(queries)


def test_a_worker_that_is_killed_is_replaced(published: Any) -> None:
    with serving(published.home, published.settings.redis.url) as site:
        killed = min(site.workers())
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: len(site.workers()) == 2 and killed not in site.workers())
        assert [site.search(f"sea {number}")["results"] != [] for number in range(8)] == [True] * 8


def test_while_redis_is_away_the_page_says_when_to_come_back_and_is_back_by_itself(
    built_sample: Built, tmp_path: Path
) -> None:
    with published_copy(built_sample, tmp_path / "home") as library:
        redis_server.stop(library.home)
        url = library.settings.redis.url
        with serving(library.home, url) as site:  # it starts without Redis as well
            away = site.get("search", query="sea")
            assert (away[0], away[1]["Retry-After"]) == (503, "10")
            assert "The library is closed for the moment" in away[2]
            assert site.get("readyz")[0] == 503
            assert site.get("healthz")[0] == 200
            for _ in range(2):
                assert redis_server.ensure(library.home).url == url
                wait_until(lambda: site.get("readyz")[0] == 200)
                assert len(site.search("sea")["results"]) == 10
                redis_server.stop(library.home)
                assert {site.get("search", query="sea")[0] for _ in range(8)} == {503}, "no answer is remembered"
            assert any("meanwhile:  the page answers 503" in line for line in site.said)


def test_a_mistake_in_the_settings_ends_the_program_with_a_message(published: Any) -> None:
    wrong = published.settings.redis.url.removesuffix("0") + "1"
    done = published.cli("serve", "--workers", "2", "--port", "0", VIBERARY_REDIS_URL=wrong)
    assert done.returncode == 1
    assert "The index must be in database 0 of Redis" in done.stderr
    assert "Traceback" not in done.stderr
