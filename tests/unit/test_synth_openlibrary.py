"""Open Library's dumps made up: columns, keys that lead somewhere, the shares of the real files, the same bytes."""

import gzip
import hashlib
import json
import re
from collections import Counter
from datetime import date
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from click.testing import CliRunner

from viberary_pipeline.cli import main
from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.errors import SettingsError
from viberary_pipeline.synth.write import Written, write_dumps

WORKS = 20_000
RECORDS = ("works", "editions", "authors", "redirects")

Rows = dict[str, list[list[str]]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Written]:
    return write_dumps(tmp_path_factory.mktemp("synth"), works=WORKS, readings=30_000)


def lines_of(file: Written) -> list[str]:
    return gzip.decompress(file.path.read_bytes()).decode("ascii").split("\n")[:-1]


@pytest.fixture(scope="module")
def rows(written: dict[str, Written]) -> Rows:
    """The columns of each line; a line that is there twice, once."""
    return {table: [line.split("\t") for line in dict.fromkeys(lines_of(file))] for table, file in written.items()}


@pytest.fixture(scope="module")
def records(rows: Rows) -> dict[str, list[dict[str, Any]]]:
    return {table: [json.loads(row[4]) for row in rows[table]] for table in RECORDS}


def digests(written: dict[str, Written]) -> dict[str, str]:
    return {table: hashlib.sha256(file.path.read_bytes()).hexdigest() for table, file in written.items()}


def test_the_files_have_the_names_and_counts_that_were_asked_for(written: dict[str, Written], rows: Rows) -> None:
    assert {table: file.path.name for table, file in written.items()} == {
        table: f"ol_dump_{table}_2026-10-31.txt.gz"
        for table in ("works", "editions", "authors", "ratings", "reading-log", "redirects")
    }
    assert {table: file.lines for table, file in written.items()} == {
        table: len(lines_of(file)) for table, file in written.items()
    }
    assert (len(rows["works"]), written["reading-log"].lines, written["ratings"].lines) == (WORKS, 30_000, 1_800)
    assert len(rows["editions"]) / WORKS == pytest.approx(1.55, abs=0.01)


def test_the_bytes_do_not_depend_on_threads_or_memory_but_on_the_seed(tmp_path: Path) -> None:
    # More than one range of works and of editions, so that threads could finish out of turn.
    one = write_dumps(tmp_path / "one", works=70_000, seed=7, limits=DuckLimits("4GB", 1))
    four = write_dumps(tmp_path / "four", works=70_000, seed=7, limits=DuckLimits("500MB", 4))
    other = write_dumps(tmp_path / "other", works=1_000, seed=8)
    again = write_dumps(tmp_path / "again", works=1_000, seed=9)
    assert digests(one) == digests(four)
    assert {table for table in other if digests(other)[table] == digests(again)[table]} == set()


@pytest.mark.parametrize("table", RECORDS)
def test_the_columns_repeat_what_the_json_says(
    rows: Rows, records: dict[str, list[dict[str, Any]]], table: str
) -> None:
    for row, record in zip(rows[table], records[table], strict=True):
        kind, key, revision, modified, _ = row
        assert (record["type"]["key"], record["key"], str(record["revision"])) == (kind, key, revision)
        assert record["last_modified"]["value"] == modified
        assert re.fullmatch(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}", modified)
        assert record["created"]["value"] < modified < "2026-10-01"
    assert len({row[1] for row in rows[table]}) == len(rows[table])


@pytest.mark.parametrize(
    ("field", "expected"),
    [("title", 1.0), ("authors", 0.95), ("subjects", 0.59), ("first_publish_date", 0.19), ("description", 0.044)],
)
def test_as_many_works_have_a_field_as_in_open_library(
    records: dict[str, list[dict[str, Any]]], field: str, expected: float
) -> None:
    # Four standard deviations of a share of 20,000.
    assert mean(field in work for work in records["works"]) == pytest.approx(expected, abs=0.014)


def test_a_third_of_the_works_has_a_cover_and_some_have_one_that_is_none(
    records: dict[str, list[dict[str, Any]]],
) -> None:
    covers = [work.get("covers", []) for work in records["works"]]
    assert mean(any(cover > 0 for cover in of) for of in covers) == pytest.approx(0.32, abs=0.014)
    assert 200 < covers.count([-1]) < 350
    assert 100 < sum(len(of) > 1 and of[0] == -1 for of in covers) < 300


def key_of(author: Any) -> str:
    while isinstance(author, dict):
        author = author.get("author", author.get("key"))
    return author.replace("/a/", "/authors/")


def test_keys_lead_to_records_by_redirects_or_are_as_rarely_lost_as_stated(
    rows: Rows, records: dict[str, list[dict[str, Any]]]
) -> None:
    there = {row[1] for table in ("works", "editions", "authors") for row in rows[table]}
    moved = {row["key"]: row["location"] for row in records["redirects"] if "location" in row}
    removed = {row["key"] for row in records["redirects"] if "location" not in row}

    def followed(key: str) -> str:
        path = [key]
        while path[-1] in moved and path.count(path[-1]) == 1:
            path.append(moved[path[-1]])
        if path[-1] in there:
            return "found" if len(path) == 1 else "redirected"
        return "removed" if path[-1] in removed else "circle" if path.count(path[-1]) > 1 else "lost"

    ways = {
        "author of work": Counter(followed(key_of(a)) for work in records["works"] for a in work.get("authors", [])),
        "work of edition": Counter(
            followed(work["key"]) for edition in records["editions"] for work in edition.get("works", [])
        ),
        "work of rating": Counter(followed(row[0]) for row in rows["ratings"]),
        "work of reader": Counter(followed(row[0]) for row in rows["reading-log"]),
        "edition of reader": Counter(followed(row[1]) for row in rows["reading-log"] if row[1]),
        "redirect": Counter(followed(key) for key in moved),
    }
    may_be = {
        "author of work": {"lost"},
        "work of edition": {"lost", "removed", "circle"},
        "work of rating": {"lost", "circle"},
        "work of reader": {"lost", "circle"},
        "edition of reader": set(),
        "redirect": {"circle"},
    }
    for name, way in ways.items():
        assert set(way) - {"found", "redirected"} <= may_be[name], name
        assert (way["redirected"] > 0) == (name != "edition of reader"), name
        assert way["found"] / way.total() > 0.97 or name == "redirect", name
    assert ways["redirect"]["circle"] == 2
    assert min(ways["work of edition"][lost] for lost in ("lost", "removed")) > 0
    chained = sum(moved.get(location) is not None for location in moved.values())
    assert 80 < chained < 120  # a quarter of 400 merged works
    assert 0 < sum("works" not in edition for edition in records["editions"]) < 150


def test_every_form_of_an_author_and_of_a_text_is_there(records: dict[str, list[dict[str, Any]]]) -> None:
    forms = Counter(
        re.sub(r"OL[0-9]+A", "OLnA", json.dumps(author))
        for work in records["works"]
        for author in work.get("authors", [])
    )
    assert set(forms) == {
        '{"author": {"key": "/authors/OLnA"}, "type": {"key": "/type/author_role"}}',
        '{"type": "/type/author_role", "author": {"key": "/authors/OLnA"}}',
        '{"author": {"key": "/a/OLnA"}}',
        '{"author": "/authors/OLnA"}',
        '{"key": "/authors/OLnA"}',
        '"/authors/OLnA"',
        '{"type": {"key": "/type/author_role"}, "author": {"key": "/authors/OLnA"}, "as": null}',
    }
    texts = Counter(type(work["description"]) for work in records["works"] if "description" in work)
    assert texts[str] + texts[dict] > 0.98 * texts.total()
    assert 0.4 < texts[str] / texts.total() < 0.6


def test_subjects_are_a_mixture_of_shelves_tags_headings_and_languages(
    records: dict[str, list[dict[str, Any]]],
) -> None:
    subjects = Counter(subject for work in records["works"] for subject in work.get("subjects", []))
    for one in ("Accessible book", "nyt:mass-market-paperback=2011-03-06", "Reading Level-Grade 9", "Science fiction",
                "Fiction, science fiction, general", "Ciencia ficción", "Русская литература", "小説"):  # fmt: skip
        assert subjects[one] > 10, one
    assert 3 < mean(len(work["subjects"]) for work in records["works"] if "subjects" in work) < 6


def test_dates_are_free_text_of_many_forms(records: dict[str, list[dict[str, Any]]]) -> None:
    forms = Counter(
        re.sub(r"[A-Z][a-z]+(?= [0-9])", "Month", re.sub(r"[0-9]+", lambda digits: "9" * len(digits[0]), text))
        for text in (edition["publish_date"] for edition in records["editions"] if "publish_date" in edition)
    )
    assert forms["9999"] / forms.total() == pytest.approx(0.6, abs=0.02)
    expected = {"Month 9999", "Month 99, 9999", "9999-99-99", "99 Month 9999", "c9999", "c. 9999", "[9999]", "[9999?]",
                "9999?", "9999-9999", "n.d.", "99--", "Unknown", "99th century"}  # fmt: skip
    assert expected <= set(forms)


def test_ratings_and_log_are_heavy_tailed_and_rarely_odd(rows: Rows) -> None:
    readers = Counter(row[0] for row in rows["reading-log"])
    assert readers.most_common(1)[0][1] > 30
    assert 0.05 < len(readers) / WORKS < 0.6
    shelves = Counter(row[2] for row in rows["reading-log"])
    assert {"Want to Read", "Currently Reading", "Already Read"} <= set(shelves)
    stars = Counter(row[2] for row in rows["ratings"])
    assert sum(stars[str(star)] for star in range(1, 6)) > 0.99 * stars.total()
    assert all(stars[str(fewer)] < stars[str(more)] for fewer, more in pairwise(range(1, 6)))


def test_in_a_later_month_a_share_of_the_works_has_changed(tmp_path: Path) -> None:
    first = write_dumps(tmp_path, works=4_000)
    later = write_dumps(tmp_path, works=4_000, of=date(2026, 11, 30), changed=0.05)
    assert len([*tmp_path.iterdir()]) == 12
    assert {table for table in first if digests(first)[table] != digests(later)[table]} == {"works"}
    before, after = (
        {row["key"]: row for row in (json.loads(line.split("\t")[4]) for line in lines_of(files["works"]))}
        for files in (first, later)
    )
    changed = {key for key in before if before[key] != after[key]}
    assert 80 < len(changed) < 160  # of the 200, those with subjects or a description
    others = {"description", "subjects"}
    assert [{k: v for k, v in row.items() if k not in others} for row in before.values()] == [
        {k: v for k, v in after[key].items() if k not in others} for key in before
    ]


def test_damage_comes_in_twelve_kinds_at_its_share(tmp_path: Path) -> None:
    clean = write_dumps(tmp_path / "clean", works=4_000)
    damaged = write_dumps(tmp_path / "damaged", works=4_000, damage=0.1)
    expected = set(gzip.decompress(clean["works"].path.read_bytes()).split(b"\n"))
    lines = gzip.decompress(damaged["works"].path.read_bytes()).split(b"\n")[:-1]
    odd = [line for line in lines if line not in expected]
    kinds = {
        "carriage return": sum(line.endswith(b"\r") for line in odd),
        "byte order mark": sum(line.startswith(b"\xef\xbb\xbf") for line in odd),
        "NUL": sum(b"\0" in line for line in odd),
        "not UTF-8": sum(b"\xff\xfe" in line for line in odd),
        "no dump": sum(line.startswith(b"<html>") for line in odd),
        "column more": sum(line.endswith(b"\tone more") for line in odd),
        "column less": sum(line.count(b"\t") == 3 for line in odd),
        "tab in JSON": sum(line.count(b"\t") == 5 and line.endswith(b"}") for line in odd),
        "no JSON": sum(line.endswith(b"\t") for line in odd),
        "null": sum(line.endswith(b"\tnull") for line in odd),
        "cut": sum(line.count(b"\t") == 4 and not line.endswith((b"}", b"\t", b"\tnull", b"\r")) for line in odd),
        "twice": len(lines) - len(set(lines)),
    }
    assert {kind: 10 < count < 80 for kind, count in kinds.items()} == dict.fromkeys(kinds, True)
    assert len(lines) == damaged["works"].lines


@pytest.mark.parametrize(("works", "readings"), [(0, 0), (1, 3), (9, 9), (10, 0), (11, 30)])
def test_tiny_catalogues(tmp_path: Path, works: int, readings: int) -> None:
    written = write_dumps(tmp_path, works=works, readings=readings)
    assert (len(lines_of(written["works"])), len(lines_of(written["reading-log"]))) == (works, readings)


@pytest.mark.parametrize(("works", "readings", "damage"), [(-1, 0, 0.0), (5, -1, 0.0), (0, 5, 0.0), (5, 5, 1.5)])
def test_counts_that_cannot_be_are_refused(tmp_path: Path, works: int, readings: int, damage: float) -> None:
    with pytest.raises(SettingsError, match="No catalogue has such counts") as error:
        write_dumps(tmp_path / "new", works=works, readings=readings, damage=damage)
    assert "--works 20000 --readings 60000" in error.value.todo
    assert not (tmp_path / "new").exists()


def test_dumps_of_other_origin_stay(tmp_path: Path) -> None:
    (tmp_path / "ol_dump_works_2026-10-31.txt.gz").write_bytes(gzip.compress(b"mine\n"))
    with pytest.raises(SettingsError, match="files of other origin") as error:
        write_dumps(tmp_path, works=5)
    assert "goodreads" not in error.value.expected
    assert [path.name for path in tmp_path.iterdir()] == ["ol_dump_works_2026-10-31.txt.gz"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--source", "openlibrary"], "--source openlibrary needs --works."),
        (["--source", "openlibrary", "--works", "5", "--books", "5"], "--source openlibrary has no --books."),
        (["--books", "5", "--reviews", "5", "--works", "5"], "--source ucsd has no --works."),
        (["--books", "5"], "--source ucsd needs --reviews."),
        ([], "--source ucsd needs --books and --reviews."),
        (["--books", "5", "--reviews", "5", "--date", "2026-11-30"], "--source ucsd has no --date."),
        (["--source", "goodreads"], "'goodreads' is not one of 'ucsd', 'openlibrary'."),
    ],
)
def test_options_of_the_other_source_are_wrong_usage(tmp_path: Path, options: list[str], message: str) -> None:
    done = CliRunner().invoke(main, ["synth", str(tmp_path / "new"), *options])
    assert done.exit_code == 2
    assert message in done.output
    assert not (tmp_path / "new").exists()


def test_the_command_writes_the_dumps_and_says_how_large_they_are(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["synth", str(tmp_path), "--source", "openlibrary", "--works", "40", "--seed", "3"])
    assert done.exit_code == 0
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert (
        f"ol_dump_works_2026-10-31.txt.gz (40 lines, {sizes['ol_dump_works_2026-10-31.txt.gz']:,} bytes)" in done.output
    )
