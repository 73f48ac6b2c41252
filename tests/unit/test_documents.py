"""Books, authors, reviews, works, genres and series to documents: whole rows, and nothing lost to a missing part."""

import hashlib
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from viberary_pipeline.documents import assemble as documents_build
from viberary_pipeline.documents.assemble import build_documents, prepare
from viberary_pipeline.documents.recipes import RECIPES, recipe_named
from viberary_pipeline.documents.rules import DocumentRules, language_subtag
from viberary_pipeline.duck import DuckLimits, connect
from viberary_pipeline.errors import RawDataError, SettingsError

LIMITS = DuckLimits("1GB", 2)
COLUMNS = {
    "books": """book_id VARCHAR, work_id VARCHAR, title VARCHAR, description VARCHAR, "language" VARCHAR,
        publication_year INTEGER, average_rating DOUBLE, ratings_count BIGINT, text_reviews_count BIGINT, link VARCHAR,
        image_url VARCHAR, isbn VARCHAR, isbn13 VARCHAR, asin VARCHAR, kindle_asin VARCHAR, format VARCHAR,
        publisher VARCHAR, authors STRUCT(author_id VARCHAR, "role" VARCHAR)[] DEFAULT [],
        series VARCHAR[] DEFAULT []""",
    "authors": 'author_id VARCHAR, "name" VARCHAR',
    "reviews": """review_id VARCHAR, book_id VARCHAR, rating INTEGER, review_text VARCHAR, text_length INTEGER,
        text_hash UBIGINT, n_votes INTEGER""",
    "works": "work_id VARCHAR, original_title VARCHAR, original_publication_year INTEGER, year_is_uncertain BOOLEAN",
    "genres": 'book_id VARCHAR, genres STRUCT("name" VARCHAR, "count" BIGINT)[]',
    "series": "series_id VARCHAR, title VARCHAR",
}
COVER = "https://images.example.org/books/11.jpg"
LONG = "A review that is long enough to say something about it."
ANN = [{"author_id": "a", "name": "Ann"}]


def table(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    """The rows as Parquet; the reviews as a folder of parts, of two rows each."""
    (folder / f"{name}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE t ({COLUMNS[name]})")
    if rows:
        connection.execute(f"INSERT INTO t BY NAME SELECT * FROM read_json('{folder / name}.json', format = 'nd')")
    if name != "reviews":
        connection.execute(f"COPY t TO '{folder / name}.parquet'")
        return folder / f"{name}.parquet"
    connection.execute("UPDATE t SET text_length = coalesce(length(review_text), 0), text_hash = hash(review_text)")
    connection.execute("UPDATE t SET text_hash = NULL WHERE review_text IS NULL")
    parts = folder / "reviews.parquet"
    parts.mkdir()
    for part in range(len(rows) // 2 + 1):
        connection.execute(f"COPY (SELECT * FROM t WHERE rowid // 2 = {part}) TO '{parts}/part-{part:05}.parquet'")
    return parts


def build(
    folder: Path,
    books: list[dict],
    authors: list[dict] = (),
    reviews: list[dict] = (),
    recipe: str = "title-first",
    works: list[dict] = (),
    genres: list[dict] = (),
    series: list[dict] = (),
    **rules: Any,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    given = {"books": books, "authors": authors, "reviews": reviews, "works": works, "genres": genres, "series": series}
    tables = {name: table(folder, name, list(rows)) for name, rows in given.items()}
    rules = DocumentRules(**{"reviews_per_work": 2, **rules})
    facts = build_documents(tables, folder, LIMITS, recipe_named(recipe), rules)
    documents = duckdb.sql(f"SELECT * FROM '{folder}/documents.parquet'").to_arrow_table().to_pylist()
    return facts, documents


def reviews_of(book: str, *texts: str, **columns: Any) -> list[dict[str, Any]]:
    """Reviews of one book, most votes first."""
    return [
        {"review_id": f"{book}-{n}", "book_id": book, "review_text": text, "n_votes": len(texts) - n, **columns}
        for n, text in enumerate(texts)
    ]


def test_editions_of_a_work_become_one_document(tmp_path):
    facts, documents = build(
        tmp_path,
        [
            {
                "book_id": "11",
                "work_id": "1",
                "title": "Moby-Dick",
                "language": "en",
                "description": "A whale & a grudge.",
                "publication_year": 1992,
                "format": "Paperback",
                "publisher": "Penguin",
                "average_rating": 4.0,
                "ratings_count": 30,
                "text_reviews_count": 3,
                "link": "https://example.org/11",
                "image_url": COVER,
                "isbn": "0142437247",
                "isbn13": "9780142437247",
                "authors": [
                    {"author_id": "a3", "role": "Illustrator"},
                    {"author_id": "a1", "role": ""},
                    {"author_id": "a2", "role": ""},
                    {"author_id": "gone", "role": ""},
                ],
                "series": ["s2", "s1", "gone"],
            },
            {
                "book_id": "12",
                "work_id": "1",
                "title": "Moby Dick oder der Wal",
                "language": "de",
                "publication_year": 1851,
                "average_rating": 3.0,
                "ratings_count": 90,
                "text_reviews_count": 4,
                "kindle_asin": "B00WHALE00",
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
            {"review_id": "r6", "book_id": "11", "review_text": None},
        ],
        works=[{"work_id": "1", "original_title": "The Whale", "original_publication_year": 1850}, {"work_id": "9"}],
        genres=[
            {"book_id": "11", "genres": [{"name": "sea", "count": 40}, {"name": "cooking", "count": 5}]},
            {"book_id": "12", "genres": [{"name": "revenge", "count": 50}, {"name": "sea", "count": 4}]},
        ],
        series=[{"series_id": "s1", "title": "Whales &amp; Men"}, {"series_id": "s2", "title": "Old Books"}],
    )
    text = (
        "Moby-Dick. Moby-Dick by Herman Melville, A Friend. A whale & a grudge. "
        f"{LONG} More votes, so it comes first. {LONG}"
    )
    assert documents == [
        {
            "work_id": "1",
            "book_id": "11",
            "title": "Moby-Dick",
            "author": "Herman Melville",
            "authors": "Herman Melville, A Friend, Rockwell Kent (Illustrator)",
            "contributors": [
                {"name": "Herman Melville", "role": ""},
                {"name": "A Friend", "role": ""},
                {"name": "Rockwell Kent", "role": "Illustrator"},
            ],
            "description": "A whale & a grudge.",
            "link": "https://example.org/11",
            "image_url": COVER,
            "language": "en",
            "publication_year": 1850,
            "year_of": "work",
            "average_rating": 3.25,
            "ratings_count": 120,
            "review_count": 7,
            "editions": 2,
            "edition_list": [
                {
                    "book_id": "11",
                    "title": "Moby-Dick",
                    "year": 1992,
                    "language": "en",
                    "format": "Paperback",
                    "publisher": "Penguin",
                    "isbn": "9780142437247",
                },
                {
                    "book_id": "12",
                    "title": "Moby Dick oder der Wal",
                    "year": 1851,
                    "language": "de",
                    "format": None,
                    "publisher": None,
                    "isbn": None,
                },
            ],
            "reviews_used": 2,
            "thin": False,
            "genres": ["revenge", "sea"],
            "series": ["Old Books", "Whales & Men"],
            "other_titles": ["Moby Dick oder der Wal", "The Whale"],
            "isbns": ["0142437247", "9780142437247"],
            "edition_ids": ["12", "B00WHALE00"],
            "shelves": [],
            "reviews": [f"{LONG} More votes, so it comes first.", LONG],
            "text": text,
            "text_hash": hashlib.sha256(text.encode()).hexdigest(),
            "field_sources": [
                (field, ["ucsd"])
                for field in (
                    *("title", "authors", "description", "link", "image_url", "language", "publication_year"),
                    *("ratings_count", "review_count", "editions", "genres", "series", "reviews"),
                )
            ],
        }
    ]
    assert facts == {
        "rows": 1,
        "thin": 0,
        "editions": 2,
        "reviews_used": 2,
        "reviews_not_needed": 0,
        "excluded": {
            "review_of_unknown_book": 1,
            "review_without_text": 1,
            "review_too_short": 1,
            "review_repeated": 1,
            "unknown_author_id": 1,
            "unknown_series_id": 1,
        },
        "filtered": {},
        "joined": 0,
        "same_title_author": 0,
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
    title_first = {
        "1": "Only a Title. Only a Title.",
        "2": "With Author. With Author by Ann.",
        "3": "With Description. With Description. Described.",
        "4": f"With Review. With Review. {LONG}",
    }
    assert (
        texts
        == {
            "title-shelves": title_first,
            "title-first": title_first,
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
    assert [(d["author"], d["authors"]) for d in documents] == [("Ansel", "Ansel (Photographs)")]


def test_poor_reviews_take_no_places_of_good_ones(tmp_path):
    good = [f"{LONG} Number {n}." for n in range(2)]
    poor = [
        *[LONG] * 4,
        f"<p>{LONG}</p>",
        "<b>Wow!</b> (view spoiler)[" + "the butler did it " * 5 + "(hide spoiler)]",
    ]
    reviews = [
        {"review_id": f"p{n}", "book_id": "1", "review_text": text, "n_votes": 99 - n} for n, text in enumerate(poor)
    ] + [{"review_id": f"g{n}", "book_id": "1", "review_text": text, "n_votes": 2 - n} for n, text in enumerate(good)]
    _, (document,) = build(tmp_path, [{"book_id": "1", "title": "T"}], reviews=reviews)
    assert (document["text"], document["reviews_used"]) == (f"T. T. {LONG} {good[0]}", 2)


def test_the_description_is_that_of_the_most_preferred_edition_with_one(tmp_path):
    edition = {"work_id": "1", "title": "T"}
    _, (document,) = build(
        tmp_path,
        [
            {**edition, "book_id": "1", "language": "en", "ratings_count": 1},
            {**edition, "book_id": "2", "language": "de", "ratings_count": 99, "description": "Ein Wal."},
            {**edition, "book_id": "3", "description": "A whale."},
        ],
    )
    assert (document["book_id"], document["description"], document["thin"]) == ("1", "A whale.", False)


@pytest.mark.parametrize(
    ("editions", "shown"),
    [
        ([{"language": "de", "ratings_count": 99}, {"ratings_count": 5}, {"language": "en"}], "3"),
        ([{"language": "de", "ratings_count": 99}, {}], "2"),
        ([{"language": "en", "ratings_count": 99}, {"language": "en", "description": "D."}], "2"),
        ([{"ratings_count": 3}, {"ratings_count": 4}, {}], "2"),
        ([{"book_id": "10"}, {"book_id": "9"}], "9"),
    ],
    ids=["reader's language", "unknown before other", "description", "most ratings", "lowest book_id"],
)
def test_the_representative_edition(tmp_path, editions, shown):
    books = [{"book_id": str(n), "work_id": "1", "title": "T", **e} for n, e in enumerate(editions, 1)]
    _, documents = build(tmp_path, books)
    assert [(d["book_id"], d["editions"]) for d in documents] == [(shown, len(editions))]


@pytest.mark.parametrize(
    ("pictures", "shown"), [(["a", "b"], "a"), ([None, "b"], "b"), (["a", None], "a"), ([None, None], "")]
)
def test_a_work_has_the_picture_of_its_representative_edition_or_of_the_one_that_is_described(
    tmp_path, pictures, shown
):
    books = [
        {"book_id": "1", "work_id": "1", "title": "T", "language": "en", "image_url": pictures[0]},
        {"book_id": "2", "work_id": "1", "title": "T", "language": "fr", "image_url": pictures[1], "description": LONG},
    ]
    _, (document,) = build(tmp_path, books)
    assert (document["book_id"], document["image_url"]) == ("1", shown)


def test_books_of_an_older_version_have_no_pictures(tmp_path, monkeypatch):
    monkeypatch.setitem(COLUMNS, "books", COLUMNS["books"].replace("image_url VARCHAR, ", ""))
    _, (document,) = build(tmp_path, [{"book_id": "1", "work_id": "1", "title": "T"}])
    assert document["image_url"] == ""


@pytest.mark.parametrize(
    ("works", "years", "expected"),
    [
        ([{"work_id": "1", "original_publication_year": -720}], [1993, 1950], (-720, "work")),
        (
            [{"work_id": "1", "original_publication_year": 1900, "year_is_uncertain": True}],
            [1],
            (1900, "work, uncertain"),
        ),
        ([{"work_id": "1", "original_publication_year": 1900, "year_is_uncertain": False}], [1], (1900, "work")),
        ([{"work_id": "1", "year_is_uncertain": None}], [1950, 1993], (1950, "edition")),
        ([], [1993, 1950], (1950, "earliest edition")),
        ([], [None, 1950], (1950, "earliest edition")),
        ([], [None, None], (None, None)),
    ],
)
def test_a_year_says_whose_it_is(tmp_path, works, years, expected):
    books = [{"book_id": str(n), "work_id": "1", "title": "T", "publication_year": y} for n, y in enumerate(years)]
    _, (document,) = build(tmp_path, books, works=works)
    assert (document["publication_year"], document["year_of"]) == expected


def test_a_document_tells_of_twelve_editions(tmp_path):
    _, (document,) = build(tmp_path, [{"book_id": str(n), "work_id": "1", "title": "T"} for n in range(1, 15)])
    assert [edition["book_id"] for edition in document["edition_list"]] == [str(n) for n in range(1, 13)]


def test_documents_come_in_the_order_of_work_id_and_in_portions(tmp_path, monkeypatch):
    monkeypatch.setattr(documents_build, "_WORKS_AT_ONCE", 2)
    books = [
        {"book_id": str(n), "title": f"T{n}", "authors": [{"author_id": "a", "role": ""}]} for n in (5, 3, 1, 4, 2)
    ]
    facts, documents = build(tmp_path, books, ANN, [r for n in "12345" for r in reviews_of(n, f"{LONG} {n}")])
    assert [(d["work_id"], d["title"], d["author"], d["text"]) for d in documents] == [
        (f"b{n}", f"T{n}", "Ann", f"T{n}. T{n} by Ann. {LONG} {n}") for n in range(1, 6)
    ]
    assert (facts["rows"], facts["editions"]) == (5, 5)


@pytest.mark.parametrize("most", [1, 2, 3, 6])
def test_readers_who_liked_a_work_and_the_others_take_turns(tmp_path, most):
    """The best of each first: most votes, then longest, then first in the table."""
    opinions = {  # text: (rating, votes)
        f"Last. {LONG}": (2, 3),
        f"Cool. {LONG}": (1, 3),
        f"Colder. {LONG}": (None, 3),
        f"Good. {LONG}": (4, 1),
        f"Great. {LONG}": (4, 80),
        f"Best. {LONG}": (5, 90),
    }
    reviews = [
        {"review_id": text, "book_id": "1", "review_text": text, "rating": rating, "n_votes": votes}
        for text, (rating, votes) in opinions.items()
    ]
    _, (document,) = build(tmp_path, [{"book_id": "1", "title": "T"}], reviews=reviews, reviews_per_work=most)
    order = ["Best.", "Colder.", "Great.", "Last.", "Good.", "Cool."][:most]
    assert (document["text"], document["reviews_used"]) == (" ".join(["T. T.", *(f"{o} {LONG}" for o in order)]), most)


def test_reviews_in_the_reader_s_language_come_first_where_there_is_a_choice(tmp_path):
    spanish = "Una novela muy bonita sobre el amor y la muerte, la recomiendo a todos los lectores."
    french = "Un roman magnifique sur la mer et la vengeance, je le recommande a tous les lecteurs."
    english = "This is a story of the sea and of revenge, and I would read it with pleasure again."
    books = [{"book_id": "1", "title": "T", "language": "es"}]
    found = {}
    for most in (1, 2, 3, 4):
        folder = tmp_path / str(most)
        folder.mkdir()
        _, (document,) = build(folder, books, reviews=reviews_of("1", french, spanish, english), reviews_per_work=most)
        found[most] = document["text"]
    assert found == {
        1: f"T. T. {english}",
        2: f"T. T. {english} {spanish}",
        # No choice has to be made: the order of the votes.
        3: f"T. T. {french} {spanish} {english}",
        4: f"T. T. {french} {spanish} {english}",
    }


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
    with pytest.raises(SettingsError, match="seed, title-first, title-shelves"):
        recipe_named("sprout")


@pytest.mark.parametrize(
    ("text", "most", "cut"),
    [
        ("one two three", 13, "one two three"),
        ("one two three", 10, "one two"),
        ("one <a href='x y'>two</a>", 14, "one"),
        ("1 < 2 and I <3 it all", 18, "1 < 2 and I <3 it"),
        ("one &quot;two&quot;", 7, "one"),
        ("海&amp;海", 4, "海"),
        ("one (view spoiler)[the butler", 8, "one"),
        ("one (view spoiler)[the butler", 12, "one"),
        ("one (view spoiler)[the butler", 18, "one"),
        ("海 " + "海" * 99, 60, "海 " + "海" * 58),
        (None, 9, None),
    ],
)
def test_a_cut_leaves_nothing_half(tmp_path, text, most, cut):
    with connect(LIMITS, tmp_path) as connection:
        prepare(connection, RECIPES["title-first"])
        found = connection.execute("SELECT cut_text($text::VARCHAR, $most)", {"text": text, "most": most}).fetchone()
    assert [part if part is None else part.strip() for part in found or ()] == [cut]


def test_long_reviews_are_cut(tmp_path):
    """A spoiler that is open at the cut goes to its end."""
    spoiler = "other " * 70 + "(view spoiler)[" + "the butler did it " * 99 + "(hide spoiler)]"
    _, (document,) = build(
        tmp_path, [{"book_id": "1", "title": "T"}], reviews=reviews_of("1", "word " * 999, spoiler, "<p>" * 333)
    )
    assert (document["text"], document["reviews_used"]) == ("T. T. " + "word " * 100 + ("other " * 70).strip(), 2)


@pytest.mark.parametrize(
    ("title", "key"),
    [
        ("The Hobbit (Middle-earth, #0)", "thehobbit"),
        ("  the HOBBIT! ", "thehobbit"),
        ("Solaris (1961)", "solaris1961"),
        ("Война и мир", "войнаимир"),
        ("(#1)", None),
        ("?!", None),
    ],
)
def test_title_keys(tmp_path, title, key):
    with connect(LIMITS, tmp_path) as connection:
        prepare(connection, RECIPES["title-first"])
        assert connection.execute("SELECT title_key($title)", {"title": title}).fetchone() == (key,)


def test_titles_without_a_letter_are_not_the_same(tmp_path):
    by_ann = {"authors": [{"author_id": "a", "role": ""}]}
    books = [{"book_id": n, "title": title, **by_ann} for n, title in (("1", "!!!"), ("2", "???"))]
    facts, _ = build(tmp_path, books, ANN)
    assert facts["same_title_author"] == 0


def test_works_that_may_be_the_same_are_reported_and_not_joined(tmp_path):
    by_ann = {"authors": [{"author_id": "b", "role": "Illustrator"}, {"author_id": "a", "role": ""}]}
    by_bob = {"authors": [{"author_id": "b", "role": "Editor"}]}
    facts, documents = build(
        tmp_path,
        [
            {"book_id": "1", "work_id": "10", "title": "The Sea", "ratings_count": 5, **by_ann},
            {"book_id": "2", "work_id": "10", "title": "the sea!", "ratings_count": 6, **by_ann},
            {"book_id": "3", "work_id": "11", "title": "The Sea (Seas, #1)", "ratings_count": 40, **by_ann},
            {"book_id": "4", "title": "The Sea", **by_ann},
            {"book_id": "5", "work_id": "13", "title": "The Sea", **by_bob},
            {"book_id": "6", "work_id": "14", "title": "The Sea"},
            {"book_id": "7", "work_id": "15", "title": "The Sea"},
            {"book_id": "8", "work_id": "16", "title": "Land", **by_bob},
            {"book_id": "9", "work_id": "16", "title": "Land", **by_bob},
        ],
        [*ANN, {"author_id": "b", "name": "Bob"}],
    )
    same = duckdb.sql(f"SELECT * FROM '{tmp_path}/same_title_author.parquet'").to_arrow_table().to_pylist()
    assert same == [
        {
            "title": "The Sea (Seas, #1)",
            "author": "Ann",
            "work_ids": ["11", "10", "b4"],
            "books": [1, 2, 1],
            "ratings": [40, 11, 0],
        }
    ]
    assert (facts["same_title_author"], facts["rows"], len(documents)) == (1, 7, 7)


FILTERED = [
    {"book_id": "1", "work_id": "1", "title": "En", "language": "en", "ratings_count": 5, "description": "D."},
    {"book_id": "2", "work_id": "2", "title": "Es", "language": "es", "ratings_count": 1, "description": "D."},
    {"book_id": "3", "work_id": "3", "title": "Unknown", "ratings_count": 9},
    {"book_id": "4", "work_id": "4", "title": "Both", "language": "en", "ratings_count": 2, "description": "D."},
    {"book_id": "5", "work_id": "4", "title": "Ambos", "language": "es", "ratings_count": 2},
    {"book_id": "6", "work_id": "6", "title": "Read", "language": "en", "ratings_count": 9},
]


@pytest.mark.parametrize(
    ("rules", "titles", "filtered"),
    [
        ({}, ["En", "Es", "Unknown", "Both", "Read"], {}),
        ({"languages": ("en",)}, ["En", "Both", "Read"], {"language": 2}),
        ({"languages": ("es", "und")}, ["Es", "Unknown", "Ambos"], {"language": 2}),
        ({"reader_language": "es"}, ["En", "Es", "Unknown", "Ambos", "Read"], {}),
        ({"min_ratings": 4}, ["En", "Unknown", "Both", "Read"], {"min_ratings": 1}),
        ({"keep_thin": False}, ["En", "Es", "Both", "Read"], {"thin": 1}),
        ({"left_out": ("2", "4", "absent")}, ["En", "Unknown", "Read"], {"left_out": 2}),
        (
            {"languages": ("en", "und"), "min_ratings": 5, "keep_thin": False},
            ["En", "Read"],
            {"language": 1, "min_ratings": 1, "thin": 1},
        ),
    ],
    ids=[
        "none",
        "language",
        "und",
        "reader's language",
        "ratings over editions",
        "thin",
        "works by id",
        "all, in order",
    ],
)
def test_filters_count_what_they_leave_out(tmp_path, rules, titles, filtered):
    facts, documents = build(tmp_path, FILTERED, reviews=reviews_of("6", LONG), **rules)
    assert ([d["title"] for d in documents], facts["filtered"]) == (titles, filtered)
    assert facts["rows"] + sum(filtered.values()) == 5
    read = "Read" in titles
    assert (facts["reviews_used"], facts["excluded"]) == (int(read), {} if read else {"review_of_filtered_work": 1})


def test_filters_that_leave_nothing_say_how_many_each_took(tmp_path):
    with pytest.raises(RawDataError) as error:
        build(tmp_path, FILTERED[:4], languages=("en", "und"), min_ratings=6, keep_thin=False)
    assert error.value.found == "4 works, left out by language: 1, min_ratings: 2, thin: 1"


def test_what_cleaning_takes_from_reviews_is_counted(tmp_path):
    facts, (document,) = build(
        tmp_path,
        [{"book_id": "1", "title": "T"}],
        reviews=reviews_of("1", LONG, f"<p>{LONG}</p>", "<br />" * 20, LONG),
    )
    assert facts["excluded"] == {
        "review_repeated": 1,
        "review_too_short_when_clean": 1,
        "review_repeated_when_clean": 1,
    }
    assert document["reviews_used"] == 1


def test_without_reviews_a_work_has_its_description(tmp_path):
    facts, (document,) = build(
        tmp_path,
        [{"book_id": "1", "title": "T", "description": "D."}],
        reviews=reviews_of("1", LONG),
        reviews_per_work=0,
    )
    assert (document["text"], document["reviews_used"], facts["excluded"]) == ("T. T. D.", 0, {})
    assert facts["reviews_not_needed"] == 1


def test_a_work_with_a_review_is_not_thin_though_no_review_may_enter_its_text(tmp_path):
    facts, (document,) = build(
        tmp_path,
        [{"book_id": "1", "title": "T"}, {"book_id": "2", "title": "Thin"}],
        reviews=reviews_of("1", LONG),
        reviews_per_work=0,
        keep_thin=False,
    )
    assert (document["title"], document["text"], document["thin"], facts["thin"]) == ("T", "T. T.", False, 0)


def test_every_review_is_used_or_in_one_of_the_counts(tmp_path):
    books = [
        {"book_id": "1", "title": "T", "language": "en"},
        {"book_id": "2", "title": "U", "language": "fr"},
    ]
    sound = [f"{LONG} And this is number {n} of them." for n in range(9)]
    reviews = [*reviews_of("1", *sound, sound[0], "Short."), *reviews_of("2", *sound), *reviews_of("404", LONG)]
    facts, _ = build(tmp_path, books, reviews=reviews, languages=("en",), reviews_per_work=3)
    assert (facts["reviews_used"], facts["reviews_not_needed"], facts["excluded"]) == (
        3,
        6,
        {"review_of_unknown_book": 1, "review_of_filtered_work": 9, "review_too_short": 1, "review_repeated": 1},
    )
    assert 3 + 6 + sum(facts["excluded"].values()) == len(reviews)


@pytest.mark.parametrize(
    "opening",
    [
        "(view spoiler)[" + "The butler did it, as one knows from the first page. " * 20 + "(hide spoiler)] ",
        '<img src="https://images.example.org/a/very/long/address/of/an/image/that/moves.gif" /> ' * 8,
    ],
    ids=["a long spoiler", "a row of images"],
)
def test_a_review_is_not_lost_for_what_it_opens_with(tmp_path, opening):
    said = "What stays is the island, and the way she writes about the weather on it. " * 10
    _, (document,) = build(tmp_path, [{"book_id": "1", "title": "T"}], reviews=reviews_of("1", opening + said))
    assert document["text"] == f"T. T. {said[:500].rsplit(' ', 1)[0]}"


def test_a_description_is_in_a_language_that_the_filter_lets_through(tmp_path):
    books = [
        {"book_id": "1", "work_id": "1", "title": "Sea", "language": "en"},
        {"book_id": "2", "work_id": "1", "title": "Meer", "language": "de", "description": "Ein Buch."},
    ]
    texts = []
    for name, languages in (("all", ()), ("english", ("en",))):
        folder = tmp_path / name
        folder.mkdir()
        texts.append(build(folder, books, languages=languages)[1][0]["text"])
    assert texts == ["Sea. Sea. Ein Buch.", "Sea. Sea."]


@pytest.mark.parametrize(
    ("code", "language"),
    [("en", "en"), ("eng", "en"), ("en-US", "en"), (" EN ", "en"), ("fre", "fr"), ("und", "und"), ("UND", "und")],
)
def test_languages_of_settings_are_named_as_the_tables_name_them(code, language):
    assert language_subtag(code, "VIBERARY_DOCUMENTS_LANGUAGES") == language


@pytest.mark.parametrize("code", ["", "english please", "xx9", "mul"])
def test_a_setting_that_names_no_language_is_refused(code):
    with pytest.raises(SettingsError, match="There is no such language") as error:
        language_subtag(code, "VIBERARY_DOCUMENTS_LANGUAGES")
    assert (error.value.found, "VIBERARY_DOCUMENTS_LANGUAGES" in error.value.todo) == (repr(code), True)


def test_genres_with_a_tenth_of_the_votes_over_all_editions(tmp_path):
    names = {"c": 10, "b": 10, "a": 60, "none": 0, "few": 9, None: 5}
    genres = [{"name": name, "count": count} for name, count in names.items()]
    _, (document,) = build(
        tmp_path,
        [{"book_id": "1", "work_id": "1", "title": "T"}, {"book_id": "2", "work_id": "1", "title": "T"}],
        genres=[
            {"book_id": "1", "genres": genres},
            {"book_id": "2", "genres": [{"name": "b", "count": 10}]},
            {"book_id": "404", "genres": [{"name": "lost", "count": 10}]},
        ],
    )
    assert document["genres"] == ["a", "b", "c"]


def test_without_the_file_of_the_series_none_is_missed(tmp_path):
    facts, (document,) = build(tmp_path, [{"book_id": "1", "title": "T", "series": ["s1"]}])
    assert (document["series"], facts["excluded"]) == ([], {})


def test_enough_reviews_plainly_in_the_reader_s_language_fill_all_places(tmp_path):
    """No other is looked at then: it may be in that language too, as the first one here is."""
    plain = [f"This is the book that they sailed with, number {n}." for n in (1, 2)]
    reviews = reviews_of("1", "I loved every page of it, what a wonderful little book.", *plain)
    texts = []
    for most in (1, 2, 3):
        folder = tmp_path / str(most)
        folder.mkdir()
        texts += [
            d["text"]
            for d in build(folder, [{"book_id": "1", "title": "T"}], reviews=reviews, reviews_per_work=most)[1]
        ]
    assert texts == [
        f"T. T. {plain[0]}",
        f"T. T. {' '.join(plain)}",
        f"T. T. {reviews[0]['review_text']} {' '.join(plain)}",
    ]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("This is the sea, and that was the ship with which they sailed.", True),
        ("The And\nTHE", True),
        ("I loved it, the end.", False),
        ("Una novela muy bonita sobre el amor y la muerte.", False),
        ("x" * 300 + " the and that", False),
        ("And this with that, from which they would.", False),
        ("The the the the.", False),
        ("Le but de ce roman. Un but: retrouver sa soeur. Son seul but dans la vie.", False),
        ("En have i byen. Vores have er lille, men en have er en have.", False),
        ("Après The Beatles and this, le récit d'une femme avec the end.", False),
        ("“The end,” he said, and this was it – that was all.", True),
        (None, None),
    ],
)
def test_plain_english(tmp_path, text, plain):
    with connect(LIMITS, tmp_path) as connection:
        prepare(connection, RECIPES["title-first"])
        assert connection.execute("SELECT is_plainly_english($text::VARCHAR)", {"text": text}).fetchone() == (plain,)


def test_shelves_of_all_editions_are_in_the_document_and_in_the_default_text(tmp_path, monkeypatch):
    columns = {"books": COLUMNS["books"] + ", popular_shelves VARCHAR[], shelf_counts INTEGER[]"}
    monkeypatch.setattr(f"{__name__}.COLUMNS", COLUMNS | columns)
    edition = {"work_id": "1", "title": "Rebecca", "description": "A house."}
    _, documents = build(
        tmp_path,
        [
            {**edition, "book_id": "1", "popular_shelves": ["to-read", "gothic"], "shelf_counts": [99, 3]},
            {**edition, "book_id": "2", "popular_shelves": ["unreliable_narrator", "owned"], "shelf_counts": [4, 2]},
            {"book_id": "3", "work_id": "2", "title": "Empty", "popular_shelves": None, "shelf_counts": None},
        ],
        recipe="title-shelves",
    )
    assert [(d["shelves"], d["text"]) for d in documents] == [
        (
            ["unreliable narrator", "gothic"],
            "Rebecca. Rebecca. Readers shelve it as: unreliable narrator, gothic. A house.",
        ),
        ([], "Empty. Empty."),
    ]
