"""Books, authors and reviews to documents: whole rows, and nothing lost to a missing part."""

import hashlib
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from viberary_pipeline.catalogue.duck import DuckLimits, connect
from viberary_pipeline.documents.build import build_documents, prepare
from viberary_pipeline.documents.recipes import RECIPES, recipe_named
from viberary_pipeline.errors import RawDataError, SettingsError

LIMITS = DuckLimits("1GB", 2)
BOOKS = """book_id VARCHAR, work_id VARCHAR, title VARCHAR, description VARCHAR, language_code VARCHAR,
    publication_year INTEGER, average_rating DOUBLE, ratings_count BIGINT, text_reviews_count BIGINT, link VARCHAR,
    authors STRUCT(author_id VARCHAR, "role" VARCHAR)[]"""
AUTHORS = 'author_id VARCHAR, "name" VARCHAR'
REVIEWS = "review_id VARCHAR, book_id VARCHAR, review_text VARCHAR, n_votes INTEGER"
LONG = "A review that is long enough to say something about it."


def table(folder: Path, name: str, columns: str, rows: list[dict[str, Any]]) -> Path:
    (folder / f"{name}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE t ({columns})")
    if rows:
        connection.execute(f"INSERT INTO t BY NAME SELECT * FROM read_json('{folder / name}.json', format = 'nd')")
    connection.execute(f"COPY t TO '{folder / name}.parquet'")
    return folder / f"{name}.parquet"


def build(
    folder: Path,
    books: list[dict],
    authors: list[dict] = (),
    reviews: list[dict] = (),
    recipe: str = "title-first",
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    tables = {
        "books": table(folder, "books", BOOKS, books),
        "authors": table(folder, "authors", AUTHORS, list(authors)),
        "reviews": table(folder, "reviews", REVIEWS, list(reviews)),
    }
    facts = build_documents(tables, folder, LIMITS, recipe_named(recipe), reviews_per_work=2)
    documents = duckdb.sql(f"SELECT * FROM '{folder}/documents.parquet'").to_arrow_table().to_pylist()
    return facts, documents


def test_editions_of_a_work_become_one_document(tmp_path):
    facts, documents = build(
        tmp_path,
        [
            {
                "book_id": "11",
                "work_id": "1",
                "title": "Moby-Dick",
                "language_code": "en-US",
                "description": "A whale &amp; a grudge.",
                "publication_year": 1992,
                "average_rating": 4.0,
                "ratings_count": 30,
                "text_reviews_count": 3,
                "link": "https://example.org/11",
                "authors": [
                    {"author_id": "a3", "role": "Illustrator"},
                    {"author_id": "a1", "role": ""},
                    {"author_id": "a2", "role": ""},
                    {"author_id": "gone", "role": ""},
                ],
            },
            {
                "book_id": "12",
                "work_id": "1",
                "title": "Moby Dick oder der Wal",
                "language_code": "ger",
                "publication_year": 1851,
                "average_rating": 3.0,
                "ratings_count": 90,
                "text_reviews_count": 4,
            },
        ],
        [
            {"author_id": "a1", "name": "Herman Melville"},
            {"author_id": "a2", "name": "A Friend"},
            {"author_id": "a3", "name": "Rockwell Kent"},
        ],
        [
            {"review_id": "r1", "book_id": "11", "review_text": LONG, "n_votes": 1},
            {
                "review_id": "r2",
                "book_id": "12",
                "review_text": f"{LONG} More votes, so it comes first.",
                "n_votes": 9,
            },
            {"review_id": "r3", "book_id": "12", "review_text": LONG, "n_votes": 0},
            {"review_id": "r4", "book_id": "12", "review_text": "Too short.", "n_votes": 99},
            {"review_id": "r5", "book_id": "404", "review_text": LONG, "n_votes": 99},
        ],
    )
    text = f"Moby-Dick by Herman Melville, A Friend. A whale & a grudge. {LONG} More votes, so it comes first. {LONG}"
    assert documents == [
        {
            "work_id": "1",
            "book_id": "11",
            "title": "Moby-Dick",
            "author": "Herman Melville",
            "authors": "Herman Melville, A Friend",
            "description": "A whale & a grudge.",
            "link": "https://example.org/11",
            "language": "eng",
            "publication_year": 1851,
            "average_rating": 3.25,
            "ratings_count": 120,
            "review_count": 7,
            "editions": 2,
            "reviews_used": 2,
            "thin": False,
            "text": text,
            "text_hash": hashlib.sha256(text.encode()).hexdigest(),
        }
    ]
    assert facts == {
        "rows": 1,
        "thin": 0,
        "editions": 2,
        "excluded": {"review_of_unknown_book": 1, "unknown_author_id": 1},
    }


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_no_missing_part_erases_the_text(tmp_path, recipe):
    """The seed joined with ||, where one NULL makes everything NULL."""
    facts, documents = build(
        tmp_path,
        [
            {"book_id": "1", "title": "Only a Title"},
            {"book_id": "2", "title": "With Author", "authors": [{"author_id": "a", "role": ""}]},
            {"book_id": "3", "title": "With Description", "description": "Described."},
            {"book_id": "4", "title": "With Review"},
        ],
        [{"author_id": "a", "name": "Ann"}],
        [{"review_id": "r", "book_id": "4", "review_text": LONG, "n_votes": None}],
        recipe,
    )
    texts = {document["book_id"]: document["text"] for document in documents}
    assert (
        texts
        == {
            "title-first": {
                "1": "Only a Title.",
                "2": "With Author by Ann.",
                "3": "With Description. Described.",
                "4": f"With Review. {LONG}",
            },
            "seed": {
                "1": "Only a Title",
                "2": "With Author Ann",
                "3": "With Description Described.",
                "4": f"{LONG} With Review",
            },
        }[recipe]
    )
    assert [(document["work_id"], document["thin"]) for document in documents] == [
        ("b1", True),
        ("b2", True),
        ("b3", False),
        ("b4", False),
    ]
    assert facts["thin"] == 2


def test_a_book_without_an_author_without_role_shows_who_there_is(tmp_path):
    _, documents = build(
        tmp_path,
        [{"book_id": "1", "title": "Plates", "authors": [{"author_id": "a", "role": "Photographs"}]}],
        [{"author_id": "a", "name": "Ansel"}],
    )
    assert [(d["author"], d["authors"]) for d in documents] == [("Ansel", "Ansel")]


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("<b>Bold</b> &amp; <i>italic</i><br />next", "Bold & italic next"),
        ("Caf&eacute;, &#8220;quoted&#8221; and a < b, b > c", "Café, “quoted” and a < b, b > c"),
        ("before (view spoiler)[the butler (hide spoiler)] after", "before after"),
        ("x (view spoiler)[one (hide spoiler)] y (view spoiler)[two (hide spoiler)] z", "x y z"),
        ("see https://example.org/a?b=c and www.example.org now", "see and now"),
        ("zero\u200bwidth\ufeff, tab\tand\r\nlines\u00a0\u2028end", "zerowidth, tab and lines end"),
        ("<script>alert('x')</script>safe<style>p {}</style>", "safe"),
        ("Cafe\u0301", "Café"),
        ("nul\x00byte", "nul byte"),
        ("caf\u00e9\x00 and the rest", "caf\u00e9 and the rest"),
        ("caf\u00e9&#0; cafe\u0301\x07bell", "caf\u00e9\ufffd caf\u00e9 bell"),
        ("5 &lt; 6 stays as it was meant", "5 < 6 stays as it was meant"),
        ("I <3 this", "I <3 this"),
        ("<p> </p>", None),
        ("", None),
        (None, None),
    ],
)
def test_clean_text(tmp_path, dirty, clean):
    with connect(LIMITS, tmp_path) as connection:
        prepare(connection, RECIPES["title-first"])
        assert connection.execute("SELECT clean_text($t::VARCHAR)", {"t": dirty}).fetchone() == (clean,)


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("eng", "eng"),
        ("en-US", "eng"),
        ("en", "eng"),
        ("EN-gb", "eng"),
        ("enm", "enm"),
        ("spa", "spa"),
        ("--", None),
        (None, None),
    ],
)
def test_language_codes(tmp_path, code, language):
    with connect(LIMITS, tmp_path) as connection:
        prepare(connection, RECIPES["title-first"])
        assert connection.execute("SELECT language_of($c::VARCHAR)", {"c": code}).fetchone() == (language,)


def test_poor_reviews_take_no_places_of_good_ones(tmp_path):
    good = [f"{LONG} Number {n}." for n in range(2)]
    poor = [
        *[LONG] * 4,
        f"<p>{LONG}</p>",
        f"<i>{LONG}</i>",
        "<br />" * 20,
        "<b>Wow!</b> (view spoiler)[" + "the butler did it " * 5 + "(hide spoiler)]",
    ]
    reviews = [
        {"review_id": f"p{n}", "book_id": "1", "review_text": text, "n_votes": 99 - n} for n, text in enumerate(poor)
    ] + [{"review_id": f"g{n}", "book_id": "1", "review_text": text, "n_votes": 2 - n} for n, text in enumerate(good)]
    _, (document,) = build(tmp_path, [{"book_id": "1", "title": "T"}], reviews=reviews)
    assert (document["text"], document["reviews_used"]) == (f"T. {LONG} {good[0]}", 2)


def test_a_description_that_says_nothing_gives_way_to_one_that_does(tmp_path):
    empty = {"work_id": "1", "title": "T", "language_code": "eng"}
    _, (document,) = build(
        tmp_path,
        [
            {**empty, "book_id": "1", "description": "<p> <br /></p>", "ratings_count": 99},
            {**empty, "book_id": "2", "description": "\u200b&nbsp;\n", "ratings_count": 98},
            {**empty, "book_id": "3", "description": "<i>A whale.</i>", "ratings_count": 1},
        ],
    )
    assert (document["book_id"], document["description"], document["thin"]) == ("1", "A whale.", False)


def test_names_are_clean_and_named_once(tmp_path):
    _, (document,) = build(
        tmp_path,
        [
            {
                "book_id": "1",
                "title": "T",
                "authors": [
                    {"author_id": "b", "role": "Editor"},
                    {"author_id": "a", "role": ""},
                    {"author_id": "b", "role": ""},
                    {"author_id": "a", "role": ""},
                ],
            }
        ],
        [{"author_id": "a", "name": "Bront\u00eb &amp; <b>Sons</b>\u200b"}, {"author_id": "b", "name": "B"}],
    )
    assert (document["author"], document["authors"]) == ("Bront\u00eb & Sons", "Bront\u00eb & Sons, B")


def test_titles_and_descriptions_are_cut(tmp_path):
    _, (document,) = build(tmp_path, [{"book_id": "1", "title": "t" * 9000, "description": "d" * 9000}])
    assert (document["title"], document["description"]) == ("t" * 500, "d" * 5000)


def test_no_books_is_an_error(tmp_path):
    with pytest.raises(RawDataError, match="There are no documents"):
        build(tmp_path, [])


def test_an_unknown_recipe_is_named():
    with pytest.raises(SettingsError, match="seed, title-first"):
        recipe_named("sprout")
