"""The history: records that outlive builds, what changed between two, the page of trends."""

import json
import logging
import multiprocessing
import os
import re
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from browsing import PHONE, be_a_phone, requested_addresses

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.errors import HistoryError
from viberary_pipeline.evaluation.page import write_report
from viberary_pipeline.history.diff import diff
from viberary_pipeline.history.records import FORMAT, History, RunRecord, since
from viberary_pipeline.history.trends import MOST_RUNS, line_plot, record_rollback, write_trends
from viberary_pipeline.history.words import age, builds_table, diff_lines, status_lines
from viberary_pipeline.index.gate_result import REQUIRED_GATES, in_words
from viberary_pipeline.quality.baseline import Baseline, save_baseline
from viberary_pipeline.redis_contract import BuildRecord

LIMITS = DuckLimits(memory_limit="512MB", threads=1)
GATE = {"name": "recall_at_10", "outcome": "passed", "passed": True, "figure": 0.991, "bound": 0.97, "means": "m"}


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)


def add(history: History, verdict: str, build: str = "", **values: Any) -> RunRecord:
    """A run that has ended."""
    begun = history.begin(started="2026-11-27T03:00:00+00:00", build=build, made=bool(build))
    ended = replace(begun, verdict=verdict, **values)
    history.finish(ended, keep=100)
    return next(record for record in history.all() if record.number == ended.number)


def numbers(history: History) -> list[int]:
    return [record.number for record in history.all()]


def save_profiles(home: Path, build: str) -> Path:
    save_baseline(home, Baseline(build, "given", {}))
    return home / "quality" / "profiles" / f"{build}.json"


def save_evaluation(home: Path, build: str) -> Path:
    gate = {**GATE, "name": "evaluation", "figure": None, "outcome": "not compared"}
    empty: dict[str, Any] = {"sets": {}, "files": {}, "not_measured": {}, "ef_runtime": [], "queries": []}
    named = {"build": build, "documents": 0, "encoder": "mini", "made": "", "compared_with": ""}
    return write_report(home, {**named, **empty, "gate": gate})


# --------------------------------------------------------------------------------------------- records


def test_a_record_is_read_as_it_was_written(history: History) -> None:
    written = add(
        history,
        "published",
        "b1",
        rows={"books": 2},
        fill={"books": {"title": 0.5}},
        gates=[GATE],
        answers={"schöne Bücher 🐉": ["w1"]},
        quality={"golden": {"ndcg@10": 0.5}},
    )
    assert history.all() == [written]
    assert (written.number, written.format, written.answers) == (1, FORMAT, {"schöne Bücher 🐉": ["w1"]})


def test_runs_are_in_the_order_of_their_numbers_whatever_the_clock_says(history: History) -> None:
    for started in ("2026-11-27", "2019-01-01", "2031-05-05"):
        history.finish(replace(history.begin(started=started), verdict="failed"), keep=100)
    assert [record.started for record in history.all()] == ["2031-05-05", "2019-01-01", "2026-11-27"]


def _begin_and_wait(home: Path, ready: Any) -> None:
    History(home).begin(started="2026-11-27T03:00:00+00:00")
    ready.set()
    signal.pause()


def test_a_killed_process_leaves_its_record(history: History, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_begin_and_wait, args=(tmp_path, ready))
    process.start()
    assert ready.wait(60)
    assert [record.verdict for record in history.all()] == ["under way"]
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert [record.verdict for record in history.all()] == ["killed"]
    assert [record.number for record in history.unfinished()] == [1]


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"number": "one"}', '{"number": 1, "rows": []}', "\0"])
def test_a_damaged_record_is_named_and_costs_no_other(history: History, caplog, text: str) -> None:
    for _ in range(3):
        add(history, "failed")
    (history.folder / "000002.json").write_text(text)
    with caplog.at_level(logging.WARNING):
        assert numbers(history) == [3, 1]
    assert "000002.json cannot be read and is left out" in caplog.text
    assert add(history, "failed").number == 4


def test_a_record_that_was_only_begun_and_one_of_a_newer_version_are_left_out(history: History, caplog) -> None:
    add(history, "failed")
    (history.folder / "000002.json").touch()
    (history.folder / "000003.json").write_text(json.dumps({"number": 3, "format": FORMAT + 1}))
    assert numbers(history) == [1]
    assert "000003.json is of a newer version" in caplog.text
    assert history.begin().number == 4


def test_fields_of_a_later_version_of_the_same_format_do_no_harm(history: History) -> None:
    record = add(history, "published", "b")
    path = history.folder / "000001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "colour": "blue"}))
    assert history.all() == [record]


def test_the_oldest_records_go_but_those_of_the_last_two_publishes_stay(history: History) -> None:
    for build in ("b1", "b2", "b3"):
        add(history, "published", build)
    for _ in range(9):
        add(history, "failed")
    history.finish(replace(history.begin(), verdict="failed"), keep=4)
    assert numbers(history) == [13, 12, 11, 10, 3, 2]


def test_runs_in_a_row_that_changed_nothing_are_one_record(history: History) -> None:
    add(history, "published", "b1")
    for _ in range(3):
        add(history, "unchanged", "b1")
    assert [(record.verdict, record.times) for record in history.all()] == [("unchanged", 3), ("published", 1)]
    add(history, "failed")
    add(history, "unchanged", "b1", settings={"VIBERARY_X": "1"})
    add(history, "unchanged", "b1")
    assert [record.times for record in history.all()] == [1, 1, 1, 3, 1]


def test_a_build_is_found_by_number_and_by_name(history: History) -> None:
    add(history, "killed", "b1")
    add(history, "published", "b1")
    add(history, "unchanged", "b1")
    add(history, "refused", "20261127T000711-97d4")
    found = {name: history.find(name).number for name in ("1", "#1", "b1", "20261127T000711-97d4")}
    assert found == {"1": 1, "#1": 1, "b1": 2, "20261127T000711-97d4": 4}


@pytest.mark.parametrize("name", ["9", "b9", "", "live", "٣", "1" * 40, "-1", "\0", "../x"])
def test_what_is_not_there_is_named_with_what_is(history: History, name: str) -> None:
    with pytest.raises(HistoryError) as caught:
        history.find(name)
    assert caught.value.todo == "run `viberary build`, which writes the first"
    add(history, "published", "b1")
    with pytest.raises(HistoryError, match=re.escape(repr(name))) as caught:
        history.find(name)
    assert (caught.value.found, caught.value.todo) == ("#1 (b1)", "name one of these")


def test_what_failed_since_the_live_build_was_published(history: History) -> None:
    for verdict, build in (("failed", ""), ("published", "b1"), ("refused", ""), ("failed", "")):
        add(history, verdict, build)
    assert [record.number for record in since(history.all(), "b1")] == [4, 3]
    assert [record.number for record in since(history.all(), "")] == [4, 3, 2, 1]


@pytest.mark.parametrize("keep", [save_profiles, save_evaluation])
def test_what_was_just_written_is_kept_where_the_clock_was_set_back(tmp_path: Path, keep: Any) -> None:
    written = [keep(tmp_path, f"b{number:02}") for number in range(10)]
    for path in written:  # in times to come
        os.utime(path, ns=(4 * 10**18, 4 * 10**18 + int(path.stem[1:])))
    newest = keep(tmp_path, "b10")
    assert [path.name for path in (*written, newest) if not path.exists()] == [written[0].name]


# --------------------------------------------------------------------------------------------- diff


def documents(home: Path, works: list[dict[str, Any]]) -> str:
    """The key of documents that hold these works."""

    def build(out: Path) -> dict[str, Any]:
        pq.write_table(pa.Table.from_pylist(works), out / "documents.parquet")
        return {"rows": len(works)}

    return ArtifactStore(home).produce("documents", inputs={}, settings={"works": works}, build=build).artifact.key


def work(number: int, **fields: Any) -> dict[str, Any]:
    return {"work_id": f"w{number}", "title": f"Title {number}", "genres": ["a"], "year": 2000, **fields}


@pytest.fixture
def two(history: History, tmp_path: Path) -> tuple[RunRecord, RunRecord]:
    first = documents(tmp_path, [work(1), work(2), work(3), work(4, year=None)])
    second = documents(tmp_path, [work(2, title="Title two", year=1999), work(3, genres=["a", "b"]), work(4), work(5)])
    a = add(
        history,
        "published",
        "b1",
        keys={"documents": first},
        inputs={"raw_books": {"digest": "x"}, "raw_authors": {"digest": "y"}},
        rows={"books": 9, "documents": 4},
        rejected={"books.malformed": 1},
        fill={"documents": {"year": 0.75, "title": 1.0}},
        quality={"golden": {"ndcg@10": 0.5}},
        answers={"love": ["w1", "w2"], "war": ["w3"], "old": ["w1"], "nothing": [], "like w2": ["w1"]},
        gates=[GATE],
        settings={"VIBERARY_HNSW_M": "16"},
        versions={"duckdb": "1.5.1"},
        encoder={"name": "mini"},
        seconds={"books": 1.5},
    )
    b = add(
        history,
        "published",
        "b2",
        keys={"documents": second},
        inputs={"raw_books": {"digest": "z"}, "raw_authors": {"digest": "y"}},
        rows={"books": 10, "documents": 4},
        fill={"documents": {"year": 1.0, "title": 1.0}},
        quality={"golden": {"ndcg@10": 0.6}},
        answers={"love": ["w2", "w5"], "war": ["w3"], "new": ["w5"], "nothing": [], "like w2": ["w5"]},
        gates=[GATE],
        versions={"duckdb": "1.5.1"},
        encoder={"name": "mini"},
        seconds={"books": 2.5, "embeddings": 1.0},
    )
    return a, b


def test_diff_says_what_changed_and_nothing_else(two: tuple[RunRecord, RunRecord], tmp_path: Path) -> None:
    assert diff(tmp_path, *two, LIMITS) == {
        "a": {"number": 1, "build": "b1", "verdict": "published", "started": "2026-11-27T03:00:00+00:00"},
        "b": {"number": 2, "build": "b2", "verdict": "published", "started": "2026-11-27T03:00:00+00:00"},
        "inputs": {"raw_books": ["x", "z"]},
        "rows": {"books": [9, 10]},
        "rejected": {"books.malformed": [1, None]},
        "settings": {"VIBERARY_HNSW_M": ["16", None]},
        "versions": {},
        "encoder": {},
        "fill": {"documents.year": [0.75, 1.0]},
        "quality": {"golden.ndcg@10": [0.5, 0.6]},
        "gates": {},
        "seconds": {"books": [1.5, 2.5], "embeddings": [None, 1.0]},
        "documents": {
            "added": 1,
            "removed": 1,
            "changed": 3,
            "same": 0,
            "fields": {"year": 2, "genres": 1, "title": 1},
            "columns": [[], []],
            "examples": {
                "added": [{"work_id": "w5", "title": "Title 5"}],
                "removed": [{"work_id": "w1", "title": "Title 1"}],
                "changed": [
                    {"work_id": "w2", "title": "Title two", "fields": ["title", "year"]},
                    {"work_id": "w3", "title": "Title 3", "fields": ["genres"]},
                    {"work_id": "w4", "title": "Title 4", "fields": ["year"]},
                ],
            },
        },
        "answers": {
            "queries": 4,
            "same": 2,
            "overlap": 0.625,
            "least": [{"query": "like w2", "overlap": 0.0, "title": "Title two"}, {"query": "love", "overlap": 0.5}],
        },
        "not_compared": {},
    }


def test_diff_of_a_build_with_itself_is_empty(two: tuple[RunRecord, RunRecord], tmp_path: Path) -> None:
    found = diff(tmp_path, two[0], two[0], LIMITS)
    assert found["documents"] | {"examples": 0} == {
        "added": 0,
        "removed": 0,
        "changed": 0,
        "same": 4,
        "fields": {},
        "columns": [[], []],
        "examples": 0,
    }
    assert found["answers"] == {"queries": 5, "same": 5, "overlap": 1.0, "least": []}
    assert [found[part] for part in ("inputs", "rows", "fill", "quality", "gates", "settings")] == [{}] * 6


def test_diff_says_what_is_no_longer_kept(two: tuple[RunRecord, RunRecord], history: History, tmp_path: Path) -> None:
    failed = add(history, "failed")
    gone = replace(two[0], keys={"documents": "0" * 16}, answers={"other": []})
    found = diff(tmp_path, gone, two[1], LIMITS)
    assert (found["documents"], found["answers"]) == (None, None)
    assert found["not_compared"] == {
        "documents": "those of #1 (b1) are no longer kept: `viberary gc` removed them (VIBERARY_KEEP_DOCUMENTS)",
        "answers": "both kept other queries",
    }
    found = diff(tmp_path, two[0], failed, LIMITS)
    assert found["not_compared"] == {
        "inputs": "#3 did not get so far",
        "quality": "#3 did not get so far",
        "documents": "#3 did not get so far",
        "answers": "#3 kept none",
    }
    assert "not compared: documents: #3 did not get so far" in list(diff_lines(found))


def test_columns_of_one_build_alone_are_named(history: History, tmp_path: Path) -> None:
    keys = [documents(tmp_path, [work(1) | more]) for more in ({"old": 1}, {"new": 2})]
    a, b = (add(history, "published", name, keys={"documents": key}) for name, key in zip("ab", keys, strict=True))
    found = diff(tmp_path, a, b, LIMITS)
    assert (found["documents"]["columns"], found["documents"]["changed"]) == ([["old"], ["new"]], 0)


# --------------------------------------------------------------------------------------------- for people


def test_the_table_of_builds_says_why_each_did_not_go_live(history: History) -> None:
    add(history, "published", "20261127T000711-97d4", rows={"documents": 1_234_567}, quality={"g": {"ndcg@10": 0.5}})
    add(history, "refused", why="books: 120 rows, 240 in the live build; at least 90% must remain")
    assert [line.split() for line in builds_table(history.all(), 2)][1:] == [
        ["2", "refused", "2026-11-27", "03:00", "0.0"],
        ["books:", "120", "rows,", "240", "in", "the", "live", "build;", "at", "least", "90%", "must", "remain"],
        ["1", "published", "2026-11-27", "03:00", "20261127T000711-97d4", "1,234,567", "0.500", "0.0"],
    ]


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (timedelta(seconds=5), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(hours=47), "1 day ago"),
        (timedelta(days=400), "400 days ago"),
        (timedelta(hours=-2), "in the future by this machine's clock, which was set back or is wrong"),
    ],
)
def test_an_age_is_in_words_and_a_wrong_clock_is_named(moment: timedelta, words: str) -> None:
    now = datetime(2026, 11, 27, tzinfo=UTC)
    assert age((now - moment).isoformat(), now) == words
    assert age("", now) == age("yesterday", now) == "at an unknown time"


def test_status_says_from_what_how_good_and_what_was_refused_since(history: History, tmp_path: Path) -> None:
    page = tmp_path / "quality" / "report" / "x.html"
    page.parent.mkdir(parents=True)
    page.touch()
    build = BuildRecord(
        *("b1", "live", "d", "mini", "f" * 16, "k", 384, "FLOAT32", 16, 200, 400, 4),
        gates=json.dumps([GATE]),
        published=datetime.now(UTC).isoformat(),
        source="given",
        seconds=6.481,
        feed_seconds=0.4,
    )
    lines = list(status_lines(tmp_path, "b1", [build]))
    assert lines[:3] == [
        "from      files of yours",
        "age       published just now",
        "quality   not in the history: `viberary evaluate` measures it",
    ]
    add(
        history,
        "published",
        "b1",
        raw="/data",
        rows={"books": 1234},
        quality={"golden": {"ndcg@10": 0.5}},
        pages={"report": "report/x.html", "evaluation": "evaluation/gone.html"},
    )
    add(history, "refused", why="books: too few")
    assert list(status_lines(tmp_path, "b1", [build])) == [
        "from      /data: 1,234 books",
        "age       published just now by run #1",
        "quality   nDCG@10: golden 0.500",
        f"reports   {page}",
        f"since     #2 refused {age('2026-11-27T03:00:00+00:00')}: books: too few",
        "",
        "build b1 (live)",
        "  documents  4",
        "  encoder    mini (ffffffffffffffff)",
        "  index      HNSW FLOAT32 x 384, M 16, EF_CONSTRUCTION 200, EF_RUNTIME 400",
        f"  times      created , published {build.published}, saved no",
        "  built in   6.5 s, of which writing the works 0.4 s (10 works/s)",
        "  gate       recall_at_10 passed: 99.10% of the true ten nearest are found; at least 97.00% is asked",
    ]


# --------------------------------------------------------------------------------------------- trends


def test_the_page_of_trends_holds_every_run_and_links_to_the_pages_that_are_there(
    two: tuple[RunRecord, RunRecord], history: History, tmp_path: Path
) -> None:
    there = tmp_path / "quality" / "evaluation" / "b3.html"
    there.parent.mkdir(parents=True)
    there.touch()
    pages = {"report": "report/gone.html", "evaluation": "evaluation/b3.html"}
    add(history, "published", "b3", rows={"documents": 7}, pages=pages, quality={"<golden> & more": {"ndcg@10": 0.7}})
    add(history, "refused", why="books: <script>alert(1)</script>")
    page = write_trends(tmp_path, history.all())
    assert page == tmp_path / "quality" / "trends.html"
    html = page.read_text(encoding="utf-8")
    assert re.findall(r'href="([^"#]+)"', html) == ["data:,", "evaluation/b3.html"]
    assert re.findall(r'class="run" id="([^"]+)"', html) == ["run-4", "b3", "b2", "b1"]
    assert 'id="gone"' in html
    assert "<script" not in html
    assert "<title>#3 &lt;golden&gt; &amp; more: 0.700</title>" in html
    assert "What changed since #1" in html
    assert "raw files: books" in html


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_trends_fits_a_phone_and_asks_for_nothing(
    two: tuple[RunRecord, RunRecord], browser: Any, history: History, tmp_path: Path, scheme: str
) -> None:
    page = write_trends(tmp_path, history.all())
    be_a_phone(browser, scheme)
    browser.get(page.as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") == PHONE[0]
    line = browser.execute_script("return getComputedStyle(document.querySelector('svg circle')).fill")
    assert line == {"light": "rgb(59, 110, 168)", "dark": "rgb(91, 155, 216)"}[scheme]
    assert {address for address in requested_addresses(browser) if not address.startswith("data:")} == {page.as_uri()}


def test_a_page_of_a_long_history_shows_the_last_runs(history: History, tmp_path: Path) -> None:
    for number in range(MOST_RUNS + 3):
        add(history, "published", f"b{number}", rows={"documents": number})
    html = write_trends(tmp_path, history.all()).read_text(encoding="utf-8")
    assert html.count('class="run"') == MOST_RUNS
    assert f"{MOST_RUNS + 3} runs" in html


@pytest.mark.parametrize("values", [[5.0], [0.0, 0.0], [None, 2.0, None, 3.0], [-1.0, 1.0], [1e9, 1e9]])
def test_a_plot_is_drawn_within_its_frame(values: list[float | None]) -> None:
    svg = line_plot({"x": values}, range(len(values)), "{:.1f}", {0: "refused"})
    points = [(float(x), float(y)) for x, y in re.findall(r'cx="([\d.-]+)" cy="([\d.-]+)"', svg)]
    assert len(points) == sum(value is not None for value in values)
    assert all(0 <= x <= 360 and 0 <= y <= 150 for x, y in points)
    assert "#0 refused" in svg


def heights(svg: str) -> list[float]:
    """Of the points of a plot, in pixels from its top."""
    return [float(y) for y in re.findall(r'cy="([\d.-]+)"', svg)]


def test_one_figure_far_beyond_all_others_is_cut_off_and_says_so() -> None:
    rest = [30.0, 33.0] * 15
    svg = line_plot({"all": [150.0, *rest], "part": [90.0] + [2.0] * 30}, range(31), "{:.0f}")
    assert len(heights(svg)) == 60  # the first run is at the top, as triangles
    assert re.findall(r"<title>#0 (\w+: \d+)</title></path>", svg) == ["all: 150", "part: 90"]
    assert re.findall(r"<text[^>]*>(\d+)</text>", svg) == ["2", "33", "150"]
    assert min(heights(svg)) < 30
    # Of few runs none is unusual, and one that is twice as high is not cut off either.
    assert "</title></path>" not in line_plot({"all": [150.0, 30.0, 33.0]}, range(3), "{:.0f}")
    assert "</title></path>" not in line_plot({"all": [60.0, *rest]}, range(31), "{:.0f}")


def test_figures_that_never_change_lie_in_the_middle_and_zeros_at_the_bottom() -> None:
    assert heights(line_plot({"x": [7.0] * 3}, range(3), "{:.0f}")) == [72.0] * 3
    assert heights(line_plot({"x": [0.0] * 3}, range(3), "{:.0f}")) == [128.0] * 3


def test_the_seconds_of_half_a_build_are_not_drawn(history: History, tmp_path: Path) -> None:
    add(history, "published", "b1", seconds={"documents": 30.0, "embeddings": 4.0})
    add(history, "refused", seconds={"documents": 3.0})
    html = write_trends(tmp_path, history.all()).read_text(encoding="utf-8")
    assert re.findall(r"<title>(#\d \w+: \d+)</title>", html) == ["#1 all: 34", "#1 embedding: 4", "#1 indexing: 0"]


def test_a_rollback_is_in_the_history(history: History, tmp_path: Path) -> None:
    build = BuildRecord("b1", "live", "d", "mini", "f" * 16, "k", 384, "FLOAT32", 16, 200, 400, 4)
    record_rollback(tmp_path, build, keep=10)
    (record,) = history.all()
    assert (record.verdict, record.build, record.job) == ("rolled back", "b1", "rollback")
    assert 'id="b1"' in (tmp_path / "quality" / "trends.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        (GATE, "recall_at_10 passed: 99.10% of the true ten nearest are found; at least 97.00% is asked"),
        (
            {**GATE, "outcome": "failed", "figure": 0.5, "means": "200 queries"},
            "recall_at_10 FAILED: 50.00% of the true ten nearest are found; at least 97.00% is asked [200 queries]",
        ),
        (
            {**GATE, "outcome": "not compared", "figure": None, "means": "no build is live"},
            "recall_at_10 not compared: no build is live",
        ),
        (
            {**GATE, "name": "evaluation", "figure": -0.02, "bound": 0.03},
            "evaluation passed: search quality is no worse than the live build's (nDCG@10 +0.020)",
        ),
        (
            {**GATE, "name": "evaluation", "figure": 0.012, "bound": 0.03},
            "evaluation passed: nDCG@10 is 0.012 below the live build's; 0.03 is allowed",
        ),
        ({**GATE, "name": "a_new_one", "figure": 3, "bound": 4}, "a_new_one passed: 3 (bound 4), m"),
        (
            {**GATE, "name": "documents_kept", "figure": 0.742, "bound": 0.9},
            "documents_kept passed: 74.2% of the live build's documents; at least 90.0% must remain; fewer were "
            "accepted (VIBERARY_ACCEPT_DRIFT)",
        ),
    ],
)
def test_a_gate_is_told_in_words(gate: dict[str, Any], words: str) -> None:
    assert in_words(gate) == words


@pytest.mark.parametrize("name", REQUIRED_GATES)
def test_every_gate_has_words_of_its_own(name: str) -> None:
    assert "(bound" not in in_words({**GATE, "name": name, "figure": 1, "bound": 1})
