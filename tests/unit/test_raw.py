"""Which raw files are read, from where, and what is said where they cannot be: over real files on a real disk."""

import gzip
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from viberary_pipeline.artifacts import digest
from viberary_pipeline.assets.raw_files import raw_assets
from viberary_pipeline.errors import RawDataError
from viberary_pipeline.resources import Pipeline, home_lock
from viberary_pipeline.sample.write import write_sample
from viberary_pipeline.settings import load_settings
from viberary_pipeline.sources.file_names import choose, subset_of
from viberary_pipeline.sources.openlibrary.tables import OPENLIBRARY
from viberary_pipeline.sources.raw_files import (
    FILES,
    OPTIONAL,
    TABLES,
    RawInput,
    RawPart,
    check_present,
    find,
    listing_digest,
    source_at,
)
from viberary_pipeline.storage import file_signature

BOOKS = "goodreads_books.json.gz"
PLACES = (
    "point VIBERARY_RAW (or --raw) at a folder or an s3://bucket/prefix with goodreads_books.json.gz, "
    "goodreads_book_authors.json.gz, goodreads_reviews_dedup.json.gz; or at one books file of these; "
    "or at a folder or prefix with a dump of Open Library (ol_dump_works_DATE.txt.gz, ...); "
    "or at one place of each source, with a comma between them"
)


def fill(folder: Path, *names: str) -> Path:
    """Files of one line each, which says their name; gzip where they are named so."""
    folder.mkdir(exist_ok=True)
    for name in names:
        line = json.dumps({"book_id": name}).encode() + b"\n"
        (folder / name).write_bytes(gzip.compress(line, mtime=0) if name.endswith(".gz") else line)
    return folder


def read(table: str, location: Path | str) -> list[str]:
    found = find(table, str(location))
    return [part.name for part in found.parts] if found else []


def told(error: RawDataError) -> dict[str, str]:
    return {"what": error.what, "expected": error.expected, "found": error.found, "todo": error.todo}


@pytest.mark.parametrize(
    ("table", "present", "names", "passed_over"),
    [
        ("books", [BOOKS], [BOOKS], []),
        ("books", ["goodreads_books.json"], ["goodreads_books.json"], []),
        ("books", [BOOKS, "goodreads_books.json"], [BOOKS], ["goodreads_books.json"]),
        ("books", [BOOKS, "goodreads_books_poetry.json.gz"], [BOOKS], ["goodreads_books_poetry.json.gz"]),
        (
            "books",
            [f"goodreads_books.part{n}.json.gz" for n in (10, 2, 1)],
            [f"goodreads_books.part{n}.json.gz" for n in (1, 2, 10)],
            [],
        ),
        (
            "books",
            [f"goodreads_books-0000{n}-of-00002.json" for n in (1, 0)],
            [f"goodreads_books-0000{n}-of-00002.json" for n in (0, 1)],
            [],
        ),
        (
            "books",
            ["goodreads_books_poetry.json.gz", "goodreads_books_poetry.json", "goodreads_books_children.json"],
            ["goodreads_books_children.json", "goodreads_books_poetry.json.gz"],
            ["goodreads_books_poetry.json"],
        ),
        ("books", ["goodreads_books.csv", "goodreads_books.json.gz.part", "goodreads_bookshelves.json.gz"], [], []),
        ("books", ["goodreads_book_works.json.gz", "goodreads_book_authors.json.gz"], [], []),
        ("authors", ["goodreads_book_authors.json.gz"], ["goodreads_book_authors.json.gz"], []),
        (
            "reviews",
            [
                "goodreads_reviews_poetry.json.gz",
                "goodreads_reviews_spoiler.json.gz",
                "goodreads_reviews_spoiler_raw.json",
            ],
            ["goodreads_reviews_poetry.json.gz"],
            [],
        ),
        (
            "reviews",
            ["goodreads_reviews_poetry.json.gz", "goodreads_reviews_dedup.json"],
            ["goodreads_reviews_dedup.json"],
            ["goodreads_reviews_poetry.json.gz"],
        ),
        (
            "reviews",
            ["goodreads_reviews_poetry.json", "goodreads_reviews_dedup-1.json", "goodreads_reviews_dedup-0.json"],
            ["goodreads_reviews_dedup-0.json", "goodreads_reviews_dedup-1.json"],
            ["goodreads_reviews_poetry.json"],
        ),
        (
            "genres",
            ["goodreads_book_genres_initial.json.gz", "goodreads_book_genres.json.gz"],
            ["goodreads_book_genres_initial.json.gz"],
            [],
        ),
        (
            "works",
            ["goodreads_book_works.2.json", "goodreads_book_works.1.json"],
            ["goodreads_book_works.1.json", "goodreads_book_works.2.json"],
            [],
        ),
        ("series", ["goodreads_book_series.json.gz"], ["goodreads_book_series.json.gz"], []),
    ],
)
def test_the_whole_file_wins_else_all_parts_in_natural_order(table, present, names, passed_over):
    chosen = choose(table, present)
    assert (list(chosen.names), list(chosen.passed_over)) == (names, passed_over)


@pytest.mark.parametrize(
    ("table", "name", "subset"),
    [
        ("books", BOOKS, None),
        ("books", "goodreads_books_poetry.json.gz", "poetry"),
        ("books", "goodreads_books_comics_graphic.json", "comics_graphic"),
        ("books", "goodreads_books_poetry-00000-of-00002.json.gz", "poetry"),
        ("books", "goodreads_books-00000-of-00004.json.gz", None),
        ("books", "goodreads_books.part1.json.gz", None),
        ("reviews", "goodreads_reviews_dedup.json.gz", None),
        ("reviews", "goodreads_reviews_poetry.json", "poetry"),
        ("books", "other.json", None),
    ],
)
def test_the_subset_is_in_the_name(table, name, subset):
    assert subset_of(table, name) == subset


def test_a_folder_with_everything(tmp_path):
    names = {
        **FILES,
        "works": "goodreads_book_works.json.gz",
        "genres": "goodreads_book_genres_initial.json.gz",
        "series": "goodreads_book_series.json",
    }
    fill(tmp_path, *names.values())
    for table in (*TABLES, *OPTIONAL):
        path = tmp_path / names[table]
        stat = path.stat()
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        part = RawPart(table, str(path), path.name, stat.st_size, sha256, tuple(file_signature(path)))
        assert find(table, str(tmp_path)) == RawInput(table, (part,), ())


def test_an_optional_table_may_be_absent(tmp_path):
    fill(tmp_path, BOOKS)
    assert [find(table, str(tmp_path)) for table in OPTIONAL] == [None, None, None]


def test_what_is_passed_over_is_noted(tmp_path):
    fill(tmp_path, BOOKS, "goodreads_books.json", "goodreads_books_poetry.json.gz")
    found = find("books", str(tmp_path))
    assert found is not None
    assert found.notes == (
        "goodreads_books.json.gz is read, and not goodreads_books.json, goodreads_books_poetry.json.gz",
    )
    fill(tmp_path, *(f"goodreads_books_{n}.json" for n in range(9)))
    found = find("books", str(tmp_path / BOOKS))
    assert found is not None
    assert found.notes == ()  # this file was asked for


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        (["-00000-of-00003", "-00001-of-00003", "-00002-of-00003"], ""),
        (["-1-of-2", "-2-of-2"], ""),
        (["-00000-of-00004", "-00001-of-00004", "-00003-of-00004"], "goodreads_books-00002-of-00004.json.gz"),
        (["-2-of-3"], "goodreads_books-1-of-3.json.gz, goodreads_books-3-of-3.json.gz"),
    ],
)
def test_a_part_that_the_others_speak_of_may_not_be_missing(tmp_path, present, missing):
    fill(tmp_path, *(f"goodreads_books{part}.json.gz" for part in present))
    if not missing:
        found = find("books", str(tmp_path))
        assert found is not None
        assert len(found.parts) == len(present)
        return
    with pytest.raises(RawDataError, match="Parts of the raw files of books are missing") as error:
        find("books", str(tmp_path))
    assert error.value.found == f"no {missing}"


def test_subsets_in_a_folder_are_read_together_and_one_without_reviews_is_noted(tmp_path):
    fill(tmp_path, *(f"goodreads_{table}_poetry.json.gz" for table in ("books", "reviews")))
    assert read("books", tmp_path) == ["goodreads_books_poetry.json.gz"]
    assert read("reviews", tmp_path) == ["goodreads_reviews_poetry.json.gz"]
    fill(tmp_path, "goodreads_books_children.json")
    assert read("books", tmp_path) == ["goodreads_books_children.json", "goodreads_books_poetry.json.gz"]
    reviews = find("reviews", str(tmp_path))
    assert reviews is not None
    assert reviews.notes == ("there are no reviews for the subset children",)


def test_a_books_file_means_its_subset_and_the_rest_beside_it(tmp_path):
    fill(tmp_path, *FILES.values(), "goodreads_book_works.json.gz")
    fill(tmp_path, "goodreads_books_comics.json", "goodreads_books_comics_graphic.json.gz")
    fill(tmp_path, "goodreads_reviews_comics-0.json.gz", "goodreads_reviews_comics-1.json.gz")
    fill(tmp_path, "goodreads_reviews_comics_graphic.json.gz")
    location = tmp_path / "goodreads_books_comics.json"
    assert read("books", location) == ["goodreads_books_comics.json"]
    assert read("reviews", location) == ["goodreads_reviews_comics-0.json.gz", "goodreads_reviews_comics-1.json.gz"]
    assert read("authors", location) == [FILES["authors"]]
    assert read("works", location) == ["goodreads_book_works.json.gz"]
    assert read("genres", location) == []
    whole = tmp_path / BOOKS
    assert read("books", whole) == [BOOKS]
    assert read("reviews", whole) == [FILES["reviews"]]


def test_places_may_be_relative_or_in_the_home_folder(tmp_path, monkeypatch):
    fill(tmp_path / "raw", BOOKS)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    uris = [find("books", place).parts[0].uri for place in ("raw", "./raw/", "~/raw", f"raw/{BOOKS}")]
    assert uris == [str(tmp_path / "raw" / BOOKS)] * 4


def refused(table: str, location: Path | str) -> dict[str, str]:
    with pytest.raises(RawDataError) as error:
        find(table, str(location))
    return told(error.value)


def test_a_missing_folder_is_told(tmp_path):
    assert refused("books", tmp_path / "nowhere") == {
        "what": "The folder with the raw files is missing",
        "expected": f"a folder at {tmp_path / 'nowhere'} that this user may read",
        "found": "No such file or directory",
        "todo": PLACES,
    }


def looping(folder: Path, name: str) -> None:
    (folder / name).symlink_to(name)


def test_an_entry_that_cannot_be_looked_at_is_passed_over_and_noted(tmp_path):
    fill(tmp_path, *FILES.values())
    looping(tmp_path, "backup")
    (tmp_path / "old.json").symlink_to("nowhere")
    books, authors = find("books", str(tmp_path)), find("authors", str(tmp_path))
    assert books is not None
    assert authors is not None
    assert books.notes == (
        "backup is passed over: Too many levels of symbolic links",
        "old.json is passed over: No such file or directory",
    )
    assert authors.notes == ()


@pytest.mark.parametrize("name", [BOOKS, "goodreads_books_poetry.json.gz"])
def test_a_raw_file_that_cannot_be_looked_at_is_named(tmp_path, name):
    fill(tmp_path, *list(FILES.values())[1:], "goodreads_books_children.json")
    looping(tmp_path, name)
    message = refused("books", tmp_path)
    assert message["what"] == "A raw file of books cannot be opened"
    assert message["expected"] == f"{tmp_path / name} to be a file that this user may read"
    assert message["found"] == "Too many levels of symbolic links"
    assert refused("books", tmp_path / name)["found"] == "Too many levels of symbolic links"
    assert read("authors", tmp_path) == [FILES["authors"]]


def test_a_missing_table_is_told_with_what_is_there(tmp_path):
    books = "goodreads_books.json.gz (or .json), or parts or subsets of it such as goodreads_books_poetry.json.gz"
    expected = {
        "what": "The raw file of books is missing",
        "expected": f"in {tmp_path}: {books}",
        "found": "no file",
        "todo": PLACES,
    }
    assert refused("books", tmp_path) == expected
    fill(tmp_path, *(f"book_{n}.json" for n in range(10)))
    shown = ", ".join(f"book_{n}.json" for n in range(8))
    assert refused("books", tmp_path) == {**expected, "found": f"10 other files: {shown} and 2 more"}
    assert refused("reviews", tmp_path)["expected"] == (
        f"in {tmp_path}: goodreads_reviews_dedup.json.gz (or .json), "
        "or parts or subsets of it such as goodreads_reviews_poetry.json.gz"
    )


def test_what_is_missing_is_told_before_anything_is_read(tmp_path):
    fill(tmp_path, BOOKS, FILES["authors"])
    with pytest.raises(RawDataError) as error:
        check_present(str(tmp_path))
    assert told(error.value) == refused("reviews", tmp_path)
    fill(tmp_path, FILES["reviews"])
    (tmp_path / BOOKS).write_bytes(b"no gzip")
    check_present(str(tmp_path))  # a build reads the files later
    with pytest.raises(RawDataError, match="The folder with the raw files is missing"):
        check_present(str(tmp_path / "nowhere"))
    with pytest.raises(RawDataError, match="not of two different sources"):
        check_present(f"{tmp_path},{tmp_path}")


@pytest.mark.parametrize("location", ["{}", "{},", ",{}", " {} , "])
def test_a_comma_too_many_is_passed_over(tmp_path, location):
    fill(tmp_path, *FILES.values())
    location = location.format(tmp_path)
    check_present(location)
    assert read("books", location) == [BOOKS]
    assert source_at(location) == "ucsd"
    assert listing_digest(location) == listing_digest(str(tmp_path))


def test_a_comma_alone_is_no_place():
    for look in (check_present, source_at, listing_digest):
        with pytest.raises(RawDataError, match="The folder with the raw files is missing"):
            look(",")


def test_a_subset_without_reviews_is_told(tmp_path):
    fill(tmp_path, "goodreads_books_poetry.json.gz", "goodreads_reviews_children.json.gz")
    assert refused("reviews", tmp_path / "goodreads_books_poetry.json.gz") == {
        "what": "The raw file of reviews is missing",
        "expected": f"in {tmp_path}: goodreads_reviews_poetry.json.gz or goodreads_reviews_dedup_poetry.json.gz "
        "(or .json)",
        "found": "2 other files: goodreads_books_poetry.json.gz, goodreads_reviews_children.json.gz",
        "todo": PLACES,
    }


@pytest.mark.parametrize("table", ["books", "reviews", "works"])
def test_a_file_that_is_missing_or_of_another_kind_is_told_whatever_is_looked_for(tmp_path, table):
    fill(tmp_path, *FILES.values(), "notes.txt")
    books = "goodreads_books.json.gz (or .json), or parts or subsets of it such as goodreads_books_poetry.json.gz"
    assert refused(table, tmp_path / "goodreads_books_poetry.json.gz") == {
        "what": "The books file is missing",
        "expected": f"in {tmp_path}: {books}",
        "found": "goodreads_book_authors.json.gz, goodreads_books.json.gz, goodreads_reviews_dedup.json.gz, notes.txt",
        "todo": PLACES,
    }
    for name in (FILES["reviews"], "notes.txt"):
        assert refused(table, tmp_path / name) == {
            "what": "The raw file that was given is not a books file",
            "expected": f"in {tmp_path}: {books}",
            "found": name,
            "todo": PLACES,
        }


def test_another_kind_of_place_is_told():
    assert refused("books", "gs://bucket/raw") == {
        "what": "The raw files are in a place that this version cannot read",
        "expected": "a folder, s3://bucket/prefix, or a books file in either",
        "found": "gs://bucket/raw",
        "todo": PLACES,
    }


def test_a_file_that_is_no_gzip_or_empty_is_told(tmp_path):
    path = tmp_path / BOOKS
    path.write_text('{"book_id": "1"}')
    assert refused("books", tmp_path) == {
        "what": "A raw file is not gzip",
        "expected": f"{path} to start with the bytes 1f 8b",
        "found": "7b 22",
        "todo": "download the file again, or take .gz off its name if it is plain JSON",
    }
    path.write_bytes(b"")
    assert refused("books", tmp_path) == {
        "what": "A raw file is empty",
        "expected": f"{path} to hold lines of JSON",
        "found": "0 bytes",
        "todo": "download it again",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(tmp_path):
    fill(tmp_path, BOOKS)
    (tmp_path / BOOKS).chmod(0)
    message = refused("books", tmp_path)
    assert message["what"] == "A raw file of books cannot be read"
    assert message["found"] == f"[Errno 13] Permission denied: '{tmp_path / BOOKS}'"


def test_a_change_after_the_fingerprint_is_told(tmp_path):
    fill(tmp_path, BOOKS)
    path = tmp_path / BOOKS
    found = find("books", str(tmp_path))
    assert found is not None
    again = RawInput.from_json(json.loads(json.dumps({**found.to_json(), "absent": False})))
    assert again == found
    again.check_unchanged()
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(RawDataError) as error:
        again.check_unchanged()
    assert told(error.value) == {
        "what": "A raw file of books changed after it was fingerprinted",
        "expected": f"{path} with {size:,} bytes, as raw_books saw it",
        "found": f"{2 * size:,} bytes, changed since",
        "todo": "materialize raw_books again, or run `viberary build`",
    }
    path.unlink()
    with pytest.raises(RawDataError) as error:
        again.check_unchanged()
    assert told(error.value) == {
        "what": "A raw file of books is gone",
        "expected": str(path),
        "found": f"[Errno 2] No such file or directory: '{path}'",
        "todo": PLACES,
    }


def test_names_and_contents_in_order_determine_the_digest(tmp_path):
    parts = ("goodreads_books-0.json", "goodreads_books-1.json")
    here = find("books", str(fill(tmp_path / "here", *parts)))
    there = find("books", str(fill(tmp_path / "there", *parts)))
    assert here is not None
    assert there is not None
    assert here.parts != there.parts
    assert here.digest == there.digest
    assert here.digest == digest([[part.name, part.version] for part in here.parts])
    assert here.bytes == sum((tmp_path / "here" / name).stat().st_size for name in parts)
    (tmp_path / "there" / parts[1]).write_text("other\n")
    changed = find("books", str(tmp_path / "there"))
    assert changed is not None
    assert changed.digest != here.digest
    assert RawInput("books", tuple(reversed(here.parts))).digest != here.digest


def test_what_is_known_is_not_read_again(tmp_path):
    fill(tmp_path, "goodreads_books-0.json", "goodreads_books-1.json")
    here = find("books", str(tmp_path))
    assert here is not None
    # Only a file that is not read keeps a version that is not its digest.
    known = RawInput("books", tuple(replace(part, version="of the file known") for part in here.parts))
    assert find("books", str(tmp_path), known=RawInput.from_json(json.loads(json.dumps(known.to_json())))) == known
    rewritten = Path(known.parts[1].uri)
    before = rewritten.stat()
    rewritten.write_bytes(rewritten.read_bytes().replace(b"book_id", b"BOOK_ID"))
    os.utime(rewritten, ns=(before.st_atime_ns, before.st_mtime_ns))  # as `rsync --times` and `cp -p` do
    found = find("books", str(tmp_path), known=known)
    assert found is not None
    assert found.parts[0] == known.parts[0]
    assert found.parts[1].version == hashlib.sha256(rewritten.read_bytes()).hexdigest()


def opened(home: Path, raw: str | None) -> Pipeline:
    return Pipeline(load_settings(home=home, raw=raw))


def materialized(pipeline: Pipeline) -> dict[str, dict[str, object]]:
    """{asset: {name of its metadata: value}} of the raw assets."""
    lock = home_lock(pipeline.settings)
    result = dg.materialize(raw_assets, resources={"pipeline": pipeline, "home_lock": lock})
    assert result.success
    return {
        event.step_key: {
            name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
    }


def test_the_raw_assets_keep_what_was_found_and_an_absent_table_is_no_error(tmp_path):
    raw = fill(tmp_path / "raw", *FILES.values(), "goodreads_books.json", "goodreads_book_works.json")
    pipeline = opened(tmp_path / "home", str(raw))
    shown = materialized(pipeline)
    assert {name: of["absent"] for name, of in shown.items()} == {
        "raw_books": False,
        "raw_authors": False,
        "raw_reviews": False,
        "raw_works": False,
        "raw_genres": True,
        "raw_series": True,
        **{f"raw_{table.name}": True for table in OPENLIBRARY},
    }
    books = find("books", str(raw))
    assert books is not None
    noted = pipeline.store.current("raw_books")
    assert noted.facts == {
        **json.loads(json.dumps(books.to_json())),
        "absent": False,
        "bytes": books.bytes,
        "source": "ucsd",
    }
    assert noted.key == books.digest
    assert shown["raw_books"]["notes"] == "- goodreads_books.json.gz is read, and not goodreads_books.json"
    assert [record.data for record in shown["raw_books"]["files"].records] == [
        {"file": str(raw / BOOKS), "bytes": books.bytes, "version": books.parts[0].version}
    ]
    nothing = {"table": "genres", "parts": [], "notes": [], "absent": True, "bytes": 0, "source": "ucsd"}
    assert pipeline.store.current("raw_genres").facts == nothing
    assert RawInput.from_json(nothing) == RawInput("genres", ())

    assert {name: of["key"] for name, of in materialized(pipeline).items()} == {
        name: of["key"] for name, of in shown.items()
    }
    fill(raw, "goodreads_book_genres_initial.json")
    again = materialized(pipeline)
    assert [name for name in shown if again[name]["key"] != shown[name]["key"]] == ["raw_genres"]


def test_the_default_is_the_bundled_sample(tmp_path):
    pipeline = opened(tmp_path / "home", None)
    assert pipeline.raw_location == str(tmp_path / "home" / "sample")
    write_sample(tmp_path / "sample")
    for table in TABLES:
        found, expected = find(table, pipeline.raw_location), find(table, str(tmp_path / "sample"))
        assert found is not None
        assert expected is not None
        assert (found.digest, found.notes) == (expected.digest, ())


def test_the_dirt_of_the_sample_becomes_no_document_whatever_else_is_left_out(tmp_path):
    dirt = opened(tmp_path / "home", None).rules.left_out
    assert {"59990003", "b999000004"} <= set(dirt)
    assert opened(tmp_path / "given", str(tmp_path)).rules.left_out == ()
    asked = load_settings(home=tmp_path / "home", documents_left_out=("7",))
    assert Pipeline(asked).rules.left_out == ("7", *dirt)
