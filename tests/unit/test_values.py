"""Values in another spelling or shape than UCSD's: one form for ids, whole numbers only, and no loss uncounted."""

import json
from pathlib import Path
from typing import Any

import pytest
from test_catalogue import AUTHOR, BOOK, REVIEW, run

from viberary_pipeline.sources.ids import canonical_id, opaque_id

SPELLINGS = ["77", "077", "+77", "77.0", "7.7e1", "770E-1", " 77 ", 77, 77.0]


def lines(path: Path, *records: dict[str, Any] | str) -> Path:
    """One record a line; NaN is written as Python's json does."""
    texts = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("".join(f"{text}\n" for text in texts))
    return path


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_id_has_one_spelling_in_every_table(tmp_path, spelling):
    book = {
        **BOOK,
        "book_id": spelling,
        "work_id": spelling,
        "series": [spelling],
        "similar_books": [spelling, "5"],
        "authors": [{"author_id": spelling, "role": ""}],
    }
    records = {
        "books": (book, ["book_id", "work_id"]),
        "authors": ({**AUTHOR, "author_id": spelling}, ["author_id"]),
        "reviews": ({**REVIEW, "book_id": spelling}, ["book_id"]),
        "works": ({"work_id": spelling, "best_book_id": spelling}, ["work_id", "best_book_id"]),
        "genres": ({"book_id": spelling, "genres": {"poetry": 1}}, ["book_id"]),
        "series": ({"series_id": spelling, "title": "T"}, ["series_id"]),
    }
    for table, (record, ids) in records.items():
        _, (row,), _ = run(table, lines(tmp_path / f"{table}.json", record), out=tmp_path / table)
        assert {name: row[name] for name in ids} == dict.fromkeys(ids, "77"), table
        assert row["nulled"] is None
        if table == "books":
            assert (row["series"], row["similar_books"]) == (["77"], ["77", "5"])
            assert row["authors"] == [{"author_id": "77", "role": ""}]


def test_two_spellings_of_one_id_are_duplicates(tmp_path):
    raw = lines(tmp_path / "b.json", {**BOOK, "book_id": "77.0"}, {**BOOK, "book_id": "077", "ratings_count": "200"})
    facts, (book,), (reject,) = run("books", raw, out=tmp_path / "out")
    assert facts["rejected"] == {"duplicate_book_id": 1}
    assert (book["book_id"], book["line"]) == ("77", 2)
    assert (reject["line"], reject["record_id"]) == (1, "77")


NO_IDS = ["1.5", "-5", "9223372036854775808", "1e400", '{"$numberInt": "1"}', True, [1], {"$numberInt": "1"}]


@pytest.mark.parametrize("value", NO_IDS)
def test_an_id_that_is_none_is_nulled_and_counted_or_rejects_the_line(tmp_path, value):
    raw = lines(
        tmp_path / "b.json", {**BOOK, "work_id": value, "similar_books": [value, "5"]}, {**BOOK, "book_id": value}
    )
    facts, (book,), (reject,) = run("books", raw, out=tmp_path / "out")
    assert (book["work_id"], book["similar_books"], book["nulled"]) == (None, ["5"], "work_id similar_books")
    assert facts["nulled"] == {"similar_books": 1, "work_id": 1}
    assert (reject["line"], reject["reason"], reject["record_id"]) == (2, "invalid_book_id", None)


@pytest.mark.parametrize("word", [float("nan"), "NaN", "nan", "None", "null", "N/A", "<NA>", " "])
def test_a_word_for_no_value_is_no_id(tmp_path, word):
    raw = lines(tmp_path / "r.json", {**REVIEW, "review_id": word}, {**REVIEW, "book_id": word}, REVIEW)
    facts, *_ = run("reviews", raw, out=tmp_path / "out")
    assert facts["rejected"] == {"missing_book_id": 1, "missing_review_id": 1}


@pytest.mark.parametrize("text", ["9e10", "00000000000000000000000000000012", "1e5f", "123e4567"])
def test_an_id_of_digits_and_letters_is_no_number(tmp_path, text):
    raw = lines(tmp_path / "r.json", {**REVIEW, "review_id": text, "user_id": text})
    _, (review,), _ = run("reviews", raw, out=tmp_path / "out")
    assert (review["review_id"], review["user_id"]) == (text, text)


def test_ids_in_python():
    assert [canonical_id(text) for text in ("0", "1e18", "9223372036854775807", "OL1W", "1e999999999999999999")] == [
        *("0", "1" + "0" * 18, "9223372036854775807", "OL1W"),
        None,
    ]
    assert opaque_id("\u200b007\n") == "007"


@pytest.mark.parametrize(
    ("title", "kept"),
    [(float("nan"), None), ("NaN", None), ("nan", None), (float("inf"), None), (True, None), ({"en": "T"}, None)]
    + [(text, text) for text in ("None", "Null", "N/A", "Infinity", "true", "[1984]", '{"a": 1}', "Nan")]
    + [(1984, "1984")],
)
def test_a_title_is_a_text_and_no_word_for_no_value(tmp_path, title, kept):
    raw = lines(tmp_path / "b.json", {**BOOK, "title": title}, {**BOOK, "book_id": "2"})
    facts, books, _ = run("books", raw, out=tmp_path / "out")
    assert [book["title"] for book in books] == [*([kept] if kept else []), "Moby-Dick"]
    assert facts["rejected"] == ({} if kept else {"missing_title": 1})


COVER = "https://images.example.org/books/1.jpg?a=b"
STAND_IN = "https://s.gr-assets.com/assets/nophoto/book/111x148-bcc042a9c91a29c1d680899eff700a03.png"


@pytest.mark.parametrize(
    ("value", "kept", "lost"),
    [(COVER, COVER, False), (f" {COVER}\n", COVER, False), ("", None, False), (STAND_IN, None, False)]
    + [(value, None, True) for value in ("1.jpg", "ftp://x.org/1.jpg", "javascript:a//b/c", {"m": COVER}, "https://x")],
)
def test_a_picture_has_an_address_and_a_stand_in_is_none(tmp_path, value, kept, lost):
    facts, (book,), _ = run("books", lines(tmp_path / "b.json", {**BOOK, "image_url": value}), out=tmp_path / "out")
    assert (book["image_url"], facts["nulled"]) == (kept, {"image_url": 1} if lost else {})


@pytest.mark.parametrize("value", [float("nan"), "None", "null", "N/A", {"en": "A whale."}, ["A whale."], False])
def test_a_text_that_is_none_is_null_and_named(tmp_path, value):
    texts = ["description", "language_code", "isbn", "isbn13", "asin", "kindle_asin", "format", "publisher", "link"]
    raw = lines(tmp_path / "b.json", {**BOOK, **dict.fromkeys(texts, value)})
    facts, (book,), _ = run("books", raw, out=tmp_path / "out")
    assert {name: book[name] for name in texts} == dict.fromkeys(texts)
    assert facts["nulled"] == dict.fromkeys(sorted(texts), 1)
    assert book["title"] == "Moby-Dick"


def test_whole_numbers_are_not_rounded(tmp_path):
    whole = ["publication_year", "publication_month", "publication_day", "num_pages", "ratings_count"]
    raw = lines(
        tmp_path / "b.json",
        {**BOOK, "book_id": "1", **dict.fromkeys(whole, "4.0")},
        {**BOOK, "book_id": "2", **dict.fromkeys(whole, 4.6)},
    )
    facts, books, _ = run("books", raw, out=tmp_path / "out")
    assert [{book[name] for name in whole} for book in books] == [{4}, {None}]
    assert facts["nulled"] == dict.fromkeys(sorted(whole), 1)
    raw = lines(tmp_path / "r.json", {**REVIEW, "rating": 4.6, "n_votes": "1.7", "n_comments": "2.0"})
    _, (review,), _ = run("reviews", raw, out=tmp_path / "reviews")
    assert (review["rating"], review["n_votes"], review["n_comments"]) == (None, None, 2)
    assert review["nulled"] == "rating n_votes"


def test_an_isbn_that_was_a_float_is_digits(tmp_path):
    raw = lines(
        tmp_path / "b.json", {**BOOK, "isbn13": 9780142437247.0}, {**BOOK, "book_id": "2", "isbn13": "0142437247"}
    )
    _, books, _ = run("books", raw, out=tmp_path / "out")
    assert [book["isbn13"] for book in books] == ["9780142437247", "0142437247"]


ONE = [{"author_id": "7", "role": "Editor"}]


@pytest.mark.parametrize(
    ("authors", "read", "outcome"),
    [
        (ONE, ONE, None),
        ("", [], None),
        (None, [], None),
        (ONE[0], ONE, "repaired"),
        (json.dumps(ONE), ONE, "repaired"),
        (repr(ONE), ONE, "repaired"),
        (repr(ONE[0]), ONE, "repaired"),
        ([repr(ONE[0])], ONE, "repaired"),
        ([7, "8.0"], [{"author_id": "7", "role": ""}, {"author_id": "8", "role": ""}], "repaired"),
        ("7", [{"author_id": "7", "role": ""}], "repaired"),
        (7, [{"author_id": "7", "role": ""}], "repaired"),
        ("[]", [], "repaired"),
        ("Herman Melville", [], "nulled"),
        (["Herman Melville"], [], "nulled"),
        ({"name": "Herman Melville"}, [], "nulled"),
        ("[{'author_id': 7", [], "nulled"),
        ([{"author_id": {"$numberInt": "7"}}], [], "nulled"),
        (True, [], "nulled"),
        (float("nan"), [], "nulled"),
    ],
)
def test_authors_of_another_shape_are_read_or_counted(tmp_path, authors, read, outcome):
    raw = lines(tmp_path / "b.json", {**BOOK, "authors": authors}, {**BOOK, "book_id": "2"})
    facts, (book, other), _ = run("books", raw, out=tmp_path / "out")
    assert book["authors"] == read
    assert other["authors"] == BOOK["authors"]
    counted = {name: facts[name].get("authors") for name in ("nulled", "repaired") if facts[name]}
    if outcome == "nulled":
        assert facts["nulled"] == {"authors": 1}
    else:
        assert counted == ({outcome: 1} if outcome else {})


@pytest.mark.parametrize(
    ("field", "value", "read", "outcome"),
    [
        ("series", "77", ["77"], "repaired"),
        ("series", "['77', 78]", ["77", "78"], "repaired"),
        ("series", [{"series_id": 77}], ["77"], "repaired"),
        ("series", {"a": 1}, [], "nulled"),
        ("similar_books", "[1, 2.0]", ["1", "2"], "repaired"),
        ("similar_books", "many", [], "nulled"),
        ("popular_shelves", ["to-read"], ["to-read"], "repaired"),
        ("popular_shelves", "[{'count': '3', 'name': 'to-read'}]", ["to-read"], "repaired"),
        ("popular_shelves", True, [], "nulled"),
        ("popular_shelves", [{"count": 1}], [], "nulled"),
    ],
)
def test_lists_of_another_shape_are_read_or_counted(tmp_path, field, value, read, outcome):
    raw = lines(tmp_path / "b.json", {**BOOK, field: value})
    facts, (book,), _ = run("books", raw, out=tmp_path / "out")
    assert book[field] == read
    assert facts[outcome] == {field: 1}


@pytest.mark.parametrize(
    ("value", "read", "outcome"),
    [
        ("{'poetry': 2}", [{"name": "poetry", "count": 2}], "repaired"),
        ([{"name": "poetry", "count": 2}], [{"name": "poetry", "count": 2}], "repaired"),
        ({"poetry": 2.5, "fiction": "3.0"}, [{"name": "fiction", "count": 3}], "nulled"),
        (["poetry"], [], "nulled"),
    ],
)
def test_genres_of_another_shape_are_read_or_counted(tmp_path, value, read, outcome):
    raw = lines(tmp_path / "g.json", {"book_id": "1", "genres": value})
    facts, (row,), _ = run("genres", raw, out=tmp_path / "out")
    assert row["genres"] == read
    assert facts[outcome] == {"genres": 1}


def test_a_list_that_no_line_has_is_no_loss(tmp_path):
    raw = lines(tmp_path / "b.json", {"book_id": 1, "title": "T"}, {"book_id": 2, "title": "U"})
    facts, books, _ = run("books", raw, out=tmp_path / "out")
    assert [(book["authors"], book["nulled"]) for book in books] == [([], None), ([], None)]
    assert (facts["nulled"], facts["repaired"]) == ({}, {})


@pytest.mark.parametrize(
    ("given", "names", "counts"),
    [
        (
            [{"name": "a", "count": "3"}, {"name": "b"}, {"name": "c", "count": "x"}, {"name": "d", "count": 7}],
            ["a", "b", "c", "d"],
            [3, 1, 1, 7],
        ),
        ([{"count": "5"}, {"name": "b", "count": "2.0"}, {"name": "c", "count": "-2"}], ["b", "c"], [2, 1]),
        (["a", {"name": "b", "count": "4"}], ["a", "b"], [1, 4]),
        ([{"name": f"s{n}", "count": "9"} for n in range(120)], [f"s{n}" for n in range(100)], [9] * 100),
        ([], [], []),
    ],
)
def test_each_shelf_has_its_count_beside_it_and_one_without_a_number_counts_once(tmp_path, given, names, counts):
    _, (book,), _ = run("books", lines(tmp_path / "b.json", {**BOOK, "popular_shelves": given}), out=tmp_path / "out")
    assert (book["popular_shelves"], book["shelf_counts"]) == (names, counts)
