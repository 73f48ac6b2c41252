"""Raw JSON lines to typed tables: whole rows on tiny dirty inputs, rejects that add up, damaged files refused."""

import gzip
import json
import os
import re
import tempfile
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ucsd_records import AUTHOR, BOOK, LIMITS, REVIEW, counts, raw_input, rows, run

from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.errors import RawDataError
from viberary_pipeline.sources.blocks import blocks
from viberary_pipeline.sources.ingest import ingest
from viberary_pipeline.sources.table_specs import TABLES


def test_a_book_becomes_one_typed_row(tmp_path, write_gz):
    described = {
        **BOOK,
        "description": " A <b>white</b> whale &amp; a\u200b captain.<br />See https://example.org/whale ",
    }
    raw = write_gz(tmp_path / "books.json.gz", [described])
    facts, books, rejects = run("books", raw, out=tmp_path / "out")
    assert facts == {
        "lines": 1,
        "rows": 1,
        "not_read": 0,
        "rejected": {},
        "nulled": {},
        "repaired": {},
        "files": [
            {
                "file": "books.json.gz",
                "bytes": raw.stat().st_size,
                "lines": 1,
                "rows": 1,
                "not_read": 0,
                "rejected": {},
            },
        ],
        "notes": [],
    }
    assert rejects == []
    assert books == [
        {
            "file": "books.json.gz",
            "line": 1,
            "book_id": "1",
            "work_id": "5",
            "title": "Moby-Dick",
            "title_without_series": "Moby-Dick",
            "description": "A white whale & a captain. See",
            "language_code": "en-US",
            "language": "en",
            "language_source": "given",
            "isbn": None,
            "isbn13": "9780142437247",
            "other_isbns": [],
            "goodreads_ids": [],
            "asin": None,
            "kindle_asin": None,
            "format": "Paperback",
            "publisher": "Harper",
            "is_ebook": False,
            "publication_year": 1851,
            "publication_month": 10,
            "publication_day": 18,
            "num_pages": 635,
            "average_rating": 4.25,
            "ratings_count": 100,
            "text_reviews_count": 7,
            "link": "https://www.goodreads.com/book/show/1",
            "image_url": "https://images.example.org/books/1.jpg",
            "authors": [{"author_id": "10", "role": ""}, {"author_id": "11", "role": "Illustrator"}],
            "series": ["77"],
            "similar_books": ["2"],
            "popular_shelves": ["to-read"],
            "shelf_counts": [12],
            "nulled": None,
        }
    ]


def test_empty_strings_are_null_and_values_out_of_range_are_null_and_counted(tmp_path, write_gz):
    blank = {key: ([] if isinstance(value, list) else "") for key, value in BOOK.items()}
    odd = {
        "publication_year": "65535",
        "publication_month": "25",
        "publication_day": "127",
        "num_pages": "945077",
        "average_rating": "none",
        "ratings_count": "-1",
    }
    raw = write_gz(tmp_path / "b.json.gz", [{**blank, "book_id": "1", "title": "T"}, {**BOOK, "book_id": "2", **odd}])
    facts, books, _ = run("books", raw, out=tmp_path / "out")
    nothing = dict.fromkeys(books[0], None)
    assert books[0] == {
        **nothing,
        "file": "b.json.gz",
        "line": 1,
        "book_id": "1",
        "title": "T",
        "authors": [],
        "series": [],
        "similar_books": [],
        "popular_shelves": [],
        "shelf_counts": [],
        "other_isbns": [],
        "goodreads_ids": [],
    }
    assert {name: books[1][name] for name in odd} == dict.fromkeys(odd)
    assert sorted(books[1]["nulled"].split()) == sorted(odd)
    assert facts["nulled"] == dict.fromkeys(sorted(odd), 1)


def test_a_language_is_the_given_one_or_the_one_that_the_text_is_in(tmp_path, write_gz):
    german = (
        "Ein junger Mann verlässt sein Dorf, um in der großen Stadt sein Glück zu suchen, und findet eine Freundin."
    )
    codes = ["en-GB", "eng", "fre", "", "--", ""]
    texts = ["", "", german, german, german, ""]
    books = [
        {**BOOK, "book_id": str(n), "language_code": code, "description": text, "title": "T"}
        for n, (code, text) in enumerate(zip(codes, texts, strict=True))
    ]
    _, found, _ = run("books", write_gz(tmp_path / "b.json.gz", books), out=tmp_path / "out")
    assert [(book["language_code"], book["language"], book["language_source"]) for book in found] == [
        ("en-GB", "en", "given"),
        ("eng", "en", "given"),
        ("fre", "fr", "given"),
        (None, "de", "detected"),
        ("--", "de", "detected"),
        (None, None, None),
    ]


def test_every_line_is_a_row_or_a_reject_with_its_reason(tmp_path, write_gz):
    raw = write_gz(
        tmp_path / "b.json.gz",
        [
            {**BOOK, "ratings_count": "1"},
            '{"book_id": "9", "title": "cut off',
            "",
            {**BOOK, "ratings_count": "50", "title": "Moby-Dick, again"},
            {**BOOK, "book_id": ""},
            {**BOOK, "book_id": "3", "title": "  "},
            "[1, 2]",
            b'{"book_id": "4", "title": "caf\xff"}',
            {
                "book_id": 6,
                "title": "Numbers for strings, unknown fields",
                "surprise": {"a": [1]},
                "authors": None,
            },
            b'{"book_id": "4", "title": "nul \0"}',
            '{"book_id": "4" "title": "no comma"}',
            {"isbn": "1"},
        ],
    )
    facts, books, rejects = run("books", raw, out=tmp_path / "out")
    assert counts(facts) == {
        "lines": 11,
        "rows": 2,
        "rejected": {
            "duplicate_book_id": 1,
            "invalid_utf8": 1,
            "malformed_json": 1,
            "missing_book_id": 1,
            "missing_title": 1,
            "no_known_field": 1,
            "not_an_object": 1,
            "nul_byte": 1,
            "truncated_line": 1,
        },
    }
    assert facts["repaired"] == {"blank_line": 1}
    # Of two rows with one id, the one with more ratings is kept.
    assert [(book["line"], book["book_id"], book["title"]) for book in books] == [
        (4, "1", "Moby-Dick, again"),
        (9, "6", "Numbers for strings, unknown fields"),
    ]
    assert rejects[0]["raw"].startswith('{"file":"b.json.gz","line":1,"book_id":"1","work_id":"5","title":"Moby-Dick"')
    assert len(rejects[0]["raw"]) == 500
    assert all(reject["file"] == "b.json.gz" for reject in rejects)
    told = [(reject["line"], reject["reason"], reject["record_id"]) for reject in rejects]
    assert told == [
        (1, "duplicate_book_id", "1"),
        (2, "truncated_line", None),
        (5, "missing_book_id", None),
        (6, "missing_title", "3"),
        (7, "not_an_object", None),
        (8, "invalid_utf8", None),
        (10, "nul_byte", None),
        (11, "malformed_json", None),
        (12, "no_known_field", None),
    ]
    assert [reject["raw"] for reject in rejects[1:]] == [
        '{"book_id": "9", "title": "cut off',
        json.dumps({**BOOK, "book_id": ""})[:500],
        json.dumps({**BOOK, "book_id": "3", "title": "  "})[:500],
        "[1, 2]",
        '{"book_id": "4", "title": "caf\\xff"}',
        '{"book_id": "4", "title": "nul \0"}',
        '{"book_id": "4" "title": "no comma"}',
        '{"isbn": "1"}',
    ]


@pytest.mark.parametrize("blank", ["\t\r\n", "\u200b", "\u00a0 \u2028", "\x07\ufeff"])
def test_what_cannot_be_seen_is_trimmed(tmp_path, write_gz, blank):
    seen = {**AUTHOR, "author_id": f"11{blank}", "name": f"{blank}A\u00a0B{blank}"}
    raw = write_gz(tmp_path / "a.json.gz", [{**AUTHOR, "name": blank}, seen])
    _, authors, rejects = run("authors", raw, out=tmp_path / "out")
    assert [(author["author_id"], author["name"]) for author in authors] == [("11", "A B")]
    assert [reject["reason"] for reject in rejects] == ["missing_name"]


def test_authors(tmp_path, write_gz):
    raw = write_gz(
        tmp_path / "a.json.gz",
        [
            AUTHOR,
            {**AUTHOR, "ratings_count": "8"},
            {**AUTHOR, "author_id": "11", "name": ""},
            {**AUTHOR, "author_id": ""},
            "{",
        ],
    )
    facts, authors, rejects = run("authors", raw, out=tmp_path / "out")
    assert authors == [
        {
            "file": "a.json.gz",
            "line": 1,
            "author_id": "10",
            "name": "Herman Melville",
            "average_rating": 3.9,
            "ratings_count": 9,
            "text_reviews_count": 3,
            "nulled": None,
        }
    ]
    assert counts(facts)["lines"] == 5
    assert [(reject["line"], reject["reason"]) for reject in rejects] == [
        (2, "duplicate_author_id"),
        (3, "missing_name"),
        (4, "missing_author_id"),
        (5, "truncated_line"),
    ]


def test_reviews(tmp_path, write_gz):
    raw = write_gz(
        tmp_path / "r.json.gz",
        [
            REVIEW,
            {**REVIEW, "review_id": "r2", "rating": 0, "n_votes": -3, "date_added": "yesterday"},
            {**REVIEW, "review_id": "r3", "review_text": " ", "rating": 9},
            REVIEW,
            {**REVIEW, "review_id": "r5", "book_id": ""},
            {**REVIEW, "review_id": ""},
        ],
    )
    facts, reviews, rejects = run("reviews", raw, out=tmp_path / "out")
    first = {
        "file": "r.json.gz",
        "line": 1,
        "review_id": "r1",
        "book_id": "1",
        "user_id": "u1",
        "rating": 5,
        "review_text": "Call it long.",
        "text_length": 13,
        "text_hash": reviews[0]["text_hash"],
        "date_added": datetime(2017, 7, 30, 14, 44, 10, tzinfo=UTC),
        "n_votes": 3,
        "n_comments": 0,
        "nulled": None,
    }
    assert reviews == [
        first,
        # A rating of 0 means: not rated.
        {
            **first,
            "line": 2,
            "review_id": "r2",
            "rating": None,
            "date_added": None,
            "n_votes": None,
            "nulled": "date_added n_votes",
        },
        {
            **first,
            "line": 3,
            "review_id": "r3",
            "rating": None,
            "review_text": None,
            "text_length": 0,
            "text_hash": None,
            "nulled": "rating",
        },
    ]
    assert counts(facts) == {
        "lines": 6,
        "rows": 3,
        "rejected": {"duplicate_review_id": 1, "missing_book_id": 1, "missing_review_id": 1},
    }
    assert facts["nulled"] == {"date_added": 1, "n_votes": 1, "rating": 1}
    assert [reject["line"] for reject in rejects] == [4, 5, 6]


def test_works_genres_and_series(tmp_path, write_gz):
    work = {"work_id": "5", "best_book_id": "1", "original_title": "The Whale", "original_publication_year": "1851"}
    raw = write_gz(
        tmp_path / "w.json.gz", [work, {"work_id": "6", "original_publication_year": "-720", "books_count": "x"}]
    )
    _, works, _ = run("works", raw, out=tmp_path / "works")
    none = dict.fromkeys(works[0])
    assert works == [
        {**none, **work, "file": "w.json.gz", "line": 1, "original_publication_year": 1851},
        {
            **none,
            "work_id": "6",
            "file": "w.json.gz",
            "line": 2,
            "original_publication_year": -720,
            "nulled": "books_count",
        },
    ]

    raw = write_gz(
        tmp_path / "g.json.gz",
        [
            {"book_id": "1", "genres": {"poetry": 2, "fiction": 30}},
            {"book_id": "2", "genres": {}},
            {"book_id": "3", "genres": {"poetry": "x", "fiction": 1, "history": -2}},
        ],
    )
    _, genres, _ = run("genres", raw, out=tmp_path / "genres")
    assert [(row["book_id"], row["genres"], row["nulled"]) for row in genres] == [
        ("1", [{"name": "fiction", "count": 30}, {"name": "poetry", "count": 2}], None),
        ("2", [], None),
        ("3", [{"name": "fiction", "count": 1}], "genres"),
    ]

    raw = write_gz(
        tmp_path / "s.json.gz", [{"series_id": "77", "title": "Whales &amp; Men", "series_works_count": "9"}]
    )
    _, series, _ = run("series", raw, out=tmp_path / "series")
    assert series == [
        {"file": "s.json.gz", "line": 1, "series_id": "77", "title": "Whales & Men", "work_count": 9, "nulled": None}
    ]


def test_an_absent_optional_file_is_an_empty_table(tmp_path):
    facts = ingest("works", None, tmp_path, DuckLimits("1GB", 2), reject_ceiling=0.001)
    assert (facts["lines"], facts["rows"], facts["files"]) == (0, 0, [])
    assert rows(tmp_path / "works.parquet") == rows(tmp_path / "works_rejects.parquet") == []


def test_no_reviews_is_fine_but_no_books_is_not(tmp_path, write_gz):
    facts, reviews, _ = run("reviews", write_gz(tmp_path / "r.json.gz", []), out=tmp_path / "out")
    assert (facts["rows"], reviews) == (0, [])
    with pytest.raises(RawDataError, match="There are no books"):
        run("books", write_gz(tmp_path / "b.json.gz", []), out=tmp_path / "out2")


def test_several_files_are_one_table_and_the_best_copy_is_kept(tmp_path, write_gz):
    """Subsets by genre overlap: that is no fault of either file, so it does not count against the ceiling."""
    poetry = [{**BOOK, "book_id": str(n)} for n in range(40)]
    fantasy = [{**BOOK, "book_id": str(n), "ratings_count": "500"} for n in range(20, 60)]
    paths = [write_gz(tmp_path / "poetry.json.gz", poetry), write_gz(tmp_path / "fantasy.json.gz", fantasy)]
    facts, books, rejects = run("books", *paths, out=tmp_path / "out", ceiling=0.0)
    assert counts(facts) == {"lines": 80, "rows": 60, "rejected": {"duplicate_book_id_in_another_file": 20}}
    assert [(book["file"], book["line"]) for book in books] == [
        *(("poetry.json.gz", n) for n in range(1, 21)),
        *(("fantasy.json.gz", n) for n in range(1, 41)),
    ]
    assert {(reject["file"], reject["reason"]) for reject in rejects} == {
        ("poetry.json.gz", "duplicate_book_id_in_another_file")
    }


def test_of_equal_copies_the_earliest_file_is_kept(tmp_path, write_gz):
    first = write_gz(tmp_path / "r0.json.gz", [{**REVIEW, "review_id": "a"}, REVIEW])
    second = write_gz(tmp_path / "r1.json.gz", [{**REVIEW, "review_text": "The second file's."}])
    _, reviews, rejects = run("reviews", first, second, out=tmp_path / "out")
    assert [(review["file"], review["line"]) for review in reviews] == [("r0.json.gz", 1), ("r0.json.gz", 2)]
    assert [(reject["file"], reject["reason"]) for reject in rejects] == [
        ("r1.json.gz", "duplicate_review_id_in_another_file")
    ]


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, write_gz):
    raw = write_gz(tmp_path / "a.json.gz", [AUTHOR])
    seen = raw_input("authors", raw)
    os.utime(raw, ns=(1, 1))
    with pytest.raises(RawDataError, match="A raw file of authors changed after it was fingerprinted"):
        ingest("authors", seen, tmp_path, LIMITS, reject_ceiling=1.0)


def test_a_long_file_of_another_kind_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("viberary_pipeline.sources.ingest._NO_HOPE", 1000)
    monkeypatch.setattr("viberary_pipeline.sources.blocks.BLOCK_LINES", 500)
    raw = tmp_path / "b.json"
    raw.write_text("1\n" * 200_000)
    with pytest.raises(RawDataError, match="There is not one record in the books file") as caught:
        run("books", raw, out=tmp_path / "out")
    rejected = int(re.match(r"([\d,]+) lines rejected: ", caught.value.found)[1].replace(",", ""))
    assert 1000 <= rejected < 200_000


def test_a_work_id_that_is_no_number_is_null_and_counted(tmp_path, write_gz):
    books = [{**BOOK, "book_id": str(n), "work_id": work} for n, work in enumerate(["b4", "0", " 7 ", ""])]
    facts, found, _ = run("books", write_gz(tmp_path / "b.json.gz", books), out=tmp_path / "out")
    assert [(book["work_id"], book["nulled"]) for book in found] == [
        (None, "work_id"),
        (None, "work_id"),
        ("7", None),
        (None, None),
    ]
    assert facts["nulled"] == {"work_id": 2}


def test_an_author_without_an_id_is_none_and_counted(tmp_path, write_gz):
    kept = [{"author_id": "7", "role": ""}]
    books = [
        {**BOOK, "book_id": "1", "authors": [*kept, {"author_id": "", "role": "Illustrator"}]},
        {**BOOK, "book_id": "3", "authors": kept},
        {**BOOK, "book_id": "4", "authors": None},
    ]
    facts, rows, _ = run("books", write_gz(tmp_path / "b.json.gz", books), out=tmp_path / "out")
    assert [(row["authors"], row["nulled"]) for row in rows] == [(kept, "authors"), (kept, None), ([], None)]
    assert facts["nulled"] == {"authors": 1}


def test_a_plain_file_is_read_like_a_compressed_one(tmp_path):
    raw = tmp_path / "a.json"
    raw.write_text(json.dumps(AUTHOR) + "\n")
    facts, authors, _ = run("authors", raw, out=tmp_path / "out")
    assert (counts(facts)["rows"], authors[0]["name"]) == (1, "Herman Melville")


def test_rows_keep_their_order_and_numbers_over_many_blocks(tmp_path, write_gz, monkeypatch):
    monkeypatch.setattr("viberary_pipeline.sources.ingest.blocks", partial(blocks, block_bytes=10_000))
    lines: list[Any] = [{**AUTHOR, "author_id": str(n), "name": "N" * 2000} for n in range(3000)]
    lines[1000], lines[2000] = "", "{broken"
    raw = write_gz(tmp_path / "a.json.gz", lines)
    facts, authors, rejects = run("authors", raw, out=tmp_path / "out")
    assert len(list((tmp_path / "out" / "authors.parquet").iterdir())) > 5
    assert [author["line"] for author in authors] == [n + 1 for n in range(3000) if n not in (1000, 2000)]
    assert all(author["author_id"] == str(author["line"] - 1) for author in authors)
    assert [(reject["line"], reject["raw"]) for reject in rejects] == [(2001, "{broken")]
    assert counts(facts)["lines"] == 2999


def test_a_truncated_file_fails_with_its_name_and_where_it_ends(tmp_path, write_gz, monkeypatch):
    monkeypatch.setattr("viberary_pipeline.sources.ingest.blocks", partial(blocks, block_bytes=10_000))
    books = [{**BOOK, "book_id": str(n), "title": f"{n * 7919} {n * 104729}"} for n in range(20_000)]
    raw = write_gz(tmp_path / "b.json.gz", books)
    whole = raw.read_bytes()
    raw.write_bytes(whole[:-1000])
    with pytest.raises(RawDataError) as caught:
        run("books", raw, out=tmp_path / "out")
    assert str(raw) in caught.value.expected
    assert f"of {len(whole) - 1000:,}" in caught.value.found
    rows_read = int(re.search(r"([\d,]+) rows had been read$", caught.value.found)[1].replace(",", ""))
    assert 1000 < rows_read < 20_000


@pytest.mark.parametrize("damaged_byte", [-8, -1000])
def test_a_file_with_flipped_bits_fails(tmp_path, write_gz, damaged_byte):
    """The last eight bytes are the checksum and the length: DuckDB alone would notice neither."""
    raw = write_gz(tmp_path / "b.json.gz", [{**BOOK, "book_id": str(n), "title": f"{n * 7919}"} for n in range(5000)])
    content = bytearray(raw.read_bytes())
    content[damaged_byte] ^= 0xFF
    raw.write_bytes(content)
    with pytest.raises(RawDataError, match="A raw file is damaged"):
        run("books", raw, out=tmp_path / "out")


def test_more_rejects_than_the_ceiling_stop_the_run_with_reasons_and_examples(tmp_path, write_gz):
    good = [{**BOOK, "book_id": str(n)} for n in range(50)]
    raw = write_gz(tmp_path / "b.json.gz", good + ["{broken"] * 8 + [{**BOOK, "book_id": "", "isbn": "x"}] * 3)
    with pytest.raises(RawDataError) as caught:
        run("books", raw, out=tmp_path / "out", ceiling=0.01)
    assert caught.value.found.startswith(
        "11 of 61: 8 truncated_line, for example line 51: '{broken'; 3 missing_book_id, for example line 59: '{"
    )
    facts, *_ = run("books", raw, out=tmp_path / "out2", ceiling=0.5)
    assert facts["rejected"] == {"missing_book_id": 3, "truncated_line": 8}


PRETTY = json.dumps(BOOK, indent=1)
PIECES = {
    "colon": (['{"book_id": "9", "title":'], ["truncated_line"]),
    "bracket": (['{"book_id": "9", "authors": ['], ["truncated_line"]),
    "object": (['{"book_id": "9", "authors": [{"author_id": "1"}'], ["malformed_json"]),
    "two lines": (['{"book_id":', '"9"}'], ["truncated_line", "not_an_object"]),
    "CRLF": (['{"book_id": "9",\r', '"title": "T"}'], ["truncated_line", "not_an_object"]),
    "array": (['[{"book_id": "9"},', '{"book_id": "8"}]'], ["not_an_object", "truncated_line"]),
    "scalar": (["true"], ["not_an_object"]),
    "two records": (['{"book_id": "9", "title": "T"}{"book_id": "8", "title": "T"}'], ["malformed_json"]),
    "64 MB": (['{"book_id": "9", "title": "' + "t" * (64 << 20) + '"}'], ["line_too_long"]),
    "a comma after it": ([json.dumps({**BOOK, "book_id": "9"}) + ","], ["malformed_json"]),
    "half a character": (['{"book_id": "9", "title": "\\ud800"}'], ["lone_surrogate"]),
    "deep": (['{"book_id": ' + "[" * 100_000 + "]" * 100_000 + "} x }"], ["malformed_json"]),
}


@pytest.mark.parametrize("name", PIECES)
def test_a_bad_line_costs_neither_the_build_nor_its_neighbours(tmp_path, name):
    bad, reasons = PIECES[name]
    raw = tmp_path / "b.json.gz"
    after = {**BOOK, "book_id": "2"}
    raw.write_bytes(gzip.compress("\n".join([json.dumps(BOOK), *bad, json.dumps(after)]).encode(), 1))
    facts, books, rejects = run("books", raw, out=tmp_path / "out")
    assert counts(facts) == {"lines": 2 + len(bad), "rows": 2, "rejected": dict(sorted(Counter(reasons).items()))}
    assert [(book["line"], book["book_id"]) for book in books] == [(1, "1"), (2 + len(bad), "2")]
    assert [reject["reason"] for reject in rejects] == reasons
    assert [reject["raw"] for reject in rejects] == [line.rstrip("\r")[:500] for line in bad]


def test_a_byte_order_mark_and_crlf_are_no_part_of_the_data(tmp_path):
    raw = tmp_path / "a.json.gz"
    raw.write_bytes(gzip.compress(b'\xef\xbb\xbf{"author_id": "1", "name": "A"}\r\n{"author_id"\r\n'))
    facts, authors, rejects = run("authors", raw, out=tmp_path / "out")
    assert facts["repaired"] == {"byte_order_mark": 1, "crlf": 2}
    assert [(author["line"], author["name"]) for author in authors] == [(1, "A")]
    assert [(reject["line"], reject["raw"]) for reject in rejects] == [(2, '{"author_id"')]


@pytest.mark.parametrize("table", ["books", "authors", "reviews"])
def test_a_file_of_another_kind_is_refused(tmp_path, write_gz, table):
    lines = [REVIEW, {**REVIEW, "review_id": "r2"}] if table != "reviews" else [AUTHOR, AUTHOR]
    with pytest.raises(RawDataError, match=f"There is not one record in the {table} file") as caught:
        run(table, write_gz(tmp_path / "f.json.gz", lines), out=tmp_path / "out")
    assert caught.value.found.startswith("2 lines rejected: 2 ")
    assert "for example line 1: '{" in caught.value.found


def test_what_duckdb_cannot_do_names_the_file(tmp_path, write_gz):
    raw = write_gz(tmp_path / "b.json.gz", [{**BOOK, "book_id": str(n), "title": f"{n}" * 2000} for n in range(20000)])
    (tmp_path / "out").mkdir()
    with pytest.raises(RawDataError, match="The books file cannot be read") as caught:
        ingest("books", raw_input("books", raw), tmp_path / "out", DuckLimits("20MB", 1), reject_ceiling=1.0)
    assert str(raw) in caught.value.expected
    assert "OutOfMemoryException" in caught.value.found


@pytest.mark.parametrize("table", TABLES)
@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_bytes_as_lines_are_rows_or_rejects(tmp_path, table, data):
    """Whatever the lines are: no crash, none lost, and what does not go from '{' to '}' in UTF-8 is never a row."""
    record = {"books": BOOK, "authors": AUTHOR, "reviews": REVIEW}.get(table, {TABLES[table].key: "1", "title": "T"})
    value = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    )
    changed = st.dictionaries(st.sampled_from(sorted(record)), value, max_size=min(4, len(record)))
    sound = changed.map(lambda fields: json.dumps({**record, **fields}).encode())
    cut = st.tuples(sound, st.integers(0, 400)).map(lambda pair: pair[0][: pair[1]])
    flipped = st.tuples(sound, st.integers(0, 60), st.binary(max_size=3)).map(
        lambda three: three[0][: three[1]] + three[2] + three[0][three[1] + 1 :]
    )
    lines = data.draw(st.lists(st.binary() | sound | cut | flipped, max_size=12))
    content = b"\n".join(lines)
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        # Packed, because plain lines may begin like a gzip file.
        raw, out = Path(folder, "f.json.gz"), Path(folder, "out")
        raw.write_bytes(gzip.compress(content, 1))
        out.mkdir()
        try:
            facts = ingest(table, raw_input(table, raw), out, DuckLimits("1GB", 2), reject_ceiling=1.0)
        except RawDataError as error:
            # Nothing at all, nothing but rejects, or what begins like another format.
            expected = ("There are no books", "There is not one record", f"The {table} file is not one JSON object per")
            assert error.what.startswith(expected)  # noqa: PT017
            return
        taken = rows(out / f"{table}.parquet") + rows(out / f"{table}_rejects.parquet")
    split = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    full = [number for number, line in enumerate(split, 1) if line.strip()]
    assert sorted(row["line"] for row in taken) == full
    assert counts(facts)["lines"] == len(full)
    for row in taken[: facts["rows"]]:
        line = split[row["line"] - 1].strip()
        assert line.startswith(b"{")
        assert line.endswith(b"}")
        line.decode()
