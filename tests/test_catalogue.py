"""Raw JSON lines to typed tables: whole rows on tiny dirty inputs, rejects that add up, damaged files refused."""

import gzip
import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from viberary_pipeline.catalogue.duck import DuckLimits
from viberary_pipeline.catalogue.ingest import ingest
from viberary_pipeline.catalogue.lines import guarded
from viberary_pipeline.catalogue.raw import FILES, RawFile, fingerprint
from viberary_pipeline.catalogue.stream import decompressed, lines_at
from viberary_pipeline.errors import RawDataError

BOOK = {
    "isbn": "",
    "text_reviews_count": "7",
    "series": [],
    "country_code": "US",
    "language_code": "eng",
    "popular_shelves": [{"count": "12", "name": "to-read"}],
    "asin": "",
    "is_ebook": "false",
    "average_rating": "4.25",
    "kindle_asin": "",
    "similar_books": ["2"],
    "description": " A whale. ",
    "format": "Paperback",
    "link": "https://www.goodreads.com/book/show/1",
    "authors": [{"author_id": "10", "role": ""}, {"author_id": "11", "role": "Illustrator"}],
    "publisher": "Harper",
    "num_pages": "635",
    "publication_day": "18",
    "isbn13": "9780142437247",
    "publication_month": "10",
    "edition_information": "",
    "publication_year": "1851",
    "url": "",
    "image_url": "",
    "book_id": "1",
    "ratings_count": "100",
    "work_id": "5",
    "title": "Moby-Dick",
    "title_without_series": "Moby-Dick",
}
AUTHOR = {
    "average_rating": "3.9",
    "author_id": "10",
    "text_reviews_count": "3",
    "name": "Herman  Melville",
    "ratings_count": "9",
}
REVIEW = {
    "user_id": "u1",
    "book_id": "1",
    "review_id": "r1",
    "rating": 5,
    "review_text": "Call it long.",
    "date_added": "Sun Jul 30 07:44:10 -0700 2017",
    "date_updated": "",
    "read_at": "",
    "started_at": "",
    "n_votes": 3,
    "n_comments": 0,
}


def run(table: str, raw: Path, out: Path, ceiling: float = 1.0) -> tuple[dict[str, Any], list[dict], list[dict]]:
    out.mkdir(exist_ok=True)
    facts = ingest(table, raw, out, DuckLimits("1GB", 2), reject_ceiling=ceiling)
    return facts, rows(out / f"{table}.parquet"), rows(out / f"{table}_rejects.parquet")


def rows(parquet: Path) -> list[dict[str, Any]]:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection.execute("SELECT * FROM read_parquet($p)", {"p": str(parquet)}).to_arrow_table().to_pylist()


def test_a_book_becomes_one_typed_row(tmp_path, write_gz):
    raw = write_gz(tmp_path / "books.json.gz", [BOOK])
    facts, books, rejects = run("books", raw, tmp_path / "out")
    assert facts == {"lines": 1, "rows": 1, "rejected": {}}
    assert rejects == []
    assert books == [
        {
            "line": 1,
            "book_id": "1",
            "work_id": "5",
            "title": "Moby-Dick",
            "title_without_series": "Moby-Dick",
            "description": "A whale.",
            "language_code": "eng",
            "isbn13": "9780142437247",
            "format": "Paperback",
            "publisher": "Harper",
            "publication_year": 1851,
            "publication_month": 10,
            "publication_day": 18,
            "num_pages": 635,
            "average_rating": 4.25,
            "ratings_count": 100,
            "text_reviews_count": 7,
            "link": "https://www.goodreads.com/book/show/1",
            "authors": [{"author_id": "10", "role": ""}, {"author_id": "11", "role": "Illustrator"}],
            "similar_books": ["2"],
            "popular_shelves": [{"name": "to-read", "count": 12}],
        }
    ]


def test_empty_strings_and_values_out_of_range_are_null(tmp_path, write_gz):
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
    _, books, _ = run("books", raw, tmp_path / "out")
    nothing = dict.fromkeys(books[0], None)
    assert books[0] == {
        **nothing,
        "line": 1,
        "book_id": "1",
        "title": "T",
        "authors": [],
        "similar_books": [],
        "popular_shelves": [],
    }
    assert {name: books[1][name] for name in odd} == dict.fromkeys(odd)


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
        ],
    )
    facts, books, rejects = run("books", raw, tmp_path / "out")
    assert facts == {
        "lines": 8,  # the blank line is no record
        "rows": 2,
        "rejected": {"duplicate_book_id": 1, "malformed_json": 3, "missing_book_id": 1, "missing_title": 1},
    }
    # Of two rows with one id, the one with more ratings is kept.
    assert [(book["line"], book["book_id"], book["title"]) for book in books] == [
        (3, "1", "Moby-Dick, again"),
        (8, "6", "Numbers for strings, unknown fields"),
    ]
    assert rejects == [
        {
            "line": 1,
            "reason": "duplicate_book_id",
            "record_id": "1",
            "raw": '{"book_id":"1","title":"Moby-Dick","description":"A whale."}',
        },
        {
            "line": 2,
            "reason": "malformed_json",
            "record_id": None,
            "raw": '{"book_id": "9", "title": "cut off',
        },
        {
            "line": 4,
            "reason": "missing_book_id",
            "record_id": None,
            "raw": '{"book_id":null,"title":"Moby-Dick","description":"A whale."}',
        },
        {
            "line": 5,
            "reason": "missing_title",
            "record_id": "3",
            "raw": '{"book_id":"3","title":null,"description":"A whale."}',
        },
        {"line": 6, "reason": "malformed_json", "record_id": None, "raw": "[1, 2]"},
        {
            "line": 7,
            "reason": "malformed_json",
            "record_id": None,
            "raw": '{"book_id": "4", "title": "caf\\xff"}',
        },
    ]


@pytest.mark.parametrize("blank", ["\t\r\n", "\u200b", "\u00a0 \u2028", "\x07\ufeff"])
def test_what_cannot_be_seen_is_trimmed(tmp_path, write_gz, blank):
    seen = {**AUTHOR, "author_id": "11", "name": f"{blank}A\u00a0B{blank}"}
    raw = write_gz(tmp_path / "a.json.gz", [{**AUTHOR, "name": blank}, seen])
    _, authors, rejects = run("authors", raw, tmp_path / "out")
    assert [author["name"] for author in authors] == ["A\u00a0B"]
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
    facts, authors, rejects = run("authors", raw, tmp_path / "out")
    assert authors == [
        {
            "line": 1,
            "author_id": "10",
            "name": "Herman Melville",
            "average_rating": 3.9,
            "ratings_count": 9,
            "text_reviews_count": 3,
        }
    ]
    assert facts["lines"] == 5
    assert [(reject["line"], reject["reason"]) for reject in rejects] == [
        (2, "duplicate_author_id"),
        (3, "missing_name"),
        (4, "missing_author_id"),
        (5, "malformed_json"),
    ]


def test_reviews(tmp_path, write_gz):
    raw = write_gz(
        tmp_path / "r.json.gz",
        [
            REVIEW,
            {**REVIEW, "review_id": "r2", "rating": 0, "n_votes": -3, "date_added": "yesterday"},
            {**REVIEW, "review_id": "r3", "review_text": " "},
            REVIEW,
            {**REVIEW, "review_id": "r5", "book_id": ""},
            {**REVIEW, "review_id": ""},
        ],
    )
    facts, reviews, rejects = run("reviews", raw, tmp_path / "out")
    assert reviews == [
        {
            "line": 1,
            "review_id": "r1",
            "book_id": "1",
            "user_id": "u1",
            "rating": 5,
            "review_text": "Call it long.",
            "date_added": datetime(2017, 7, 30, 14, 44, 10, tzinfo=UTC),
            "n_votes": 3,
            "n_comments": 0,
        },
        {
            "line": 2,
            "review_id": "r2",
            "book_id": "1",
            "user_id": "u1",
            "rating": None,  # 0 means: not rated
            "review_text": "Call it long.",
            "date_added": None,
            "n_votes": None,
            "n_comments": 0,
        },
    ]
    assert facts == {
        "lines": 6,
        "rows": 2,
        "rejected": {
            "duplicate_review_id": 1,
            "empty_review": 1,
            "missing_book_id": 1,
            "missing_review_id": 1,
        },
    }
    assert [reject["line"] for reject in rejects] == [3, 4, 5, 6]


def test_no_reviews_is_fine_but_no_books_is_not(tmp_path, write_gz):
    facts, reviews, _ = run("reviews", write_gz(tmp_path / "r.json.gz", []), tmp_path / "out")
    assert (facts["rows"], reviews) == (0, [])
    with pytest.raises(RawDataError, match="There are no books"):
        run("books", write_gz(tmp_path / "b.json.gz", []), tmp_path / "out2")


def test_a_truncated_file_fails_with_its_name_and_where_it_ends(tmp_path, write_gz):
    raw = write_gz(tmp_path / "b.json.gz", [{**BOOK, "book_id": str(n)} for n in range(5000)])
    whole = raw.read_bytes()
    raw.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RawDataError) as caught:
        run("books", raw, tmp_path / "out")
    assert str(raw) in caught.value.expected
    assert f"of {len(whole) // 2:,}" in caught.value.found


@pytest.mark.parametrize("damaged_byte", [-8, -1000])
def test_a_file_with_flipped_bits_fails(tmp_path, write_gz, damaged_byte):
    """The last eight bytes are the checksum and the length: DuckDB alone would notice neither."""
    raw = write_gz(tmp_path / "b.json.gz", [{**BOOK, "book_id": str(n), "title": f"{n * 7919}"} for n in range(5000)])
    content = bytearray(raw.read_bytes())
    content[damaged_byte] ^= 0xFF
    raw.write_bytes(content)
    with pytest.raises(RawDataError, match="A raw file is damaged"):
        run("books", raw, tmp_path / "out")


def test_several_gzip_members_are_one_file(tmp_path):
    raw = tmp_path / "a.json.gz"
    raw.write_bytes(
        gzip.compress(b'{"author_id": "1", "name": "A"}\n') + gzip.compress(b'{"author_id": "2", "name": "B"}\n')
    )
    _, authors, _ = run("authors", raw, tmp_path / "out")
    assert [author["name"] for author in authors] == ["A", "B"]


def test_more_malformed_lines_than_the_ceiling_stop_the_run(tmp_path, write_gz):
    raw = write_gz(tmp_path / "b.json.gz", [{**BOOK, "book_id": str(n)} for n in range(50)] + ["{broken"] * 11)
    with pytest.raises(RawDataError) as caught:
        run("books", raw, tmp_path / "out", ceiling=0.01)
    assert caught.value.found.startswith("11 of 61, for example line 51: '{broken'")
    facts, *_ = run("books", raw, tmp_path / "out2", ceiling=0.5)
    assert facts["rejected"] == {"malformed_json": 11}


def test_fingerprint_tells_what_is_missing_or_wrong(tmp_path, write_gz):
    with pytest.raises(RawDataError, match="folder with the raw files is missing"):
        fingerprint("books", tmp_path / "nowhere")
    with pytest.raises(RawDataError, match="an empty folder"):
        fingerprint("books", tmp_path)
    path = tmp_path / FILES["books"]
    path.write_text('{"book_id": "1"}')
    with pytest.raises(RawDataError, match="not gzip"):
        fingerprint("books", tmp_path)
    write_gz(path, [BOOK])
    file = fingerprint("books", tmp_path)
    assert RawFile(**file.to_json()).check_unchanged() == path
    write_gz(path, [BOOK, BOOK])
    with pytest.raises(RawDataError, match="changed after it was fingerprinted"):
        file.check_unchanged()


PRETTY = json.dumps(BOOK, indent=1)


@pytest.mark.parametrize(
    ("bad", "malformed"),
    [
        ('{"book_id": "9", "title":', 1),
        ('{"book_id": "9", "authors": [', 1),
        ('{"book_id": "9", "authors": [{"author_id": "1"}', 1),
        ('{"book_id":\n"9"}', 2),
        ('{"book_id": "9",\r\n"title": "T"}', 2),
        (PRETTY, PRETTY.count("\n") + 1),
        ('[{"book_id": "9"},\n{"book_id": "8"}]', 2),
        ("true", 1),
        ('{"book_id": "9", "title": "' + "t" * (65 << 20) + '"}', 1),
    ],
    ids=["colon", "bracket", "object", "two lines", "CRLF", "pretty", "array", "scalar", "65 MB"],
)
def test_a_bad_line_costs_neither_the_build_nor_its_neighbours(tmp_path, write_gz, bad, malformed):
    raw = tmp_path / "b.json.gz"
    after = {**BOOK, "book_id": "2"}
    raw.write_bytes(gzip.compress("\n".join([json.dumps(BOOK), bad, json.dumps(after)]).encode(), 1))
    facts, books, rejects = run("books", raw, tmp_path / "out")
    assert facts == {"lines": 2 + malformed, "rows": 2, "rejected": {"malformed_json": malformed}}
    assert [(book["line"], book["book_id"]) for book in books] == [(1, "1"), (2 + malformed, "2")]
    assert [reject["raw"] for reject in rejects] == [line.rstrip("\r")[:500] for line in bad.split("\n")]


def test_a_byte_order_mark_and_crlf_are_no_part_of_the_data(tmp_path):
    raw = tmp_path / "a.json.gz"
    raw.write_bytes(gzip.compress(b'\xef\xbb\xbf{"author_id": "1", "name": "A"}\r\n{"author_id"\r\n'))
    _, authors, rejects = run("authors", raw, tmp_path / "out")
    assert [(author["line"], author["name"]) for author in authors] == [(1, "A")]
    assert [(reject["line"], reject["raw"]) for reject in rejects] == [(2, '{"author_id"')]


def test_lines_are_guarded_alike_wherever_the_chunks_end():
    lines = (
        b'\xef\xbb\xbf{"a": 1}\n \t\n{"b": 2} \r\n\n{"c":\n  {"d": 4}\n{}\n' + b"{" + b"e" * 20 + b'}\n"f"}\n{"g": 7}'
    )
    whole = b'{"a": 1}\n{"b": 2} \r\nx\n  {"d": 4}\n{}\nx\nx\n{"g": 7}\n'
    for size in range(1, len(lines) + 1):
        chunks = [lines[start : start + size] for start in range(0, len(lines), size)]
        assert b"".join(guarded(chunks, most_bytes=15)) == whole, size


def test_a_line_without_end_is_dropped_while_it_comes():
    def endless():
        yield b'{"a": 1}\n'
        for _ in range(1000):
            yield b"{" * 100
        yield b'\n{"b": 2}\n'

    pieces = list(guarded(endless(), most_bytes=1000))
    assert b"".join(pieces) == b'{"a": 1}\nx\n{"b": 2}\n'


def test_the_text_of_a_line_is_found_whatever_is_around_it(tmp_path):
    raw = tmp_path / "l.json.gz"
    raw.write_bytes(gzip.compress(b"\xef\xbb\xbf\n \nfirst\n" + b" " * (17 << 20) + b"\nlast" + "é".encode() * 600))
    assert lines_at(raw, {1, 2, 3}, cut=500) == {1: "first", 2: " " * 500, 3: "last" + "é" * 496}


@pytest.mark.parametrize("table", FILES)
def test_a_file_of_another_kind_is_refused(tmp_path, write_gz, table):
    lines = [REVIEW, {**REVIEW, "review_id": "r2"}] if table != "reviews" else [AUTHOR, AUTHOR]
    with pytest.raises(RawDataError, match=f"There is not one record in the {table} file") as caught:
        run(table, write_gz(tmp_path / "f.json.gz", lines), tmp_path / "out")
    assert caught.value.found.startswith("2 lines rejected (2 m")
    assert "for example line 1: '{" in caught.value.found


def test_what_duckdb_cannot_do_names_the_file(tmp_path, write_gz):
    raw = write_gz(tmp_path / "b.json.gz", [{**BOOK, "description": f"{n}" * 2000} for n in range(20000)])
    (tmp_path / "out").mkdir()
    with pytest.raises(RawDataError, match="The books file cannot be read") as caught:
        ingest("books", raw, tmp_path / "out", DuckLimits("20MB", 1), reject_ceiling=1.0)
    assert str(raw) in caught.value.expected
    assert "OutOfMemoryException" in caught.value.found


def in_time(action, seconds=30.0):
    """What `action` returns or raises; a failure if it does not end."""
    outcome = []

    def call():
        try:
            outcome.append(action())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    assert outcome, "it hangs"
    return outcome[0]


def test_a_file_that_is_gone_or_no_gzip_does_not_hang(tmp_path):
    gone = in_time(lambda: run("books", tmp_path / "gone.json.gz", tmp_path / "out"))
    assert isinstance(gone, RawDataError)
    assert "FileNotFoundError" in gone.found
    (tmp_path / "plain.json.gz").write_text('{"book_id": "1"}')
    plain = in_time(lambda: run("books", tmp_path / "plain.json.gz", tmp_path / "out2"))
    assert isinstance(plain, RawDataError)
    assert plain.what == "A raw file is damaged"
    assert "byte 16 of 16, after 0 decompressed bytes" in plain.found


def test_a_reader_that_fails_at_once_or_midway_does_not_hang(tmp_path, write_gz):
    raw = write_gz(tmp_path / "b.json.gz", [{**BOOK, "book_id": str(n)} for n in range(5000)])

    def leave(read: int) -> None:
        with decompressed(raw, tmp_path) as pipe:
            file = Path(pipe).open("rb") if read else None  # noqa: SIM115  # stays open, as a failed query may leave it
            if file is not None:
                file.read(read)
            raise KeyError(pipe)

    for read in [0] * 20 + [1, 100_000]:
        assert isinstance(in_time(lambda read=read: leave(read)), KeyError)
    assert list(tmp_path.iterdir()) == [raw]


def test_damage_is_told_even_if_the_reader_failed_as_well(tmp_path, write_gz):
    raw = write_gz(tmp_path / "b.json.gz", [{**BOOK, "book_id": str(n)} for n in range(5000)])
    raw.write_bytes(raw.read_bytes()[:-8])

    def read_and_fail() -> None:
        with decompressed(raw, tmp_path) as pipe, Path(pipe).open("rb") as file:
            file.read()
            raise duckdb.IOException("the query failed")

    error = in_time(read_and_fail)
    assert isinstance(error, RawDataError)
    assert error.what == "A raw file is damaged"
