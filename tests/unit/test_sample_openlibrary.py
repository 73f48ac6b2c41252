"""The bundled sample as Open Library's dumps: their columns, their many forms, and what UCSD's records say in them."""

import gzip
import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from viberary_pipeline.errors import SettingsError
from viberary_pipeline.sample import records
from viberary_pipeline.sample.openlibrary import FILES, clean_lines, dirty_lines
from viberary_pipeline.sample.works import Work, load_works
from viberary_pipeline.sample.write import Written, load_dirt, write_sample

Lines = dict[str, list[str]]
KEY = {
    "works": re.compile(r"/works/OL9[0-9]+W"),
    "editions": re.compile(r"/books/OL9[0-9]+M"),
    "authors": re.compile(r"/authors/OL9[0-9]+A"),
    "redirects": re.compile(r"/(works|authors)/OL[78][0-9]+[WA]"),
}


@pytest.fixture(scope="module")
def works() -> list[Work]:
    return load_works()


@pytest.fixture(scope="module")
def clean(works: list[Work]) -> Lines:
    return clean_lines(works)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Written]:
    return write_sample(tmp_path_factory.mktemp("sample"), "openlibrary")


def by_key(lines: list[str]) -> dict[str, dict[str, Any]]:
    return {(record := json.loads(line.split("\t")[4]))["key"]: record for line in lines}


def test_the_files_are_named_as_open_library_names_its_dumps(written: dict[str, Written]) -> None:
    assert sorted(path.name for path in written["works"].path.parent.iterdir()) == [
        "ol_dump_authors_2026-10-31.txt.gz",
        "ol_dump_editions_2026-10-31.txt.gz",
        "ol_dump_ratings_2026-10-31.txt.gz",
        "ol_dump_reading-log_2026-10-31.txt.gz",
        "ol_dump_redirects_2026-10-31.txt.gz",
        "ol_dump_works_2026-10-31.txt.gz",
    ]


def test_clean_and_dirty_lines_are_in_the_files(written: dict[str, Written], clean: Lines) -> None:
    dirt = load_dirt("dirt_openlibrary")
    for table, file in written.items():
        lines = gzip.decompress(file.path.read_bytes()).decode("ascii").splitlines()
        assert lines == clean[table] + dirty_lines(table, dirt[table])
        assert (file.lines, file.dirty) == (len(lines), len(dirt[table]))


def test_the_same_bytes_are_written_every_time(written: dict[str, Written], tmp_path: Path) -> None:
    again = write_sample(tmp_path, "openlibrary")
    assert {table: file.path.read_bytes() for table, file in again.items()} == {
        table: file.path.read_bytes() for table, file in written.items()
    }


def test_somebodys_download_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / FILES["ratings"]).write_bytes(gzip.compress(b""))
    with pytest.raises(SettingsError, match="did not write") as error:
        write_sample(tmp_path, "openlibrary")
    assert FILES["ratings"] in error.value.found
    assert "goodreads" not in error.value.expected


@pytest.mark.parametrize("table", KEY)
def test_a_record_has_five_columns_which_its_json_repeats(clean: Lines, table: str) -> None:
    for line in clean[table]:
        type_, key, revision, modified, text = line.split("\t")
        record = json.loads(text)
        assert KEY[table].fullmatch(key)
        assert re.fullmatch(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]{6})?", modified)
        assert record["type"] == {"key": type_}
        assert (record["key"], record["revision"], record["latest_revision"]) == (key, int(revision), int(revision))
        assert record["last_modified"] == {"type": "/type/datetime", "value": modified}
        assert record["created"]["value"] < modified


def test_the_dumps_say_what_ucsds_records_say(works: list[Work], clean: Lines) -> None:
    """A reader of all forms gets back every book: its title, people, language, year, numbers and description."""
    moved = {record["key"]: record["location"] for record in by_key(clean["redirects"]).values()}
    of_dump = by_key(clean["works"])
    names = {key: author["name"] for key, author in by_key(clean["authors"]).items()}

    def now(key: str) -> str:
        key = key.replace("/a/", "/authors/")
        return now(moved[key]) if key in moved else key

    def text(value: Any) -> str:
        return value["value"] if isinstance(value, dict) else value or ""

    def title(record: dict[str, Any]) -> str:
        return ": ".join(filter(None, (record["title"], record.get("subtitle"))))

    def year(text: str) -> str:
        found = re.search(r"[0-9]{4}", text)
        return found[0] if found else ""

    seen = {}
    for key, edition in by_key(clean["editions"]).items():
        work = of_dump[now(edition["works"][0]["key"])]
        people = [(names[now(author["key"])], "") for author in edition["authors"]]
        people += [(helper["name"], helper["role"]) for helper in edition.get("contributors", [])]
        seen[key] = {
            "work": now(work["key"]),
            "title": title(edition),
            "people": people,
            "language": "".join(language["key"].rpartition("/")[2] for language in edition.get("languages", [])),
            "year": year(edition.get("publish_date", "")),
            "pages": str(edition.get("number_of_pages", "")),
            "isbns": edition.get("isbn_10", []) + edition.get("isbn_13", []),
            "publisher": "".join(edition.get("publishers", [])),
            "description": text(edition.get("description")) or text(work["description"]),
        }
    editions = [(work, edition) for work in works for edition in work.editions]
    expected = {}
    for (work, edition), book in zip(editions, records.books(works, [""]), strict=True):
        people = [(credit.name, credit.role) for credit in edition.authors]
        authors = [pair for pair in people if not pair[1]] or people[:1]
        expected[f"/books/OL{book['book_id']}M"] = {
            "work": f"/works/OL{900_000_000 + work.id}W",
            "title": edition.title,
            "people": [(name, "") for name, _ in authors] + [pair for pair in people if pair not in authors],
            "language": {"en-US": "eng", "en-GB": "eng", "nl": "dut"}.get(edition.language, edition.language),
            "year": book["publication_year"],
            "pages": book["num_pages"],
            "isbns": [book["isbn"], book["isbn13"]] if book["isbn"] else [],
            "publisher": book["publisher"],
            "description": edition.description or work.editions[0].description,
        }
    assert seen == expected

    for work in works:
        record = of_dump[f"/works/OL{900_000_000 + work.id}W"]
        kinds = [kind[0].upper() + kind[1:] for kind in work.kinds]
        assert [subject for subject in record["subjects"] if subject in kinds] == kinds
        years = [e["year"] for e in seen.values() if e["work"] == record["key"] and e["year"]]
        assert year(record.get("first_publish_date", min(years))) == min(years)


def test_every_form_of_an_authors_key_is_there(clean: Lines) -> None:
    forms: Counter[str] = Counter()
    for work in by_key(clean["works"]).values():
        for author in work.get("authors", ["missing"]):
            forms[re.sub(r"OL[0-9]+A", "OLnA", json.dumps(author))] += 1
    assert set(forms) == {
        '{"author": {"key": "/authors/OLnA"}, "type": {"key": "/type/author_role"}}',
        '{"type": {"key": "/type/author_role"}, "author": {"key": "/authors/OLnA"}}',
        '{"type": "/type/author_role", "author": {"key": "/authors/OLnA"}}',
        '{"author": {"key": "/a/OLnA"}}',
        '{"author": "/authors/OLnA"}',
        '{"key": "/authors/OLnA"}',
        '"/authors/OLnA"',
        '"missing"',
    }


def test_readers_rate_each_work_as_ucsds_readers_do(works: list[Work], clean: Lines) -> None:
    moved = {record["key"]: record["location"] for record in by_key(clean["redirects"]).values()}
    stars, readers = defaultdict(list), Counter()
    for table in ("ratings", "reading-log"):
        for line in clean[table]:
            key, edition, value, day = line.split("\t")
            assert re.fullmatch(r"(/books/OL9[0-9]+M)?\t20[0-9]{2}-[0-9]{2}-[0-9]{2}", f"{edition}\t{day}")
            while key in moved:
                key = moved[key]
            if table == "ratings":
                stars[key].append(int(value))
            else:
                assert value in ("Want to Read", "Currently Reading", "Already Read")
                readers[key] += 1
    for work in works:
        key = f"/works/OL{900_000_000 + work.id}W"
        assert sum(stars[key]) == round(work.rating * len(stars[key]))
        assert readers[key] == 3 * len(stars[key])


def test_every_dirty_line_says_what_it_is_and_hangs_on_the_dirt() -> None:
    for table, items in load_dirt("dirt_openlibrary").items():
        for item, line in zip(items, dirty_lines(table, items), strict=True):
            assert item["kind"]
            assert "[sample dirt]" in line or "OL999" in line or line.startswith("\t\t"), item["kind"]
