"""The command line as a subprocess: its JSON, its exit codes, and the life of an index from build to rollback."""

import gzip
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import Built, Published, built_once, published_copy, write_gz
from web_hook import Hook

from viberary_pipeline.index.canaries import load_canaries
from viberary_pipeline.index.gate_result import REQUIRED_GATES
from viberary_pipeline.quality.bounds import BOUNDS
from viberary_pipeline.sample import CANARIES
from viberary_pipeline.sources.openlibrary.tables import OPENLIBRARY
from viberary_pipeline.sources.raw_files import FILES

VIBES = ["funny sci-fi", "cold-blooded revenge", "sprawling multi-generational epic about trees and people"]
STAGES = {
    *(f"raw_{table}" for table in ("books", "authors", "reviews")),
    *("books", "authors", "reviews", "documents"),
    *("books_quality", "authors_quality", "reviews_quality", "documents_quality"),
    *("raw_works", "raw_genres", "raw_series", "works", "genres", "series"),
    *(f"{prefix}{table.name}" for prefix in ("raw_", "") for table in OPENLIBRARY),
    *("ol_selection", "openlibrary", "same_works"),
    *("data_quality_report", "embeddings", "query_encoder", "search_index", "evaluation_report", "published_index"),
}


def last_json(done) -> dict:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def sample(tmp_path, built_files) -> Path:
    """A copy of the sample's gz files that a test may damage."""
    return Path(shutil.copytree(built_files.raw, tmp_path / "raw"))


@pytest.fixture
def of_sample(tmp_path, built_files) -> Iterator[Published]:
    """A home of one's own in which `sample` is published."""
    with published_copy(built_files, tmp_path / "home") as published:
        yield published


def write_tiny(raw: Path) -> None:
    """Three books, two authors, one review: enough for a whole build."""
    books = [("1", "Dragons at Dawn"), ("2", "A Quiet Garden"), ("3", "Murder on Ice")]
    author = {"author_id": "7", "role": ""}
    write_gz(raw / FILES["books"], [{"book_id": n, "work_id": n, "title": t, "authors": [author]} for n, t in books])
    write_gz(raw / FILES["authors"], [{"author_id": "7", "name": "Ann Author"}])
    write_gz(raw / FILES["reviews"], [])


@pytest.fixture(scope="session")
def built_tiny(shared_folder, built_sample) -> Built:
    return built_once(shared_folder / "built-tiny", raw=write_tiny, known=built_sample)


@pytest.fixture
def tiny(tmp_path, built_tiny) -> Path:
    """A copy of its gz files."""
    return Path(shutil.copytree(built_tiny.raw, tmp_path / "tiny"))


@pytest.fixture
def of_tiny(tmp_path, built_tiny) -> Iterator[Published]:
    """A home of one's own in which `tiny` is published."""
    with published_copy(built_tiny, tmp_path / "home") as published:
        yield published


def test_build_json_says_what_was_done(published):
    outcome = published.outcome
    assert set(outcome) == {"build", "documents", "embedded", "reused", "rejected", "published", "seconds"}
    assert (outcome["published"], outcome["reused"]) == (True, 0)
    assert outcome["documents"] >= 240
    assert outcome["embedded"] == outcome["documents"]
    assert set(outcome["seconds"]) == STAGES
    assert outcome["rejected"]["books.truncated_line"] >= 1


def test_the_same_build_again_changes_nothing(published):
    again = last_json(published.cli("build", "--json"))
    assert again | {"seconds": 0} == published.outcome | {
        "embedded": 0,
        "reused": published.outcome["documents"],
        "published": False,
        "seconds": 0,
    }
    plain = published.cli("build")
    assert plain.returncode == 0
    assert plain.stdout.startswith(f"build {published.build}: nothing changed: it stays live, no new index\n")


def test_search_json_is_one_line_per_query_as_given(published):
    queries = [*VIBES, "", "  spaces kept  ", 'dragons\tand "quotes" — é 🐉']
    done = published.cli("search", "-", "--json", "-k", "3", stdin="\n".join(queries) + "\n")
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["query"] for answer in answers] == queries
    assert {answer["build"] for answer in answers} == {published.build}
    assert [len(answer["results"]) for answer in answers] == [3, 3, 3, 0, 3, 3]
    for answer in answers:
        # Best first is not by the cosine alone (docs/searching.md), so that it need not fall from rank to rank.
        assert all(0 < result["score"] <= 1 for result in answer["results"])
        assert [result["rank"] for result in answer["results"]] == list(range(1, len(answer["results"]) + 1))
        for result in answer["results"]:
            assert list(result) == [
                "rank",
                "score",
                "book_id",
                "work_id",
                "title",
                "author",
                "link",
                "review_count",
                "year",
                "description",
                "language",
                "rating",
                "ratings_count",
                "genres",
                "year_of",
                "match",
                "why",
                "image_url",
            ]


def test_what_was_understood_stands_above_the_results_and_in_json(published):
    told = published.cli("search", "castle without vampires", "-k", "1")
    assert told.stdout.splitlines()[:2] == ["castle without vampires", "  (left out: vampires)"]
    done = published.cli("search", "-", "--json", "-k", "1", stdin="castle without vampires\ncastle\n")
    assert [json.loads(line).get("notes") for line in done.stdout.splitlines()] == [["left out: vampires"], None]


def test_a_language_is_taken_as_people_spell_it_or_refused_by_name(published):
    of_code, of_name = (
        published.cli("search", "love", "--json", "--language", language) for language in ("fr", "français")
    )
    assert of_code.returncode == of_name.returncode == 0
    assert of_code.stdout == of_name.stdout
    assert json.loads(of_code.stdout)["results"]
    for command in (["search", "love"], ["similar", "1"]):
        refused = published.cli(*command, "--language", "Elvish")
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "No language is called 'Elvish'" in refused.stderr
    empty = json.loads(published.cli("search", "love", "--json", "--language", "Swahili").stdout)
    assert (empty["results"], empty["notes"]) == ([], ["no book is left by the filter: language sw"])


def test_a_genre_and_words_as_they_are_typed(published):
    genre = json.loads(published.cli("search", "love", "--json", "--genre", "Classics").stdout)
    assert genre["results"]
    assert all("classics" in hit["genres"] for hit in genre["results"])
    known = genre["results"][0]["book_id"]
    nearest = json.loads(published.cli("similar", known, "--json", "--genre", "classics").stdout)
    assert nearest["results"]
    assert all("classics" in hit["genres"] for hit in nearest["results"])
    corrected = published.cli("search", "jane austne", "-k", "1").stdout.splitlines()
    assert corrected[:2] == ["jane austne", "  (searched for: jane austen; --exact takes each word as it is typed)"]
    assert not published.cli("search", "jane austne", "-k", "1", "--exact").stdout.splitlines()[1].startswith("  (")
    batch = published.cli("search", "-", "--json", "-k", "1", "--exact", stdin="jane austne\n")
    assert "corrected" not in json.loads(batch.stdout)


def test_one_bad_line_ends_no_batch(published):
    queries = ["love", "gollum frodo gollum", " ", "ein Krimi frodo, ein Krimi", "war"]
    done = published.cli("search", "-", "--json", "-k", "3", stdin="\n".join(queries) + "\n")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["query"], len(line["results"])) for line in lines] == list(zip(queries, (3, 3, 0, 3, 3), strict=True))
    assert done.returncode == 0
    assert done.stderr.startswith("viberary: The query is empty")


def test_search_finds_what_a_reader_would_call_right(published):
    done = published.cli("search", "-", "--json", stdin="\n".join(VIBES))
    answers = [[result["title"] for result in json.loads(line)["results"]] for line in done.stdout.splitlines()]
    assert [len(titles) for titles in answers] == [10, 10, 10]
    funny, revenge, trees = answers
    assert {"Redshirts", "Red Dwarf: Infinity Welcomes Careful Drivers"} <= set(funny[:3])
    assert "The Hitchhiker's Guide to the Galaxy" in funny
    assert revenge[0] == "Best Served Cold"
    assert set(trees[:2]) == {"The Overstory", "Greenwood"}


def test_words_of_a_query_need_no_quotes(published):
    done = published.cli("search", "cold-blooded", "revenge", "-k", "2")
    assert done.returncode == 0
    assert re.fullmatch(r"cold-blooded revenge\n    1\. 0\.\d{3}  .+ — .+\n    2\. 0\.\d{3}  .+ — .+\n", done.stdout)


def test_status_shows_the_live_build_and_its_gates(published):
    text = published.cli("status").stdout
    assert text.startswith(f"live      {published.build}\n")
    assert "recall_at_10 passed: " in text
    status = json.loads(published.cli("status", "--json").stdout)
    assert status["live"] == published.build
    assert status["readiness"] == {
        "ready": True,
        "build": published.build,
        "documents": published.outcome["documents"],
        "reason": "ready",
    }


def test_the_history_tells_of_a_build_and_its_pages_link_to_each_other(published):
    *_, record = last_json(published.cli("builds", "--json"))["builds"]
    assert (record["number"], record["verdict"], record["build"], record["made"]) == (
        *(1, "published", published.build, True),
    )
    assert record["rows"]["documents"] == published.outcome["documents"]
    assert record["rejected"] == published.outcome["rejected"]
    assert record["seconds"] == published.outcome["seconds"]
    assert {gate["name"] for gate in record["gates"]} == set(REQUIRED_GATES)
    assert set(record["inputs"]) == {"raw_books", "raw_authors", "raw_reviews"}
    assert set(record["quality"]) == {"golden", "known items", "similar books"}
    assert {"python", "dagster", "duckdb", "torch"} <= set(record["versions"])
    assert all(len(works) <= 10 for works in record["answers"].values())
    assert {canary.query for canary in load_canaries(CANARIES)} <= set(record["answers"])
    assert published.cli("builds").stdout.splitlines()[-1].split()[:2] == ["1", "published"]

    quality = published.home / "quality"
    pages = [quality / page for page in (*record["pages"].values(), "trends.html")]
    for page in (*pages, quality / "report" / "latest.html", quality / "evaluation" / "latest.html"):
        links = re.findall(r'href="([^"#:]+)(?:#([^"]*))?"', page.read_text(encoding="utf-8"))
        for target, anchor in links:
            linked = page.parent / target
            assert linked.is_file(), f"{page} links to {target}"
            assert not anchor or f'id="{anchor}"' in linked.read_text(encoding="utf-8"), f"{page}: {target}#{anchor}"
        linked_pages = {(page.parent / target).resolve() for target, _ in links}
        assert page.name == "trends.html" or (quality / "trends.html").resolve() in linked_pages


def test_builds_that_are_not_there_are_named(published):
    done = published.cli("diff", "live", "20200101T000000-0000")
    assert (done.returncode, done.stdout) == (1, "")
    assert "The history has no build '20200101T000000-0000'" in done.stderr
    # Of the first build there is no previous one. `diff` alone means the previous build and the live one.
    done = published.cli("diff")
    assert done.returncode == 1
    assert "There is no previous build" in done.stderr


def test_a_new_build_keeps_the_old_one_and_rollback_goes_back(of_tiny, tiny):
    cli, first = of_tiny.cli, of_tiny.build
    alone = cli("rollback")
    assert alone.returncode == 1
    assert "with other settings, or with --force" in alone.stderr
    second = last_json(cli("build", "--raw", str(tiny), "--json", "--force"))
    assert (second["embedded"], second["reused"], second["published"]) == (0, 3, True)
    assert second["build"] != first
    changed = last_json(cli("diff", "--json"))
    assert (changed["a"]["build"], changed["b"]["build"]) == (first, second["build"])
    assert (changed["documents"]["same"], changed["inputs"], changed["rows"]) == (3, {}, {})
    assert changed["answers"]["overlap"] == 1.0
    hook = Hook()
    back = cli("rollback", VIBERARY_NOTIFY_WEBHOOK=hook.url)
    hook.server.shutdown()
    assert (back.returncode, back.stdout) == (0, f"build {first} is live again (3 documents)\n")
    (told,) = hook.got  # as the job of the Dagster UI tells it
    assert told["json"]["text"] == f"viberary: build {first} is live again (3 documents)"
    status = json.loads(cli("status", "--json").stdout)
    assert (status["live"], status["previous"]) == (first, second["build"])
    records = last_json(cli("builds", "--json"))["builds"]
    assert [(record["verdict"], record["build"]) for record in records] == [
        ("rolled back", first),
        ("published", second["build"]),
        ("published", first),
    ]
    found = json.loads(cli("search", "dragons", "--json").stdout)
    assert (found["build"], found["results"][0]["title"], len(found["results"])) == (
        first,
        "Dragons at Dawn",
        3,
    )


def test_a_changed_text_alone_is_embedded(of_tiny, tiny):
    cli = of_tiny.cli
    lines = gzip.decompress((tiny / FILES["books"]).read_bytes()).replace(b"A Quiet", b"A Loud").splitlines()
    write_gz(tiny / FILES["books"], lines)
    again = last_json(cli("build", "--raw", str(tiny), "--json"))
    assert (again["embedded"], again["reused"], again["published"]) == (1, 2, True)


def test_a_failing_expectation_stops_the_build_with_3_and_the_live_index_stays(of_tiny, tiny, tmp_path):
    cli, live = of_tiny.cli, of_tiny.build
    bounds = tmp_path / "bounds.toml"
    strict = BOUNDS.read_text().replace("arguments = { min_value = 1 }", "arguments = { min_value = 4 }", 1)
    bounds.write_text(strict)
    refused = cli("build", "--raw", str(tiny), "--json", VIBERARY_QUALITY_BOUNDS=str(bounds))
    assert refused.returncode == 3, refused.stderr
    assert "Refused by the gate has_rows of books; the live index is untouched" in refused.stderr
    # Nor does a later run of the last stages alone publish what was refused.
    reindex = subprocess.run(
        [sys.executable, "-m", "dagster", "job", "execute", "-m", "viberary_pipeline.definitions", "-j", "reindex"],
        env={**cli.environment, "DAGSTER_HOME": str(cli.home / "dagster")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert reindex.returncode == 1
    assert "The table books was refused by its checks" in reindex.stderr
    records = last_json(cli("builds", "--json"))["builds"]
    assert [(r["verdict"], r["job"], r["build"]) for r in records[:2]] == [
        ("refused", "reindex", ""),
        ("refused", "rebuild", ""),
    ]
    assert "books.has_rows: 3" in records[1]["why"]
    assert "books.has_rows: 3" in cli("status").stdout
    # The report on the refused table is linked from the page of trends.
    page = cli.home / "quality" / records[1]["pages"]["report"]
    assert page.is_file()
    assert f'href="{records[1]["pages"]["report"]}"' in (cli.home / "quality" / "trends.html").read_text(
        encoding="utf-8"
    )
    assert json.loads(cli("status", "--json").stdout)["live"] == live


def test_a_catalogue_that_lost_half_its_books_is_refused_until_it_is_accepted(of_sample, sample):
    cli, live = of_sample.cli, of_sample.build
    books = sample / FILES["books"]
    lines = gzip.decompress(books.read_bytes()).splitlines(keepends=True)
    books.write_bytes(gzip.compress(b"".join(lines[::2])))
    refused = cli("build", "--raw", str(sample), "--json")
    assert refused.returncode == 3, refused.stderr
    assert "Refused by the gate drift_rows of books; the live index is untouched" in refused.stderr
    assert json.loads(cli("status", "--json").stdout)["live"] == live
    (page,) = re.findall(r"report (/\S+\.html)", refused.stderr)
    assert "drift_rows" in Path(page).read_text(encoding="utf-8")

    accepted = last_json(cli("build", "--raw", str(sample), "--json", VIBERARY_ACCEPT_DRIFT="1"))
    assert accepted["published"] is True
    # What is live now is what the next build is compared with.
    assert last_json(cli("build", "--raw", str(sample), "--json"))["published"] is False


def test_no_documents_left_says_which_filter_took_how_many(warm_cli, tiny):
    done = warm_cli("build", "--raw", str(tiny), VIBERARY_DOCUMENTS_LANGUAGES="fr", VIBERARY_DOCUMENTS_MIN_RATINGS="5")
    assert done.returncode == 1
    assert "There are no documents left after the filters" in done.stderr
    assert "found:      3 works, left out by language: 3" in done.stderr


def test_a_made_up_catalogue_is_written_and_builds(warm_cli, tmp_path):
    written = warm_cli("synth", str(tmp_path / "raw"), "--books", "40", "--reviews", "80", "--seed", "3")
    assert written.returncode == 0, written.stderr
    assert len(written.stdout.splitlines()) == 6
    assert f"{tmp_path}/raw/goodreads_books.json.gz (40 lines, " in written.stdout
    built = last_json(warm_cli("build", "--raw", str(tmp_path / "raw"), "--json"))
    assert (built["published"], 20 < built["documents"] <= 40) == (True, True)


def test_a_gate_of_the_index_refuses_with_3_and_the_live_index_stays(of_sample, sample):
    cli, live = of_sample.cli, of_sample.build
    # A graph this poor cannot find the neighbours of a few hundred works.
    poor = {
        "VIBERARY_HNSW_M": "2",
        "VIBERARY_HNSW_EF_CONSTRUCTION": "8",
        "VIBERARY_HNSW_EF_RUNTIME": "10",
        "VIBERARY_GATE_RECALL": "1",
    }
    refused = cli("build", "--raw", str(sample), "--json", **poor)
    assert refused.returncode == 3, refused.stderr
    assert "Refused by the gate recall_at_10 of search_index; the live index is untouched" in refused.stderr
    outcome = json.loads(refused.stdout.splitlines()[-1])
    assert (outcome["published"], outcome["build"] != live) == (False, True)
    status = json.loads(cli("status", "--json").stdout)
    assert [build["build"] for build in status["builds"]] == [live]
    assert json.loads(cli("search", "revenge", "--json").stdout)["build"] == live


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("remove the folder", "The folder with the raw files is missing"),
        pytest.param("empty the folder", "The raw file of books is missing", marks=pytest.mark.slow),
        pytest.param("remove a file", "The raw file of reviews is missing", marks=pytest.mark.slow),
        pytest.param("not gzip", "A raw file is not gzip", marks=pytest.mark.slow),
        ("truncate", "A raw file is damaged"),
    ],
)
def test_bad_raw_files_fail_with_one_clear_message_and_the_live_index_stays(published, sample, damage, message):
    books, reviews = sample / FILES["books"], sample / FILES["reviews"]
    match damage:
        case "remove the folder":
            shutil.rmtree(sample)
        case "empty the folder":
            for path in sample.iterdir():
                path.unlink()
        case "remove a file":
            reviews.unlink()
        case "not gzip":
            books.write_bytes(gzip.decompress(books.read_bytes()))
        case "truncate":
            books.write_bytes(books.read_bytes()[:-5000])
    done = published.cli("build", "--raw", str(sample))
    assert done.returncode == 1
    assert message in done.stderr
    for part in ("expected:", "found:", "what to do:"):
        assert done.stderr.count(part) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(published.cli("status", "--json").stdout)["live"] == published.build
    if damage == "truncate":  # the report on what could not be read leads to its run among the trends
        report = last_json(published.cli("builds", "--json"))["builds"][0]["pages"]["report"]
        link = f'<span id="{Path(report).stem}"></span>'
        assert link in (published.home / "quality" / "trends.html").read_text(encoding="utf-8")


def test_an_unknown_encoder_is_refused_by_name(published):
    done = published.cli("build", "--encoder", "all-MegaLM")
    assert done.returncode == 1
    newest = last_json(published.cli("builds", "--json"))["builds"][0]
    assert (newest["verdict"], newest["why"]) == ("failed", "The encoder is unknown: 'all-MegaLM'")
    assert "all-MegaLM" in done.stderr
    assert "viberary-minilm-v1" in done.stderr
    assert "Traceback" not in done.stderr


def test_search_before_the_first_build_says_what_to_do(home_cli):
    done = home_cli("search", "anything")
    assert done.returncode == 1
    assert "Nothing is published yet" in done.stderr
    assert "viberary build" in done.stderr
    assert home_cli("rollback").returncode == 1


def test_a_home_that_cannot_be_written_is_named(tmp_path, published):
    (tmp_path / "file").write_text("")
    done = published.cli("status", VIBERARY_HOME=str(tmp_path / "file" / "home"))
    assert done.returncode == 1
    assert done.stderr.startswith("viberary: VIBERARY_HOME cannot be used\n  expected:")


@pytest.mark.parametrize(
    "arguments",
    [["serch"], ["search"], ["search", "x", "-k", "0"], ["build", "--executor", "moon"], ["serve", "--port", "70000"]],
)
def test_wrong_usage_exits_2(published, arguments):
    assert published.cli(*arguments).returncode == 2


@pytest.mark.parametrize(
    ("executor", "missing"),
    [
        ("ec2", "VIBERARY_EMBEDDING_JOBS (s3://bucket/prefix); either VIBERARY_EC2_IMAGE or VIBERARY_EC2_WHEEL; "),
        ("batch", "VIBERARY_EMBEDDING_JOBS (s3://bucket/prefix); VIBERARY_BATCH_QUEUE; VIBERARY_BATCH_DEFINITION"),
    ],
)
def test_an_executor_whose_settings_are_not_whole_is_refused_at_once(published, executor, missing):
    done = published.cli("build", "--executor", executor)
    assert done.returncode == 1
    assert f"The executor {executor} lacks settings" in done.stderr
    assert missing in done.stderr
    assert "raw_books" not in done.stderr


def test_output_survives_a_terminal_that_lacks_letters(published):
    done = published.cli("search", "sense and sensibility \udcff", "--json", PYTHONIOENCODING="ascii:strict")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["results"]) == 10
    plain = published.cli("search", "dragons", PYTHONIOENCODING="ascii:strict")
    assert (plain.returncode, len(plain.stdout.splitlines())) == (0, 11), plain.stderr


def test_a_command_without_its_extra_says_which(published):
    without = "import sys; sys.modules['dagster'] = None; from viberary_pipeline.cli import main; main(['build'])"
    done = subprocess.run(
        [sys.executable, "-c", without], env=published.cli.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "the module dagster" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_named(published):
    done = published.cli("status", VIBERARY_WEB_PORT="99999")
    assert done.returncode == 1
    assert "VIBERARY_WEB_PORT='99999'" in done.stderr


def test_a_redis_that_is_not_there_is_named_without_its_password(published):
    done = published.cli("search", "x", VIBERARY_REDIS_URL="redis://:secret@127.0.0.1:1/0")
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr
    assert "secret" not in done.stderr


def test_a_port_in_use_is_named(published):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = published.cli("serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "cannot be served at this address" in done.stderr


def test_the_embedded_redis_by_command(home_cli):
    assert home_cli("redis", "status").stdout == "not running\n"
    started = home_cli("redis", "start").stdout
    assert re.match(r"redis://127\.0\.0\.1:\d+\S* \(Redis \d+\.\d+\.\d+, pid \d+\)\n", started)
    assert home_cli("redis", "start").stdout == started
    assert home_cli("redis", "status").stdout.split(" ")[0] == started.split(" ")[0]
    assert home_cli("redis", "stop").stdout == "stopped\n"
    assert home_cli("redis", "stop").stdout == "it was not running\n"


def test_sample_writes_the_three_files(published, tmp_path):
    done = published.cli("sample", str(tmp_path / "out"))
    assert done.returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES.values())
    assert done.stdout.count("bytes)") == 3


def test_status_and_search_leave_the_home_alone(published):
    """With a Redis elsewhere, reading works from a home that is not there and cannot be made."""
    elsewhere = {"VIBERARY_HOME": "/proc/self/home", "VIBERARY_REDIS_URL": published.settings.redis.url}
    shown = published.cli("status", **elsewhere)
    assert shown.returncode == 0, shown.stderr
    assert f"live      {published.build}" in shown.stdout
    asked = published.cli("search", "dragons", **elsewhere)
    assert asked.returncode == 1
    assert f"The query encoder of build {published.build} is not in this VIBERARY_HOME" in asked.stderr
