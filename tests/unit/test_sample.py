"""The bundled sample: its texts, the exact shape of its files, and what the pipeline makes of them."""

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from viberary_pipeline.documents.assemble import build_documents
from viberary_pipeline.documents.recipes import RECIPES
from viberary_pipeline.documents.rules import DocumentRules
from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.errors import SettingsError, ViberaryError
from viberary_pipeline.sample import BundledSample, records
from viberary_pipeline.sample.works import Work, load_works
from viberary_pipeline.sample.write import Written, clean_records, dirty_lines, load_dirt, write_sample
from viberary_pipeline.sources.ingest import ingest
from viberary_pipeline.sources.raw_files import FILES, find
from viberary_pipeline.sources.table_specs import TABLES

WORKS, EDITIONS, REVIEWS, AUTHORS = 262, 472, 467, 376

# The fields of UCSD's files in their order. A list is a list, int an integer, everything else a string.
BOOK_FIELDS = (
    "isbn text_reviews_count series country_code language_code popular_shelves asin is_ebook average_rating "
    "kindle_asin similar_books description format link authors publisher num_pages publication_day isbn13 "
    "publication_month edition_information publication_year url image_url book_id ratings_count work_id "
    "title title_without_series"
)
BOOK_LISTS = {"series", "popular_shelves", "similar_books", "authors"}
AUTHOR_FIELDS = "average_rating author_id text_reviews_count name ratings_count"
REVIEW_FIELDS = (
    "user_id book_id review_id rating review_text date_added date_updated read_at started_at n_votes n_comments"
)
REVIEW_INTEGERS = {"rating", "n_votes", "n_comments"}

Tables = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def works() -> list[Work]:
    return load_works()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Written]:
    return write_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def tables(written: dict[str, Written]) -> Tables:
    """The records of each file; the malformed lines left out."""
    parsed: Tables = {}
    for table, file in written.items():
        parsed[table] = []
        for line in gzip.decompress(file.path.read_bytes()).decode().splitlines():
            try:
                parsed[table].append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return parsed


@pytest.fixture(scope="module")
def clean(works: list[Work]) -> Tables:
    return clean_records(works, load_dirt()["private_shelves"])


def length(text: str) -> float:
    """Words; in Japanese, which has no spaces, two characters and a half count as one."""
    return len(text) / 2.5 if re.search(r"[\u3040-\u30ff]", text) else len(text.split())


# ---- the works as texts


def test_the_catalogue_has_as_many_works_editions_and_reviews_as_it_should(works: list[Work]) -> None:
    assert len(works) == WORKS
    assert sum(len(work.editions) for work in works) == EDITIONS
    assert sum(len(work.reviews) for work in works) == REVIEWS
    assert Counter(len(work.reviews) for work in works) == {0: 24, 1: 44, 2: 161, 3: 31, 4: 2}


def test_every_description_has_40_to_90_words_and_the_lengths_spread(works: list[Work]) -> None:
    lengths = {work.id: length(work.editions[0].description) for work in works}
    assert {id_: words for id_, words in lengths.items() if not 40 <= words <= 90} == {}
    assert sum(words < 58 for words in lengths.values()) >= 20
    assert sum(words > 76 for words in lengths.values()) >= 15


def test_reviews_and_other_descriptions_are_neither_a_word_nor_an_essay(works: list[Work]) -> None:
    texts = [review.text for work in works for review in work.reviews]
    texts += [edition.description for work in works for edition in work.editions[1:] if edition.description]
    assert [text for text in texts if not 15 <= length(text) <= 70] == []


def test_every_text_is_clean_and_none_is_there_twice(works: list[Work]) -> None:
    texts = [review.text for work in works for review in work.reviews]
    texts += [edition.description for work in works for edition in work.editions if edition.description]
    assert [text for text, times in Counter(texts).items() if times > 1] == []
    bad = re.compile(r"[\n\t<>]|  |^\s|\s$|&\w+;|https?:|[\u200b\ufeff\u00ad\u0000-\u001f]")
    assert [text for text in texts if bad.search(text)] == []


def test_no_two_descriptions_begin_alike(works: list[Work]) -> None:
    starts = Counter(" ".join(work.editions[0].description.split()[:3]) for work in works)
    assert [start for start, times in starts.items() if times > 1] == []


def test_no_work_is_there_twice(works: list[Work]) -> None:
    """Neither under one of its own titles nor, translated, under another's."""
    owners: dict[tuple[str, str], set[int]] = {}
    for work in works:
        for edition in work.editions:
            title = edition.title.lower().split(":")[0]
            title = re.sub(r"[\W_]|^(the|a|an|le|la|il|el|der|die|das)\b", "", title)
            owners.setdefault((title, work.editions[0].authors[0].name), set()).add(work.id)
    assert {key: ids for key, ids in owners.items() if len(ids) > 1} == {}


def test_there_are_many_kinds_and_ten_works_in_other_languages(works: list[Work]) -> None:
    assert len({work.kinds[0] for work in works}) >= 25
    assert all(2 <= len(work.kinds) == len(set(work.kinds)) <= 5 for work in works)
    foreign = {work.id: work.editions[0].language for work in works if work.id > 6000}
    assert sorted(foreign.values()) == ["fre", "ger", "ita", "jpn", "nl", "pol", "por", "rus", "spa", "swe"]
    assert len(foreign) == 10


def test_numbers_are_plausible(works: list[Work]) -> None:
    for work in works:
        assert 3 <= work.rating <= 5, work
        assert all(0 <= review.rating <= 5 and review.votes >= 0 for review in work.reviews), work
        for edition in work.editions:
            assert 1700 <= (edition.year or 0) <= 2025, edition
            assert 10 <= (edition.pages or 0) <= 2000, edition
            assert edition.ratings_count >= edition.text_reviews_count > 0, edition


# ---- the exact shape


def test_every_record_has_exactly_ucsds_fields_and_types(tables: Tables) -> None:
    for book in tables["books"]:
        assert " ".join(book) == BOOK_FIELDS
        assert {name for name, value in book.items() if isinstance(value, list)} == BOOK_LISTS
        assert all(isinstance(book[name], str) for name in book.keys() - BOOK_LISTS), book
        for link in book["authors"]:
            assert list(link) == ["author_id", "role"]
        for shelf in book["popular_shelves"]:
            assert list(shelf) == ["count", "name"]
        nested = [value for entry in book["authors"] + book["popular_shelves"] for value in entry.values()]
        assert all(isinstance(value, str) for value in nested + book["series"] + book["similar_books"]), book
    for author in tables["authors"]:
        assert " ".join(author) == AUTHOR_FIELDS
        assert all(isinstance(value, str) for value in author.values()), author
    for review in tables["reviews"]:
        assert " ".join(review) == REVIEW_FIELDS
        for name, value in review.items():
            assert type(value) is (int if name in REVIEW_INTEGERS else str), (name, review)


def test_files_are_json_lines_in_ascii(written: dict[str, Written]) -> None:
    for table, file in written.items():
        content = gzip.decompress(file.path.read_bytes())
        assert file.path.name == FILES[table]
        assert content.isascii()
        assert content.endswith(b"\n")
        assert content.count(b"\n") == file.lines


def test_a_work_as_records(works: list[Work], clean: Tables) -> None:
    """One translated edition, whole; the values that SHA-256 chooses are those of the first day, for good."""
    (edition,) = [book for book in clean["books"] if book["book_id"] == "900100101"]
    address = "https://www.goodreads.com/book/show/900100101"
    assert edition == {
        "isbn": "0001001019",
        "text_reviews_count": "260",
        "series": ["800049"],
        "country_code": "US",
        "language_code": "fre",
        "popular_shelves": edition["popular_shelves"],
        "asin": "",
        "is_ebook": "false",
        "average_rating": "4.16",
        "kindle_asin": "",
        "similar_books": edition["similar_books"],
        "description": works[0].editions[1].description,
        "format": "Broché",
        "link": address,
        "authors": [
            {"author_id": "43816356", "role": ""},
            {"author_id": "38667423", "role": "Translator"},
        ],
        "publisher": "Pygmalion",
        "num_pages": "",
        "publication_day": "4",
        "isbn13": "9780001001015",
        "publication_month": "10",
        "edition_information": "",
        "publication_year": "1998",
        "url": address,
        "image_url": records.NO_COVER,
        "book_id": "900100101",
        "ratings_count": "4100",
        "work_id": "50001001",
        "title": "L'Apprenti assassin",
        "title_without_series": "L'Apprenti assassin",
    }
    (author,) = [author for author in clean["authors"] if author["name"] == "Robin Hobb"]
    assert author == {
        "average_rating": "4.17",
        "author_id": "43816356",
        "text_reviews_count": str(14200 + 260 + 140),
        "name": "Robin Hobb",
        "ratings_count": str(312000 + 4100 + 1900),
    }


def test_ids_are_unique_and_a_new_work_changes_nobody_elses(works: list[Work], clean: Tables) -> None:
    keys = {"books": "book_id", "authors": "author_id", "reviews": "review_id"}
    ids = {table: [record[key] for record in clean[table]] for table, key in keys.items()}
    assert {table: len(set(values)) for table, values in ids.items()} == {
        "books": EDITIONS,
        "authors": AUTHORS,
        "reviews": REVIEWS,
    }
    others = [work for work in works if work.id != 3035]
    without = clean_records(others, load_dirt()["private_shelves"])
    for table, key in keys.items():
        assert {record[key] for record in without[table]} < set(ids[table])
    assert without["reviews"] == [review for review in clean["reviews"] if not review["book_id"].startswith("9003035")]


def test_two_works_with_one_id_are_refused(works: list[Work]) -> None:
    with pytest.raises(ValueError, match="two books of the sample have the id 900100100"):
        clean_records([*works, works[0]], ["19709"])


def test_isbns_have_right_check_digits(clean: Tables) -> None:
    assert (records.isbn13(30640615), records.isbn10(30640615)) == ("9780306406157", "0306406152")  # ISO 2108
    assert records.isbn10(80442957) == "080442957X"
    for book in clean["books"]:
        if book["isbn13"]:
            assert sum(int(digit) * (1, 3)[place % 2] for place, digit in enumerate(book["isbn13"])) % 10 == 0
            values = [10 if digit == "X" else int(digit) for digit in book["isbn"]]
            assert sum(value * (10 - place) for place, value in enumerate(values)) % 11 == 0


def test_fields_are_empty_about_as_often_as_in_the_real_files(clean: Tables) -> None:
    later = [book for book in clean["books"] if not book["book_id"].endswith("00")]
    for field, share in records.EMPTY_SHARE.items():
        among = later if field == "publication_year" else clean["books"]
        assert sum(book[field] == "" for book in among) / len(among) == pytest.approx(share, abs=0.06), field
    assert all(book["publication_year"] for book in clean["books"] if book["book_id"].endswith("00"))
    assert sum(book["language_code"] == "" for book in clean["books"]) == 16


def test_dates_look_like_ucsds_and_lie_in_order(clean: Tables) -> None:
    shape = "%a %b %d %H:%M:%S %z %Y"
    names = ("started_at", "read_at", "date_added", "date_updated")
    for review in clean["reviews"]:
        dates = [review[name] for name in names if review[name]]
        moments = [datetime.strptime(date, shape) for date in dates]
        assert moments == sorted(moments), review
        # strptime does not compare the weekday with the date.
        assert [moment.strftime(shape) for moment in moments] == dates
        assert moments[-1].year < 2026


def test_shelves_have_to_read_on_top_the_kinds_and_private_junk(works: list[Work], clean: Tables) -> None:
    private = set(load_dirt()["private_shelves"])
    kinds = {records.work_id(work): work.kinds for work in works}
    for book in clean["books"]:
        names = [shelf["name"] for shelf in book["popular_shelves"]]
        counts = [int(shelf["count"]) for shelf in book["popular_shelves"]]
        assert names[0] == "to-read"
        assert counts == sorted(counts, reverse=True)
        assert len(names) == len(set(names))
        assert private & set(names)
        assert len(set(names) - private) == len(kinds[book["work_id"]]) + 3
    first = {shelf["name"] for shelf in clean["books"][0]["popular_shelves"]} - private
    assert first == {
        *("to-read", "currently-reading", "favorites"),
        *("epic-fantasy", "coming-of-age", "court-intrigue", "assassins"),
    }


def test_similar_books_share_kinds_and_are_somebody_elses(works: list[Work], clean: Tables) -> None:
    by_book = {records.book_id(work, 0): work for work in works}
    by_work = {records.work_id(work): work for work in works}
    for book in clean["books"]:
        own = by_work[book["work_id"]]
        shared = [len(set(own.kinds) & set(by_book[other].kinds)) for other in book["similar_books"]]
        assert own.id not in {by_book[other].id for other in book["similar_books"]}
        assert shared == sorted(shared, reverse=True)
        assert 0 not in shared
        assert len(shared) <= 8
    assert sum(bool(book["similar_books"]) for book in clean["books"]) > 400


def test_a_later_edition_takes_title_and_authors_but_no_translator_from_the_first(works: list[Work]) -> None:
    night_watch = next(work for work in works if work.id == 1008)
    assert [credit.role for credit in night_watch.editions[0].authors] == ["", "Translator"]
    circe = next(work for work in works if work.id == 1021)
    assert circe.editions[2].title == "Circe"
    assert [credit.name for credit in circe.editions[2].authors] == ["Madeline Miller"]
    krabat = next(work for work in works if work.id == 1045)
    assert [credit.name for credit in krabat.editions[2].authors] == ["Otfried Preußler"]


def test_one_voice_is_one_user(works: list[Work], clean: Tables) -> None:
    users = Counter(review["user_id"] for review in clean["reviews"])
    voices = Counter(review.reviewer for work in works for review in work.reviews if review.reviewer)
    assert sorted(times for times in users.values() if times > 1) == sorted(voices.values())
    assert voices["night nurse"] == 11
    assert all(re.fullmatch("[0-9a-f]{32}", user) for user in users)


def test_reviews_are_mostly_of_the_first_edition(clean: Tables) -> None:
    first = sum(review["book_id"].endswith("00") for review in clean["reviews"])
    assert 0.75 * REVIEWS < first < 0.95 * REVIEWS


# ---- writing the files


def test_the_bytes_are_the_same_every_time(written: dict[str, Written], tmp_path: Path) -> None:
    def digests(folder: Path) -> dict[str, str]:
        return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES.values()}

    expected = digests(written["books"].path.parent)
    program = (
        "import pathlib, sys; from viberary_pipeline.sample.write import write_sample;"
        "write_sample(pathlib.Path(sys.argv[1]))"
    )
    for seed in ("1", "2"):
        folder = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo"}
        subprocess.run([sys.executable, "-c", program, str(folder)], check=True, env=environment, timeout=120)
        assert digests(folder) == expected
        assert sorted(path.name for path in folder.iterdir()) == sorted(FILES.values())


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_what_is_right_stays_and_what_is_missing_comes_back(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    write_sample(tmp_path)
    before = contents(tmp_path)
    write_sample(tmp_path)
    assert contents(tmp_path) == before
    (tmp_path / FILES["books"]).unlink()
    write_sample(tmp_path)
    after = contents(tmp_path)
    assert after.pop(FILES["books"])[0] == before.pop(FILES["books"])[0]
    assert after == before


def test_another_version_of_the_sample_is_replaced(tmp_path: Path) -> None:
    write_sample(tmp_path)
    expected = (tmp_path / FILES["books"]).read_bytes()
    # Cut off, it still says whose it is.
    (tmp_path / FILES["books"]).write_bytes(expected[:1000])
    write_sample(tmp_path)
    assert (tmp_path / FILES["books"]).read_bytes() == expected


@pytest.mark.parametrize("size", [9, 3 << 20])
@pytest.mark.parametrize("beside_a_sample", [False, True])
def test_a_file_of_somebodys_own_is_never_overwritten(tmp_path: Path, size: int, beside_a_sample: bool) -> None:
    if beside_a_sample:
        write_sample(tmp_path)
    (tmp_path / FILES["reviews"]).write_bytes(b"m" * size)
    before = contents(tmp_path)
    with pytest.raises(SettingsError, match="would overwrite files that it did not write") as error:
        write_sample(tmp_path)
    assert error.value.found == f"{tmp_path / FILES['reviews']} ({size:,} bytes)"
    assert contents(tmp_path) == before


def test_a_folder_that_cannot_be_made_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ViberaryError, match="The sample cannot be written") as error:
        write_sample(tmp_path / "file" / "sample")
    assert str(tmp_path / "file" / "sample") in error.value.expected
    assert "NotADirectoryError" in error.value.found


def test_a_failure_leaves_no_temporary_file_behind(tmp_path: Path) -> None:
    (tmp_path / FILES["reviews"] / "in the way").mkdir(parents=True)
    with pytest.raises(SettingsError, match="IsADirectoryError"):
        write_sample(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= set(FILES.values())


# ---- the dirt


def test_every_dirty_line_says_what_it_is(written: dict[str, Written]) -> None:
    dirt = load_dirt()
    assert {table: file.dirty for table, file in written.items()} == {table: len(dirt[table]) for table in FILES}
    for table in FILES:
        for item, line in zip(dirt[table], dirty_lines(table, dirt[table]), strict=True):
            assert item["kind"]
            assert "[sample dirt]" in line or '"dddddddd' in line or '"999' in line, item["kind"]


def test_a_misspelled_field_of_the_dirt_is_refused() -> None:
    with pytest.raises(KeyError, match="no such field: titel"):
        dirty_lines("books", [{"kind": "?", "fields": {"book_id": "999000000", "titel": "x"}}])


def test_the_dirt_of_the_real_files_is_there(tables: Tables, written: dict[str, Written]) -> None:
    books, reviews = tables["books"], tables["reviews"]
    authors = {author["author_id"] for author in tables["authors"]}
    ids = Counter(book["book_id"] for book in books)

    def books_with(**fields: str) -> int:
        return sum(all(book[name] == value for name, value in fields.items()) for book in books)

    def reviews_with(pattern: str) -> int:
        return sum(re.search(pattern, review["review_text"]) is not None for review in reviews)

    assert {table: written[table].lines - len(tables[table]) for table in FILES} == {
        "books": 2,  # malformed
        "authors": 0,
        "reviews": 1,
    }
    assert books_with(title="") == 1
    assert books_with(book_id="") == 1
    assert [id_ for id_, times in ids.items() if times > 1] == ["999000003"]
    assert books_with(work_id="", link="", ratings_count="", average_rating="", description="") == 1
    assert books_with(publication_year="0") == 1
    out_of_range = {"publication_year": "65535", "publication_month": "25", "publication_day": "127"}
    assert books_with(**out_of_range, num_pages="945077") == 1
    assert books_with(language_code="enm") == 1
    assert [link for book in books for link in book["authors"] if link["author_id"] not in authors] == [
        {"author_id": "99999999", "role": ""}
    ]
    marked_up = [book["description"] for book in books if "<br />" in book["description"]]
    assert len(marked_up) == 1
    assert all(part in marked_up[0] for part in ("<i>", "&amp;", "&eacute;", "https://www.example.com"))
    assert sum("\u200b" in book["title"] and "\u0007" in book["title"] for book in books) == 1
    shelves = Counter(shelf["name"] for book in books for shelf in book["popular_shelves"])
    assert shelves["19709"] > 1
    assert shelves["ald_neighborhood-animals"] > 1

    assert sum(review["book_id"] not in ids for review in reviews) == 1
    reviews_by_id = Counter(review["review_id"] for review in reviews)
    assert [id_ for id_, times in reviews_by_id.items() if times > 1] == ["dddddddddddddddddddddddddddd0002"]
    assert reviews_by_id[""] == 1
    assert sum(not review["review_text"].strip() for review in reviews) == 1
    assert sum(review["rating"] == 0 for review in reviews) == 6  # five by readers who say why, one of the dirt
    assert sum(review["n_votes"] < 0 for review in reviews) == 1
    assert reviews_with(r"<br /><br />.*https?://") == 1
    assert reviews_with(r"&amp; .*&egrave;") == 1
    assert reviews_with(r"\(view spoiler\)\[.*\(hide spoiler\)\]") == 1
    assert reviews_with(r"<script.*</script>") == 1
    assert reviews_with("\u200b.*\ufeff") == 1
    assert reviews_with("\u0001") == 1
    assert reviews_with("Buku ini") == 1


# ---- through the real pipeline


def ingest_and_build(folder: Path, out: Path) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """What ingest() says of each table, what build_documents() says, and the documents."""
    limits = DuckLimits(memory_limit="1GB")
    facts = {table: ingest(table, find(table, str(folder)), out, limits, reject_ceiling=0.001) for table in TABLES}
    counts = {table: {name: facts[table][name] for name in ("lines", "rows", "rejected")} for table in FILES}
    documents = out / "documents"
    documents.mkdir()
    paths = {table: out / f"{table}.parquet" for table in TABLES}
    built = build_documents(paths, documents, limits, RECIPES["title-first"], DocumentRules())
    return counts, built, pq.read_table(documents / "documents.parquet").to_pylist()


@pytest.fixture(scope="module")
def pipeline(
    written: dict[str, Written], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    return ingest_and_build(written["books"].path.parent, tmp_path_factory.mktemp("tables"))


def test_every_line_is_a_row_or_a_reject_with_its_reason(pipeline: Any) -> None:
    counts, _, _ = pipeline
    assert counts == {
        "books": {
            "lines": EDITIONS + 13,
            "rows": EDITIONS + 8,
            "rejected": {
                "not_an_object": 1,
                "truncated_line": 1,
                "missing_book_id": 1,
                "missing_title": 1,
                "duplicate_book_id": 1,
            },
        },
        "authors": {
            "lines": AUTHORS + 3,
            "rows": AUTHORS + 1,
            "rejected": {"missing_name": 1, "duplicate_author_id": 1},
        },
        "reviews": {
            "lines": REVIEWS + 13,
            "rows": REVIEWS + 10,
            "rejected": {"truncated_line": 1, "missing_review_id": 1, "duplicate_review_id": 1},
        },
    }


def test_every_work_is_a_document(pipeline: Any, works: list[Work]) -> None:
    counts, built, rows = pipeline
    assert built == {
        "rows": WORKS + 7,
        "thin": 2,
        "editions": EDITIONS + 8,
        "reviews_used": counts["reviews"]["rows"] - 5,
        "reviews_not_needed": 2,
        "excluded": {
            "review_of_unknown_book": 1,
            "review_without_text": 1,
            "review_too_short": 1,
            "unknown_author_id": 1,
        },
        "filtered": {},
        "joined": 0,
        "same_title_author": 0,
    }
    documents = {row["work_id"]: row for row in rows}
    for work in works:
        document = documents[records.work_id(work)]
        assert document["description"] == work.editions[0].description
        assert document["editions"] == len(work.editions)
        assert document["reviews_used"] == min(3, len(work.reviews))
        assert not document["thin"]
        assert document["author"]
        assert sum(review.text in document["text"] for review in work.reviews) == min(3, len(work.reviews)), work.id
    assert Counter(row["language"] for row in rows if row["language"] not in ("en", None)) == Counter(
        ["fr", "de", "it", "ja", "nl", "pl", "pt", "ru", "es", "sv", "enm"]
    )


def test_the_dirt_changes_no_clean_document(pipeline: Any, clean: Tables, tmp_path: Path) -> None:
    for table, name in FILES.items():
        lines = "".join(json.dumps(record) + "\n" for record in clean[table])
        (tmp_path / name).write_bytes(gzip.compress(lines.encode()))
    out = tmp_path / "tables"
    out.mkdir()
    counts, _, rows = ingest_and_build(tmp_path, out)
    assert [counts[table]["rejected"] for table in FILES] == [{}, {}, {}]
    assert rows == [row for row in pipeline[2] if not row["title"].startswith("[sample dirt]")]


def test_the_works_of_the_dirt_are_known_so_that_a_demo_can_leave_them_out(pipeline: Any, tmp_path: Path) -> None:
    dirty = {row["work_id"] for row in pipeline[2] if "sample dirt" in f"{row['title']} {row['text']}"}
    assert len(dirty) == 7
    assert dirty <= set(BundledSample(tmp_path).dirt)
    assert {row["work_id"] for row in pipeline[2]} & set(BundledSample(tmp_path).dirt) == dirty


def test_dirty_texts_come_out_readable(pipeline: Any) -> None:
    texts = {row["title"]: row["text"] for row in pipeline[2] if row["title"].startswith("[sample dirt]")}
    assert set(texts) == {
        "[sample dirt] Twice in the file",
        "[sample dirt] Nothing but a title",
        "[sample dirt] Numbers out of range",
        "[sample dirt] By a stranger",
        "[sample dirt] Tags & entities",
        "[sample dirt] Ycleped enm",
        "[sample dirt] Invisible marks",
    }
    assert texts["[sample dirt] Twice in the file"] == (
        "[sample dirt] Twice in the file. [sample dirt] Twice in the file by [sample dirt] Anon. "
        "[sample dirt] The row that stays. "
        "[sample dirt] This review is in the file twice, and this is the first."
    )
    assert texts["[sample dirt] Tags & entities"] == (
        "[sample dirt] Tags & entities. [sample dirt] Tags & entities by [sample dirt] Anon. "
        '[sample dirt] Café & crème — see this or "now". '
        "[sample dirt] Bold & très décidé. More at as ever, 1 < 2. "
        "[sample dirt] The butler was polite to the end. [sample dirt] Harmless in the end, one hopes."
    )
    assert texts["[sample dirt] Invisible marks"] == (
        "[sample dirt] Invisible marks. [sample dirt] Invisible marks. [sample dirt] A bell and a line separator. "
        "[sample dirt] Invisible marks between the words of a review."
    )
