"""A year of weekly rebuilds in an hour: `python benchmarks/year.py [--weeks 52] [--keep DIR] [--out FILE]`.

A catalogue of 1,000 synthetic works, of which each week changes one in eighty: works come and go, reviews and ratings
change. The services run as deploy/systemd/ starts them: a code location, Dagster's daemon, a Redis. The sensor
`new_raw_files` starts every build but the first; after each, `viberary gc --vectors` runs, as from cron.

Things that go wrong are spread over the year (`FAULTS`). The home is a file system of its own (tmpfs; root alone may
mount one), so that its disk can be filled. A reader searches all the time.

Checked after each week: the live build is the latest good one, and it holds exactly the works of that week's files.
Checked of each answer: it is of the build that was live, and errors come only while Redis is away. Measured after each
week: the home by part, Redis, Dagster's store, the memory of the services. `growth` compares the medians of the five
weeks up to the middle and up to the end. Kept are `SETTINGS`' ten runs and, by default, 1,000 records: these alone are
to grow. With --keep, the home lies in DIR afterwards, for `viberary builds` and quality/trends.html.
"""

import argparse
import contextlib
import gzip
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import redis
from reporting import machine_and_versions, report

import viberary_pipeline
from viberary_pipeline.errors import ViberaryError
from viberary_pipeline.history.records import History, RunRecord
from viberary_pipeline.index.clean import known_builds
from viberary_pipeline.redis_contract import as_text, document_prefix, index_info, read_pointer, read_record
from viberary_pipeline.redis_server import connect, ensure, running, stop
from viberary_pipeline.resources.dagster_store import PROCESS
from viberary_pipeline.run import dagster_home
from viberary_pipeline.settings import load_settings
from viberary_pipeline.synth.write import TABLES, write_synthetic

ROOT = Path(__file__).parent.parent
WORKS, CHANGED = 1_000, 4
"""So many works are in the files; each week as many are added, removed and changed."""
HOME_MB = 1_500
SETTINGS = {"VIBERARY_SCHEDULE_FILES_SECONDS": "5", "VIBERARY_RUNS_KEPT": "10"}
FAULTS = {
    "a file cut short": {"failed"},
    "half of the works gone": {"refused"},
    "the run killed": {"killed"},
    "the disk full": {"failed", "killed"},
    "the daemon killed": {"published"},
    "Redis stopped for 5 s": {"published"},
    "Redis killed": {"published"},
}
"""What goes wrong, in this order, to the verdicts that such a week may have."""
IN_A_BUILD = ("the run killed", "the disk full", "the daemon killed", "Redis stopped for 5 s")
VIBES = ("funny sci-fi", "cold-blooded revenge", "a quiet village with a secret", "war seen by a child", "dragons")
RUN_SECONDS, STOP_SECONDS, IDLE_SECONDS = 300.0, 90.0, 0.1
LIVE_PARTS = ("artifacts", "embeddings", "history", "quality", "dagster", "redis")


class Catalogue:
    """UCSD's files of a synthetic catalogue that changes from week to week."""

    def __init__(self, folder: Path) -> None:
        write_synthetic(folder, books=3_000, reviews=9_000)
        self.tables = {name: rows_of(folder / table.file) for name, table in TABLES.items()}
        self.chance = random.Random(0)
        self.books = {book["book_id"]: book for book in self.tables["books"]}
        works = list(dict.fromkeys(book["work_id"] for book in self.tables["books"] if book["work_id"]))
        self.chance.shuffle(works)
        self.works, self.others = works[:WORKS], works[WORKS:]
        self.dated = self.works[0]
        """The work whose titles say the week; it is never removed."""
        self.week = 1

    def advance(self) -> None:
        """To the next week."""
        self.week += 1
        gone = self.chance.sample(self.works[1:], CHANGED)
        self.works = [work for work in self.works if work not in gone] + self.others[:CHANGED]
        self.others = self.others[CHANGED:] + gone
        here, reviews = set(self.works), defaultdict(list)
        for review in self.tables["reviews"]:
            if (work := self.work_of(review)) in here:
                reviews[work].append(review)
        texts = [review["review_text"] for review in self.tables["reviews"]]
        for work in self.chance.sample(sorted(reviews), CHANGED):
            review = self.chance.choice(reviews[work])
            review |= {"review_text": self.chance.choice(texts), "rating": self.chance.randint(1, 5)}
            book = self.books[review["book_id"]]
            book["ratings_count"] = str(int(book["ratings_count"] or 0) + 1)

    def work_of(self, row: dict[str, Any]) -> str:
        book = self.books.get(str(row["book_id"]))
        return book["work_id"] if book else ""

    def write(self, folder: Path, fault: str) -> None:
        """The files of this week, each beside the old one first, which it then replaces."""
        works = set(self.works[::2] if fault == "half of the works gone" else self.works)
        folder.mkdir(exist_ok=True)
        for name, table in TABLES.items():
            rows = self.tables[name]
            if name in ("books", "reviews", "genres"):
                rows = [row for row in rows if self.work_of(row) in works]
            if name == "works":
                rows = [row for row in rows if str(row["work_id"]) in works]
            packed = gzip.compress(
                b"".join(json.dumps(self.dated_row(row)).encode() + b"\n" for row in rows), 6, mtime=0
            )
            if name == "reviews" and fault == "a file cut short":
                packed = packed[: len(packed) * 2 // 3]
            (folder / f".{table.file}.part").write_bytes(packed)
            (folder / f".{table.file}.part").replace(folder / table.file)

    def dated_row(self, row: dict[str, Any]) -> dict[str, Any]:
        if row.get("work_id") != self.dated or "title" not in row:
            return row
        title = f"The Almanac of Week {self.week}"
        return row | {"title": title, "title_without_series": title}


class Reader(threading.Thread):
    """Searches all the time, through the library that programs use."""

    def __init__(self, dated: str) -> None:
        super().__init__(daemon=True)
        self.dated = dated
        self.ended = threading.Event()
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.weeks: dict[str, set[int]] = defaultdict(set)
        """{build: weeks that its dated work had in its title}."""
        self.away: list[list[float]] = []

    def run(self) -> None:
        library, client, turn = viberary_pipeline.open(), connect(load_settings()), 0
        while not self.ended.wait(IDLE_SECONDS):
            asked, turn = time.time(), turn + 1
            try:
                before = read_pointer(client).live
                found = library.search(f"{VIBES[turn % len(VIBES)]} {turn % 97}")
                between = read_pointer(client).live
                title = library.book(self.dated).title
                after = read_pointer(client).live
            except (ViberaryError, redis.RedisError) as error:
                is_away = any(start <= time.time() and asked <= end for start, end in self.away)
                self.counts["errors while Redis was away" if is_away else "errors"] += 1
                if not is_away:
                    self.wrong.append(f"{type(error).__name__} at {time.time():.1f}: {error}")
                continue
            self.counts["answers"] += 1
            if found.build not in (before, between) or len(found) != 10:
                self.wrong.append(f"{len(found)} works of {found.build}, live: {before}, {between}")
            if between == after:
                self.weeks[after].add(week_of(title))

    @contextlib.contextmanager
    def redis_away(self) -> Iterator[None]:
        """While in here, errors are no wonder."""
        self.away.append([time.time(), float("inf")])
        yield
        self.away[-1][1] = time.time() + 1


class Service:
    """A process that systemd would keep running."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.command, self.log, self.restarts = command, log, -1
        self.process: subprocess.Popen[bytes] | None = None

    def keep_up(self) -> None:
        if self.process is None or self.process.poll() is not None:
            self.restarts += 1
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(self.command, stdout=log, stderr=log, start_new_session=True)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def megabytes(self) -> float:
        return round(psutil.Process(self.process.pid).memory_info().rss / 1e6, 1) if self.process else 0.0


class Year:
    """The services, and what was seen week by week."""

    def __init__(self, folder: Path, weeks: int) -> None:
        self.folder, self.home, self.raw = folder, folder / "disk" / "home", folder / "raw"
        self.home.mkdir()
        places = {"VIBERARY_HOME": self.home, "VIBERARY_RAW": self.raw, "DAGSTER_HOME": self.home / "dagster"}
        os.environ |= {name: str(place) for name, place in places.items()} | SETTINGS
        os.environ |= {"PYTHONPATH": str(ROOT), "VIBERARY_REDIS_URL": ensure(self.home).url}
        dagster_home(self.home)
        self.instance = dg.DagsterInstance.get()
        self.client = connect(load_settings())
        self.catalogue = Catalogue(folder / "synthetic")
        self.reader = Reader(self.catalogue.dated)
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
            port = free.getsockname()[1]
        self.workspace = folder / "workspace.yaml"
        where = {"host": "127.0.0.1", "port": port, "location_name": "viberary_pipeline"}
        self.workspace.write_text(json.dumps({"load_from": [{"grpc_server": where}]}))  # JSON is YAML
        bin_ = Path(sys.executable).parent
        code = ["api", "grpc", "--module-name", "viberary_pipeline.definitions", "--host", "127.0.0.1", "--port", port]
        self.code = Service([str(bin_ / "dagster"), *map(str, code)], folder / "code.log")
        daemon = [str(bin_ / "dagster-daemon"), "run", "--workspace", str(self.workspace)]
        self.daemon = Service(daemon, folder / "daemon.log")
        at = [round((number + 1) * weeks / (len(FAULTS) + 1)) + 1 for number in range(len(FAULTS))]
        self.faults = dict(zip(at, FAULTS, strict=True))
        self.good = ("", 0, frozenset[str]())
        """The build that is to be live, the week of its files, and their works."""
        self.weeks: list[dict[str, Any]] = []
        self.wrong: list[str] = []

    # Waiting

    def wait(self, what: str, find: Callable[[], Any], seconds: float, every: float = 0.1) -> Any:
        """What `find` returns, as soon as it is something."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.code.keep_up()
            self.daemon.keep_up()
            # Of a database on a full disk, or a Redis that is away.
            with contextlib.suppress(Exception):
                if found := find():
                    return found
            time.sleep(every)
        self.wrong.append(f"week {self.catalogue.week}: waited {seconds:.0f} s in vain for {what}")
        return None

    def run_since(self, moment: float) -> dg.DagsterRun | None:
        """The run that was asked for after a moment, once it has a process."""
        for record in self.instance.get_run_records(limit=1):
            if record.create_timestamp.timestamp() >= moment and PROCESS in record.dagster_run.tags:
                return record.dagster_run
        return None

    def is_over(self, run: dg.DagsterRun) -> bool:
        """Whether its process is gone: only then all has been written that there is to write."""
        try:
            return psutil.Process(process_of(run)).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    def record_of(self, run: dg.DagsterRun) -> RunRecord | None:
        return next((record for record in History(self.home).all()[:3] if record.run == run.run_id), None)

    # What goes wrong

    def disturb(self, fault: str, run: dg.DagsterRun, known: set[str], documents: set[str]) -> None:
        """Do `fault` to a run: of the disk once the documents are made, else while the index is being built."""

        def is_indexing() -> bool:
            new = (read_record(self.client, build) for build in known_builds(self.client) if build not in known)
            return self.is_over(run) or any(record is not None and record.state == "building" for record in new)

        def has_documents() -> bool:
            return self.is_over(run) or bool(self.documents() - documents)

        self.wait("the build to get there", has_documents if fault == "the disk full" else is_indexing, 120, 0.01)
        if self.is_over(run):
            self.wrong.append(f"week {self.catalogue.week}: the run was over before {fault}")
        if fault == "the run killed":
            os.kill(process_of(run), signal.SIGKILL)
        elif fault == "the daemon killed":
            self.daemon.end(signal.SIGKILL)  # it comes back as other services do
        elif fault == "the disk full":
            with (self.folder / "disk" / "fill").open("wb", buffering=0) as fill, contextlib.suppress(OSError):
                while True:
                    fill.write(bytes(1 << 16))
        elif fault == "Redis stopped for 5 s":
            self.redis_away(self.stop_redis)

    def redis_away(self, end: Callable[[], Any]) -> None:
        """End Redis, start it again, and wait until the live index is whole."""
        with self.reader.redis_away():
            end()
            assert ensure(self.home).url == os.environ["VIBERARY_REDIS_URL"]
            self.wait("the live index", self.is_whole, 120)

    def stop_redis(self) -> None:
        stop(self.home)
        time.sleep(5)

    def kill_redis(self) -> None:
        server = running(self.home)
        assert server is not None
        os.kill(server.pid, signal.SIGKILL)
        while psutil.pid_exists(server.pid):
            time.sleep(0.05)

    def is_whole(self) -> bool:
        live = read_pointer(self.client).live
        record, info = read_record(self.client, live), index_info(self.client, live)
        return record is not None and info is not None and not info["indexing"] and info["num_docs"] == record.documents

    def documents(self) -> set[str]:
        return {path.name for path in (self.home / "artifacts" / "documents").glob("[0-9a-f]*")}

    # Week by week

    def first(self) -> None:
        """The first build by hand; then the services, and the sensor switched on."""
        self.catalogue.write(self.raw, "")
        started = time.time()
        done = self.command("build", "--json")
        assert done.returncode == 0, done.stderr
        self.look(started, "", "published")
        self.code.keep_up()
        self.daemon.keep_up()
        self.wait("the code location", self.switch_on, 120, 1)
        self.wait("the first look of the sensor", self.has_looked, 120)
        self.reader.start()

    def switch_on(self) -> bool:
        command = [self.code.command[0], "sensor", "start", "-w", str(self.workspace), "new_raw_files"]
        return not subprocess.run(command, capture_output=True, check=False).returncode

    def has_looked(self) -> bool:
        states = self.instance.all_instigator_state()
        return any(state.name == "new_raw_files" and getattr(state.instigator_data, "cursor", "") for state in states)

    def week(self) -> None:
        self.catalogue.advance()
        number = self.catalogue.week
        fault = self.faults.get(number, "")
        started = time.time()
        known, documents = set(known_builds(self.client)), self.documents()
        self.catalogue.write(self.raw, fault)
        run = self.wait("a run", lambda: self.run_since(started), RUN_SECONDS)
        if run is None:
            return
        if fault in IN_A_BUILD:
            self.disturb(fault, run, known, documents)
        self.wait("the run's end", lambda: self.is_over(run), RUN_SECONDS)
        record = self.record_of(run)
        if fault == "Redis killed":
            self.redis_away(self.kill_redis)
        self.look(started, fault, record.verdict if record is not None else "not recorded")

    def look(self, started: float, fault: str, verdict: str) -> None:
        """After a week: what is live, `gc`, and how large everything is."""
        seconds, week = round(time.time() - started, 1), self.catalogue.week
        latest = History(self.home).all()[0]
        if verdict == "published":
            self.good = (latest.build, week, frozenset(self.catalogue.works))
        was_good = self.is_good()
        collected = self.command("gc", "--vectors", "--json")
        (self.folder / "disk" / "fill").unlink(missing_ok=True)
        is_good = was_good and self.is_good()
        for is_wrong, what in (
            (not is_good, "the live build is not the latest good one"),
            (verdict not in FAULTS.get(fault, {"published"}), f"{verdict} after {fault or 'nothing'}: {latest.why}"),
            (collected.returncode != 0, f"gc ended with {collected.returncode}: {collected.stderr[-500:]}"),
        ):
            if is_wrong:
                self.wrong.append(f"week {week}: {what}")
        self.weeks.append(
            {"week": week, "verdict": verdict, "fault": fault, "live_week": self.good[1], "live_is_good": is_good}
            | {"seconds": seconds, "stages": latest.total_seconds, "embedded": latest.embedded}
            | self.sizes()
        )
        print(json.dumps(self.weeks[-1]), file=sys.stderr, flush=True)

    def is_good(self) -> bool:
        """Whether the latest good build is live, under its name and with all of its works and no others."""
        build, week, works = self.good
        live, prefix = read_pointer(self.client).live, document_prefix(build)
        keys = {key.decode().removeprefix(prefix) for key in self.client.scan_iter(f"{prefix}*", 1000)}
        title = as_text(self.client.hget(f"{prefix}{self.catalogue.dated}", "title") or "")
        return (live, week_of(title), keys) == (build, week, works) and self.is_whole()

    def sizes(self) -> dict[str, Any]:
        parts = {entry.name: size_of(entry) for entry in self.home.iterdir()}
        store, memory = self.home / "dagster", self.client.info("memory")
        trends = size_of(self.home / "quality" / "trends.html")
        parts["quality"] = parts.get("quality", 0) - trends
        return {
            **{f"{part}_kb": parts.get(part, 0) // 1024 for part in LIVE_PARTS},
            "trends_kb": trends // 1024,
            "others_kb": sum(size for part, size in parts.items() if part not in LIVE_PARTS) // 1024,
            "runs": self.instance.get_runs_count(),
            "records": len(History(self.home).all()),
            "runs_db_kb": size_of(store / "history" / "runs.db") // 1024,
            "events_db_kb": size_of(store / "history" / "runs") // 1024,
            "ticks_db_kb": size_of(store / "schedules") // 1024,
            "logs_kb": size_of(store / "storage") // 1024,
            "redis_used_kb": memory["used_memory"] // 1024,
            "redis_keys": self.client.dbsize(),
            "code_mb": self.code.megabytes(),
            "daemon_mb": self.daemon.megabytes(),
        }

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "viberary_pipeline.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def close(self) -> None:
        self.reader.ended.set()
        for service in (self.daemon, self.code):
            service.end()
        stop(self.home)
        self.instance.dispose()

    def results(self) -> dict[str, Any]:
        for build, weeks in self.reader.weeks.items():
            if len(weeks) > 1:
                self.wrong.append(f"the build {build} answered as of weeks {sorted(weeks)}")
        records = History(self.home).all()
        return {
            "weeks_built": len(self.weeks),
            "settings": SETTINGS,
            "minutes": round(sum(week["seconds"] for week in self.weeks) / 60, 1),
            "verdicts": dict(Counter(week["verdict"] for week in self.weeks)),
            "recorded": dict(Counter(record.verdict for record in records)),
            "faults": {week["fault"]: week["verdict"] for week in self.weeks if week["fault"]},
            "wrong_live_builds": sum(not week["live_is_good"] for week in self.weeks),
            "reader": dict(self.reader.counts) | {"wrong": len(self.reader.wrong)},
            "services_started_again": {"daemon": self.daemon.restarts, "code": self.code.restarts},
            "wrong": self.wrong + self.reader.wrong[:5],
            "growth": self.growth(),
        }

    def growth(self) -> dict[str, list[float]]:
        """{figure: [median up to the middle, median up to the end, their ratio]}."""
        half, grown = len(self.weeks) // 2, {}
        for name, value in self.weeks[-1].items():
            if name in ("seconds", "stages", "runs", "records") or name.endswith(("_kb", "_mb")):
                assert isinstance(value, int | float)
                middle, end = (
                    statistics.median(week[name] for week in part) for part in (self.weeks[:half][-5:], self.weeks[-5:])
                )
                grown[name] = [middle, end, round(end / middle, 3) if middle else 0.0]
        return grown


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a gzipped file of JSON lines."""
    with gzip.open(path) as lines:
        return [json.loads(line) for line in lines]


def process_of(run: dg.DagsterRun) -> int:
    """The pid of a run's process."""
    return int(run.tags[PROCESS].rpartition("/")[2].partition("@")[0])


def week_of(title: str) -> int:
    """What the title of the dated work says; 0 where it is another."""
    found = re.fullmatch(r"The Almanac of Week (\d+)", title)
    return int(found[1]) if found else 0


def size_of(path: Path) -> int:
    """Bytes of a file or of all files in a folder; links are not followed, files may go meanwhile."""
    total = 0
    for file in path.rglob("*") if path.is_dir() else [path]:
        with contextlib.suppress(OSError):
            status = file.lstat()
            total += status.st_size if not file.is_dir() else 0
    return total


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[None]:
    """A file system of its own at `folder`."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={HOME_MB}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def table(weeks: list[dict[str, Any]]) -> str:
    """The weeks as Markdown: those with a fault, the next after them, and every tenth."""
    columns = ("week", "fault", "verdict", "live_week", "seconds", "embedded", *(f"{part}_kb" for part in LIVE_PARTS))
    columns += ("redis_used_kb", "runs", "events_db_kb")
    shown = [
        week
        for at, week in enumerate(weeks)
        if week["fault"] or (at and weeks[at - 1]["fault"]) or week["week"] % 10 == 0 or at in (0, len(weeks) - 1)
    ]
    rows = [columns, ["---"] * len(columns), *([week[name] for name in columns] for week in shown)]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weeks", type=int, default=52)
    parser.add_argument("--keep", type=Path, help="a folder that does not exist: the home and the logs afterwards")
    parser.add_argument("--out", type=Path, help="the JSON to write")
    options = parser.parse_args()
    results = machine_and_versions()
    with tempfile.TemporaryDirectory(prefix="viberary-year-") as scratch, disk(Path(scratch) / "disk"):
        year = Year(Path(scratch), options.weeks)
        try:
            year.first()
            while year.catalogue.week < options.weeks:
                year.week()
            results |= year.results()
        finally:
            year.close()
            if options.keep:
                shutil.copytree(year.home, options.keep / "home", symlinks=True)
                for log in Path(scratch).glob("*.log"):
                    shutil.copy(log, options.keep)
    text = json.dumps(results | {"weeks": "@"}, indent=1)
    rows = ",\n".join(f"  {json.dumps(week)}" for week in year.weeks)
    report(text.replace('"@"', f"[\n{rows}\n ]"), options.out)
    print(f"\n{table(year.weeks)}")
    raise SystemExit(bool(results["wrong"]))


if __name__ == "__main__":
    main()
