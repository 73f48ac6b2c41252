"""A dump of Open Library from its files to the page."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import Built, Published, built_once, published_copy, write_gz
from openlibrary import DATE, by, of, record, said, shelved, write_dump

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.errors import GateRefused
from viberary_pipeline.index.publish import publish
from viberary_pipeline.name_keys import KEY_SEPARATOR
from viberary_pipeline.quality.baseline import load_baseline
from viberary_pipeline.quality.verdict import results_of
from viberary_pipeline.redis_contract import document_prefix, field_text, read_record, record_key
from viberary_pipeline.search.searcher import Searcher
from viberary_pipeline.sources.openlibrary.tables import OPENLIBRARY
from viberary_pipeline.web.app import create_app

WHALE = "A captain hunts the white whale that took his leg, and takes his ship and crew with him."
MATCHES = "A young woman makes matches for the whole village, most of them wrong, and misses her own heart."


def write_three(raw: Path, date: str = DATE, whale: str = WHALE) -> None:
    """A described work of two editions, one with subjects alone, an edition without a work; one that is left out."""
    write_dump(
        raw,
        date,
        works=[
            record(
                "OL1W",
                title="Moby Dick",
                description=whale,
                authors=by("OL1A"),
                subjects=["Whaling -- Fiction", "Sea stories"],
                first_publish_date="1851",
                covers=[12],
            ),
            record("OL2W", title="Persuasion", authors=by("OL2A"), subjects=["Navy", "Gentry", "Love stories"]),
            record("OL3W", title="Nobody reads it", description=WHALE),
        ],
        editions=[
            record(
                "OL1M",
                works=of("OL1W"),
                title="Moby Dick",
                languages=[{"key": "/languages/eng"}],
                isbn_10=["0142437247"],
            ),
            record("OL2M", works=of("OL4W"), title="Der Wal", languages=[{"key": "/languages/ger"}]),
            record("OL3M", title="Emma", description=MATCHES),
        ],
        authors=[record("OL1A", name="Herman Melville"), record("OL2A", name="Jane Austen")],
        redirects=[record("OL4W", "redirect", location="/works/OL1W")],
        reading_log=[*shelved("OL1W", 4, "OL1M"), *shelved("OL2W", 2), *shelved("OL999W", 1, "OL3M")],
        ratings=shelved("OL1W", 2, "OL1M", "4"),
    )


@pytest.fixture(scope="session")
def built_dump(shared_folder: Path, built_sample: Built) -> Built:
    return built_once(shared_folder / "built-openlibrary", raw=write_three, known=built_sample)


@pytest.fixture(scope="module")
def dump(built_dump: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    with published_copy(built_dump, tmp_path_factory.mktemp("openlibrary") / "home") as published:
        yield published


def test_a_build_says_which_works_it_left_out(dump: Published) -> None:
    assert (dump.outcome["documents"], dump.outcome["published"]) == (3, True)
    assert dump.outcome["rejected"] == {"ol_works.not_read": 1, "openlibrary.filtered_by_few_readers": 1}


def test_a_work_is_in_redis_under_its_own_key(dump: Published) -> None:
    keys = dump.redis.keys(f"{document_prefix(dump.build)}*")
    assert {key.decode().rpartition(":")[2] for key in keys} == {"OL1W", "OL2W", "bOL3M"}
    stored = {k.decode(): v for k, v in dump.redis.hgetall(f"{document_prefix(dump.build)}OL1W").items()}
    card, details = (json.loads(field_text(name, stored[name])) for name in ("card", "details"))
    shown = {
        "work_id": "OL1W",
        "book_id": "OL1M",
        "title": "Moby Dick",
        "author": "Herman Melville",
        "link": "https://openlibrary.org/works/OL1W",
        "description": WHALE,
        "review_count": "4",
        "year": "1851",
        "language": "en",
    }
    assert {name: stored[name].decode() for name in shown} == shown
    assert sorted(stored["genre_tags"].decode().split(KEY_SEPARATOR)) == ["sea stories", "whaling"]
    assert sorted(stored["identifiers"].decode().split(KEY_SEPARATOR)) == ["9780142437247", "ol2m"]
    assert card == {
        "year_of": "work",
        "rating": 4.0,
        "ratings_count": 2,
        "image_url": "https://covers.openlibrary.org/b/id/12-M.jpg?default=false",
    }
    assert [said(edition) for edition in details["editions"]] == [
        {"book_id": "OL1M", "title": "Moby Dick", "language": "en", "isbn": "0142437247"},
        {"book_id": "OL2M", "title": "Der Wal", "language": "de"},
    ]
    record_of = read_record(dump.redis, dump.build)
    assert record_of is not None
    assert record_of.source == "openlibrary"


def test_every_id_of_a_work_finds_it(dump: Published) -> None:
    searcher = Searcher(dump.redis, dump.home)
    for number in ("OL1W", "ol1w", "OL1M", "OL2M", "https://openlibrary.org/works/OL1W/Moby_Dick", "0142437247"):
        assert searcher.search(number, 1).results[0].work_id == "OL1W", number
        if "/" not in number:
            assert searcher.book(number).work_id == "OL1W", number
    assert searcher.book("bOL3M").title == searcher.book("OL3M").title == "Emma"


def test_the_page_shows_readers_subjects_and_the_source(dump: Published) -> None:
    client = create_app(Searcher(dump.redis, dump.home), query_log=None).test_client()
    page = client.get("/book/OL1W").text
    assert "<div><dt>Readers</dt><dd>4</dd></div>" in page
    assert "Its subjects are " in page
    assert 'href="https://openlibrary.org/works/OL1W"' in page
    assert 'Book data: <a href="https://openlibrary.org/developers/dumps"' in page


def test_what_open_library_lacks_is_not_compared(dump: Published) -> None:
    store = ArtifactStore(dump.home)
    observed = {
        result.name: (result.outcome, result.observed)
        for table in ("reviews", "documents")
        for result in results_of(store.current(f"{table}_quality"))
        if result.observed.startswith("not asked")
    }
    assert observed == {
        "has_rows": ("not compared", "not asked of Open Library"),
        "review_share": ("not compared", "not asked of Open Library"),
    }
    assert load_baseline(dump.home, "given").baseline is None
    baseline = load_baseline(dump.home, "openlibrary").baseline
    assert baseline is not None
    assert baseline.build == dump.build


def test_the_sample_does_not_replace_a_dump(dump: Published) -> None:
    done = dump.cli("build")
    assert done.returncode == 1
    assert "The bundled sample would replace a catalogue of your own" in done.stderr


def test_the_report_tells_what_became_of_the_dump(dump: Published) -> None:
    page = html.unescape((dump.home / "quality" / "report" / "latest.html").read_text(encoding="utf-8"))
    assert "<h1>Open Library</h1>" in page
    files, joined = (re.search(f'<section id="{name}">.*?</section>', page, re.S) for name in ("files", "joined"))
    assert files
    assert re.findall("<td>(ol_[a-z_]+|books|works|authors|reviews)</td>", files[0]) == [t.name for t in OPENLIBRARY]
    assert joined
    assert re.findall('<tr><td>([^<]+)</td><td class="number">([^<]+)</td>', joined[0]) == [
        ("works looked at", "4"),
        ("works kept", "3"),
        ("works left out: too few readers", "1"),
        ("editions of the work that they name", "1"),
        ("editions whose work was merged into another", "1"),
        ("editions that name no work", "1"),
        ("works without an edition", "2"),
        ("subjects that are headings: split", "1"),
        ("subjects kept as they are, or in their one spelling", "4"),
        ("works kept that have a description", "2"),
        ("redirects that lead in a circle", "0"),
    ]


def test_of_the_next_month_what_changed_is_embedded_and_nothing_else(built_dump: Built, tmp_path: Path) -> None:
    write_three(tmp_path / "raw")
    write_three(tmp_path / "raw", "2026-11-30", f"{WHALE} Nobody but one comes home.")
    with published_copy(built_dump, tmp_path / "home") as dump:
        done = dump.cli("build", "--json", "--raw", str(tmp_path / "raw"))
        assert done.returncode == 0, done.stderr
        outcome = json.loads(done.stdout.splitlines()[-1])
        assert {name: outcome[name] for name in ("documents", "embedded", "reused", "published")} == {
            "documents": 3,
            "embedded": 1,
            "reused": 2,
            "published": True,
        }
        assert Searcher(dump.redis, dump.home).book("OL1W").description.endswith("Nobody but one comes home.")


def write_both(raw: Path) -> str:
    """The dump of `write_three`, and UCSD's files: one of its works, and one that it lacks. VIBERARY_RAW of both."""
    write_three(raw / "dump")
    author = {"author_id": "7", "role": ""}
    books = [
        {
            "book_id": "153747",
            "work_id": "2409320",
            "title": "Moby-Dick, or, the Whale",
            "authors": [author],
            "isbn": "0142437247",
            "ratings_count": "9",
            "text_reviews_count": "2",
        },
        {"book_id": "4", "work_id": "40", "title": "Typee", "authors": [author], "description": WHALE},
    ]
    write_gz(raw / "ucsd" / "goodreads_books.json.gz", books)
    write_gz(raw / "ucsd" / "goodreads_book_authors.json.gz", [{"author_id": "7", "name": "Herman Melville"}])
    write_gz(raw / "ucsd" / "goodreads_reviews_dedup.json.gz", [])
    return f"{raw / 'ucsd'},{raw / 'dump'}"


@pytest.fixture(scope="session")
def built_both(shared_folder: Path, built_sample: Built) -> Built:
    return built_once(shared_folder / "built-both", raw=write_both, known=built_sample)


@pytest.fixture(scope="module")
def both(built_both: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    with published_copy(built_both, tmp_path_factory.mktemp("both") / "home") as published:
        yield published


def test_a_work_of_both_sources_is_one_work_of_the_index(both: Published) -> None:
    keys = both.redis.keys(f"{document_prefix(both.build)}*")
    assert {key.decode().rpartition(":")[2] for key in keys} == {"2409320", "40", "OL2W", "bOL3M"}
    searcher = Searcher(both.redis, both.home)
    for number in ("2409320", "153747", "OL1W", "OL1M", "OL2M", "https://openlibrary.org/works/OL1W", "0142437247"):
        assert searcher.search(number, 1).results[0].work_id == "2409320", number
    book = searcher.book("OL1W")
    assert (book.title, book.description, book.year) == ("Moby-Dick, or, the Whale", WHALE, 1851)
    assert (book.ratings_count, book.review_count, searcher.readiness().counted) == (11, 6, "reader")


def test_the_report_shows_which_works_were_joined_by_which_rule(both: Published) -> None:
    page = html.unescape((both.home / "quality" / "report" / "latest.html").read_text(encoding="utf-8"))
    assert "<h1>UCSD’s files and Open Library</h1>" in page
    same = re.search('<section id="same">.*?</section>', page, re.S)
    assert same
    rows = re.findall('<tr><td>([^<]+)</td><td class="number">([^<]+)</td>', same[0])
    assert [row for row in rows if row[1] != "0"] == [
        ("works of Open Library", "3"),
        ("works of UCSD", "2"),
        ("joined: two editions have one ISBN", "1"),
        ("works of Open Library alone", "2"),
        ("editions that both have", "1"),
    ]
    assert re.findall(r"<td>isbn</td><td>(.*?)<br>.*?</td><td>(.*?)<br>", same[0]) == [
        ("Moby Dick", "Moby-Dick, or, the Whale")
    ]


def test_a_build_of_both_sources_is_compared_with_its_like(both: Published) -> None:
    baseline = load_baseline(both.home, "both").baseline
    assert baseline is not None
    assert baseline.build == both.build
    record_of = read_record(both.redis, both.build)
    assert record_of is not None
    assert record_of.source == "both"
    results = results_of(ArtifactStore(both.home).current("documents_quality"))
    assert not [result.name for result in results if result.outcome == "failed" and result.severity == "ERROR"]


def test_about_says_what_may_be_done_with_the_data_of_each_source(both: Published, dump: Published) -> None:
    def licences(published: Published) -> list[tuple[str, str]]:
        page = create_app(Searcher(published.redis, published.home), query_log=None).test_client().get("/about").text
        return re.findall('<li>([^<:]+): <a href="([^"]+)"', html.unescape(page))

    ours = ("UCSD Book Graph", "https://cseweb.ucsd.edu/~jmcauley/datasets/goodreads.html")
    theirs = ("Open Library", "https://openlibrary.org/developers/licensing")
    assert (licences(both), licences(dump)) == ([ours, theirs], [theirs])
    report = (both.home / "quality" / "report" / "latest.html").read_text(encoding="utf-8")
    assert all(url in report for _, url in (ours, theirs))


def test_an_index_for_the_public_is_refused_before_the_first_stage(both: Published, built_both: Built) -> None:
    raw = built_both.raw
    assert raw is not None
    for place in (f"{raw / 'ucsd'},{raw / 'dump'}", str(raw / "ucsd")):
        done = both.cli("build", "--raw", place, VIBERARY_SOURCES_PUBLIC="1")
        assert done.returncode == 3
        assert "may not be served to the public (VIBERARY_SOURCES_PUBLIC)" in done.stderr
        assert "UCSD Book Graph: for academic use" in done.stderr
    assert both.cli("build", "--raw", str(raw / "nowhere"), VIBERARY_SOURCES_PUBLIC="1").returncode == 1


def test_a_published_index_of_a_source_that_may_not_be_served_is_refused_at_the_switch(both: Published) -> None:
    with pytest.raises(GateRefused, match=f"Build {both.build} may not be served to the public"):
        publish(both.redis, both.build, public=True)
    both.redis.hset(record_key(both.build), "licence", "CC BY 4.0")
    assert publish(both.redis, both.build, public=True).build == both.build
    both.redis.hset(record_key(both.build), "licence", "")
