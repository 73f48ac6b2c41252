"""Two sources together: which works are one, and what becomes of them in documents."""

from pathlib import Path
from typing import Any

import duckdb
import pytest
from catalogue_tables import documents_of, tables_of
from homes import write_gz
from openlibrary import by, of, record, rows_of, said, shelved, write_dump

from viberary_pipeline.errors import RawDataError
from viberary_pipeline.identifiers import identifier_key
from viberary_pipeline.sample.write import load_dirt, write_sample
from viberary_pipeline.sources.raw_files import find, listing_digest, places, source_at
from viberary_pipeline.sources.same_works.match import prepare

WHALE = "A captain hunts the white whale that took his leg, and takes his ship and crew with him."


def book(book_id: int, work_id: int, title: str, author: int = 1, **fields: Any) -> dict[str, Any]:
    """A line of UCSD's books."""
    people = [{"author_id": str(author), "role": ""}]
    return {"book_id": str(book_id), "work_id": str(work_id), "title": title, "authors": people, **fields}


def write_ucsd(folder: Path, books: list[dict[str, Any]], authors: dict[int, str]) -> None:
    write_gz(folder / "goodreads_books.json.gz", books)
    people = [{"author_id": str(number), "name": name} for number, name in authors.items()]
    write_gz(folder / "goodreads_book_authors.json.gz", people)
    review = {
        "review_id": "r1",
        "book_id": "1",
        "user_id": "u1",
        "rating": 5,
        "review_text": "No other book is like it.",
    }
    write_gz(folder / "goodreads_reviews_dedup.json.gz", [review])


def both(folder: Path, books: list[Any], writers: dict[int, str], **dump: Any) -> str:
    """The place of UCSD's files and of a dump that has readers for each of its works."""
    write_ucsd(folder / "ucsd", books, writers)
    keys = [line.split("\t")[1].rpartition("/")[2] for line in dump["works"]]
    write_dump(folder / "dump", reading_log=[line for key in keys for line in shelved(key, 1)], **dump)
    return f"{folder / 'ucsd'},{folder / 'dump'}"


def same(folder: Path, *arguments: Any, **dump: Any) -> tuple[list[tuple[Any, ...]], dict[str, Any]]:
    """The joined works as (Open Library's, UCSD's, rule, editions), and the facts."""
    _, facts = tables_of(both(folder, *arguments, **dump), folder / "out")
    found = rows_of(folder / "out" / "same" / "same_works.parquet")
    return [tuple(row.values())[:4] for row in found], facts


def work(key: str, title: str, author: str = "OL1A", **fields: Any) -> str:
    return record(key, title=title, authors=by(author), description=WHALE, **fields)


def edition(key: str, of_work: str, title: str, **fields: Any) -> str:
    return record(key, works=of(of_work), title=title, **fields)


MELVILLE = {1: "Herman Melville"}
THEIRS = [record("OL1A", name="Herman Melville")]


def test_numbers_join_before_names(tmp_path):
    pairs, facts = same(
        tmp_path,
        [
            book(1, 10, "Moby-Dick; or, The Whale"),
            book(2, 20, "Typee", isbn="0140434887"),
            book(3, 30, "Omoo"),
            book(4, 40, "White-Jacket", isbn13="9780140436860"),
        ],
        MELVILLE,
        works=[work("OL1W", "Moby Dick"), work("OL2W", "Taipi"), work("OL3W", "Omoo"), work("OL4W", "Pierre")],
        editions=[
            edition("OL1M", "OL1W", "Moby Dick", identifiers={"goodreads": ["1"]}),
            edition("OL2M", "OL2W", "Typee", isbn_13=["9780000000000", "978-0-14-043488-0"]),
        ],
        authors=THEIRS,
    )
    assert pairs == [
        ("OL1W", "10", "goodreads", 1),
        ("OL2W", "20", "isbn", 1),
        ("OL3W", "30", "title and author", 0),
    ]
    assert {
        name: facts[name] for name in ("rows", "works", "joined", "editions", "contradicted", "open", "conflicts")
    } == {
        "rows": 3,
        "works": {"openlibrary": 4, "ucsd": 4},
        "joined": {"goodreads": 1, "isbn": 1, "title and author": 1},
        "editions": 2,
        "contradicted": 0,
        "open": 0,
        "conflicts": 0,
    }
    assert facts["examples"][0] == {
        "open_library_work_id": "OL1W",
        "work_id": "10",
        "rule": "goodreads",
        "editions": 1,
        "open_library_title": "Moby Dick",
        "open_library_author": "Herman Melville",
        "title": "Moby-Dick; or, The Whale",
        "author": "Herman Melville",
    }


SAME = [
    ("Emma", "Jane Austen", "Emma", "Austen, Jane"),
    ("The Hobbit (Middle-earth, #0)", "J.R.R. Tolkien", "Hobbit", "J. R. R. Tolkien"),
    ("Beloved: A Novel", "Toni Morrison", "Beloved", "Toni Morrison"),
    ("Persuasion (Penguin Classics)", "Jane Austen", "Persuasion", "Jane Austen"),
    ("Cien años de soledad", "Gabriel García Márquez", "Cien Anos De Soledad", "Gabriel Garcia Marquez"),
    ("Crime and Punishment", "Fyodor Dostoyevsky", "Crime & punishment", "F. Dostoyevsky"),
    ("Kafka on the Shore", "Haruki Murakami", "Kafka on the Shore", "Murakami Haruki"),
]
DIFFERENT = [
    ("Emma", "Alexander McCall Smith", "Emma", "Charlotte Bronte"),
    ("The Outsider", "Albert Camus", "The Outsider", "Stephen King"),
    ("Nemesis", "Philip Roth", "Nemesis", "Peter Roth"),
    ("Poems", "Emily Dickinson", "Poems", "Emily Dickinson"),
    ("Sanditon", "Jane Austen", "Sanditon: A Study Guide", "Jane Austen"),
    ("Dune Boxed Set", "Frank Herbert", "Dune", "Frank Herbert"),
    ("Naruto (Naruto, #2)", "Masashi Kishimoto", "Naruto", "Masashi Kishimoto"),
    ("Bleach, Vol. 2", "Tite Kubo", "Bleach, Vol. 3", "Tite Kubo"),
    ("Sapiens: A Brief History", "Yuval Noah Harari", "Sapiens", "Yuval Noah Harari"),
    ("The Lord of the Rings: The Two Towers", "J.R.R. Tolkien", "The Lord of the Rings", "J.R.R. Tolkien"),
]


def test_one_title_and_one_author(tmp_path):
    cases = [*SAME, *DIFFERENT]
    pairs, _ = same(
        tmp_path,
        [book(number, number, title, number) for number, (title, *_) in enumerate(cases, 1)],
        {number: author for number, (_, author, *_) in enumerate(cases, 1)},
        works=[work(f"OL{number}W", title, f"OL{number}A") for number, (_, _, title, _) in enumerate(cases, 1)],
        authors=[record(f"OL{number}A", name=author) for number, (*_, author) in enumerate(cases, 1)],
    )
    expected = [(f"OL{number}W", str(number), "title and author", 0) for number in range(1, len(SAME) + 1)]
    assert pairs == expected


def test_a_title_that_two_works_have_is_left_open(tmp_path):
    pairs, facts = same(
        tmp_path,
        [book(1, 10, "Emma"), book(2, 20, "Emma", language_code="eng")],
        {1: "Jane Austen"},
        works=[work("OL1W", "Emma")],
        authors=[record("OL1A", name="Jane Austen")],
    )
    assert (pairs, facts["open"]) == ([], 2)


def test_a_number_whose_names_disagree_joins_nothing(tmp_path):
    pairs, facts = same(
        tmp_path,
        [book(1, 10, "Moby-Dick", isbn="0140434887"), book(2, 20, "Typee")],
        MELVILLE,
        works=[work("OL1W", "A Cookbook of Fish", "OL2A"), work("OL2W", "Typee Boxed Set")],
        editions=[
            edition("OL1M", "OL1W", "A Cookbook of Fish", isbn_10=["0140434887"]),
            edition("OL2M", "OL2W", "Typee Boxed Set", identifiers={"goodreads": ["2"]}),
        ],
        authors=[*THEIRS, record("OL2A", name="Jo Cook")],
    )
    assert (pairs, facts["contradicted"]) == ([], 2)


def test_a_chain_of_candidates_joins_no_two_works_of_one_source(tmp_path):
    """OL1W shares two editions with 10 and one with 20, which shares one with OL2W."""
    pairs, facts = same(
        tmp_path,
        [
            book(1, 10, "Moby-Dick"),
            book(2, 10, "Moby-Dick"),
            book(3, 20, "Moby-Dick"),
            book(4, 20, "Moby-Dick"),
        ],
        MELVILLE,
        works=[work("OL1W", "Moby-Dick"), work("OL2W", "Moby-Dick")],
        editions=[
            edition("OL1M", "OL1W", "Moby-Dick", identifiers={"goodreads": ["1"]}),
            edition("OL2M", "OL1W", "Moby-Dick", identifiers={"goodreads": ["2"]}),
            edition("OL3M", "OL1W", "Moby-Dick", identifiers={"goodreads": ["3"]}),
            edition("OL4M", "OL2W", "Moby-Dick", identifiers={"goodreads": ["4"]}),
        ],
        authors=THEIRS,
    )
    # For 20 both of Open Library's are as good: the lower id is its best, and prefers 10.
    assert pairs == [("OL1W", "10", "goodreads", 2)]
    assert facts["conflicts"] == 2


def test_an_isbn_of_many_works_is_a_stand_in(tmp_path):
    pairs, _ = same(
        tmp_path,
        [book(number, number, f"Sea {name}", isbn="0140434887") for number, name in enumerate(["A", "B", "C", "D"], 1)],
        MELVILLE,
        works=[work("OL1W", "Sea A B")],
        editions=[edition("OL1M", "OL1W", "Sea A B", isbn_10=["0140434887"])],
        authors=THEIRS,
    )
    assert pairs == []


def test_the_document_of_a_joined_work_tells_where_its_fields_come_from(tmp_path):
    location = both(
        tmp_path,
        [
            book(
                1,
                10,
                "Moby-Dick",
                isbn="0142437247",
                ratings_count="7",
                average_rating="4.0",
                link="https://gr.example/1",
            )
        ],
        MELVILLE,
        works=[
            work("OL1W", "Moby Dick", first_publish_date="1851", subjects=["Whaling -- Fiction"], covers=[12]),
        ],
        editions=[
            edition(
                "OL1M", "OL1W", "Moby Dick", isbn_10=["0142437247", "0140434887"], identifiers={"goodreads": ["1"]}
            ),
            edition("OL2M", "OL1W", "Der Wal", languages=[{"key": "/languages/ger"}], isbn_13=["9783446200791"]),
        ],
        authors=THEIRS,
    )
    tables, _ = tables_of(location, tmp_path / "out")
    documents = documents_of(tables, tmp_path / "documents")
    assert list(documents) == ["10"]
    shown = said(documents["10"])
    assert [said(one) for one in shown.pop("edition_list")] == [
        {"book_id": "1", "title": "Moby-Dick", "isbn": "0142437247"},
        {"book_id": "OL2M", "title": "Der Wal", "language": "de", "isbn": "9783446200791"},
    ]
    assert dict(shown.pop("field_sources")) == {
        "title": ["ucsd"],
        "authors": ["ucsd"],
        "description": ["openlibrary"],
        "link": ["ucsd"],
        "image_url": ["openlibrary"],
        "publication_year": ["openlibrary"],
        "ratings_count": ["ucsd"],
        "review_count": ["openlibrary"],
        "editions": ["openlibrary", "ucsd"],
        "shelves": ["openlibrary"],
    }
    shown.pop("text"), shown.pop("text_hash")
    assert shown == {
        "work_id": "10",
        "book_id": "1",
        "title": "Moby-Dick",
        "author": "Herman Melville",
        "authors": "Herman Melville",
        "contributors": [{"name": "Herman Melville", "role": ""}],
        "description": WHALE,
        "link": "https://gr.example/1",
        "image_url": "https://covers.openlibrary.org/b/id/12-M.jpg?default=false",
        "publication_year": 1851,
        "year_of": "work",
        "average_rating": 4.0,
        "ratings_count": 7,
        "review_count": 1,
        "editions": 2,
        "reviews_used": 0,
        "thin": False,
        "other_titles": ["Der Wal"],
        "shelves": ["whaling"],
        "isbns": ["0140434887", "0142437247", "9783446200791"],
        "edition_ids": ["OL1M", "OL1W", "OL2M"],
    }


LACKS = {"link", "image_url", "reviews", "reviews_used", "genres", "series", "text", "text_hash", "field_sources"}
COUNTED = {"average_rating", "ratings_count", "review_count", "shelves", "year_of"}
IDS = {"work_id", "book_id", "edition_list", "edition_ids", "other_titles"}


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> dict[str, Any]:
    """The sample's documents of each source and of both, and the comparison."""
    folder = tmp_path_factory.mktemp("samples")
    write_sample(folder / "ucsd")
    write_sample(folder / "dump", "openlibrary")
    dirt = [item["fields"] for item in load_dirt()["books"] if "fields" in item]
    left_out = [one.get("work_id") or f"b{one['book_id']}" for one in dirt]
    found: dict[str, Any] = {}
    for name, location in (
        ("ucsd", str(folder / "ucsd")),
        ("openlibrary", str(folder / "dump")),
        ("both", f"{folder / 'ucsd'},{folder / 'dump'}"),
    ):
        tables, found["facts"] = tables_of(location, folder / f"tables-{name}")
        documents = documents_of(tables, folder / f"documents-{name}", left_out=left_out)
        found[name] = {key: row for key, row in documents.items() if "[sample dirt]" not in row["title"]}
        found["pairs"] = rows_of(folder / f"tables-{name}" / "same" / "same_works.parquet") if name == "both" else []
    return found


def test_the_sample_in_both_shapes_gives_the_same_documents_but_for_what_a_source_lacks(samples):
    other = {row["work_id"]: row["open_library_work_id"] for row in samples["pairs"]}
    assert len(samples["ucsd"]) == len(samples["openlibrary"]) == 262
    for key, row in samples["ucsd"].items():
        theirs = samples["openlibrary"][other[key]]
        compared = row.keys() - LACKS - COUNTED - IDS
        if (
            row["contributors"][:1] != theirs["contributors"][:1]
        ):  # nobody wrote it: Open Library's authors have no roles
            assert all(person["role"] for person in row["contributors"])
            compared -= {"authors", "contributors"}
        assert {name: row[name] for name in compared} == {name: theirs[name] for name in compared}


def test_both_together_give_each_work_once(samples):
    assert samples["both"].keys() == samples["ucsd"].keys()
    assert {row["rule"] for row in samples["pairs"]} == {"goodreads", "isbn", "title and author"}
    other = {row["work_id"]: row["open_library_work_id"] for row in samples["pairs"]}
    shared = set(samples["ucsd"]["50004001"]) - COUNTED - {"edition_list", "edition_ids", "editions", "other_titles"}
    for key, row in samples["both"].items():
        ours, theirs = samples["ucsd"][key], samples["openlibrary"][other[key]]
        kept = shared - {"field_sources", "text", "text_hash"}
        assert {name: row[name] for name in kept} == {name: ours[name] for name in kept}
        assert row["ratings_count"] == ours["ratings_count"] + theirs["ratings_count"]
        assert row["review_count"] == ours["review_count"] + theirs["review_count"]
        assert max(ours["editions"], theirs["editions"]) <= row["editions"] <= ours["editions"] + theirs["editions"]
        assert set(row["edition_ids"]) >= {*ours["edition_ids"], *theirs["edition_ids"], other[key], theirs["book_id"]}
        assert set(ours["shelves"]) <= {*row["shelves"], *theirs["shelves"]}
        assert row["year_of"] == theirs["year_of"]
        changed = row["text"] != ours["text"]
        assert changed == (row["shelves"] != ours["shelves"])
        sources = dict(row["field_sources"])
        assert (sources["title"], sources["editions"]) == (["ucsd"], ["openlibrary", "ucsd"])


def test_the_places_are_one_of_each_source(tmp_path):
    write_sample(tmp_path / "ucsd")
    write_sample(tmp_path / "dump", "openlibrary")
    (tmp_path / "a, b").mkdir()
    one, two = str(tmp_path / "ucsd"), str(tmp_path / "dump")
    assert places(str(tmp_path / "a, b")) == (str(tmp_path / "a, b"),)
    assert places(f" {one} , {two},") == (one, two)
    assert (source_at(one), source_at(two), source_at(f"{two},{one}")) == ("ucsd", "openlibrary", "both")
    for table, place in (("books", one), ("ol_works", two)):
        assert find(table, f"{one},{two}") == find(table, place)
    assert find("works", f"{one},{two}") is None
    assert listing_digest(f"{one},{two}") not in (listing_digest(one), listing_digest(two))
    for location in (f"{one},{one}", f"{one},{two},{two}"):
        with pytest.raises(RawDataError, match="The two places of raw files are not of two different sources"):
            find("books", location)


def test_isbns_are_compared_as_searches_read_them():
    connection = duckdb.connect()
    prepare(connection)
    for written in ("0140434887", "0-14-043488-7", "978-0-14-043488-0", "080442957X", "080442957x", "9791034743445"):
        assert connection.execute("SELECT isbn13_of($w)", {"w": written}).fetchone() == (identifier_key(written),)
    for written in ("0140434888", "9780140434881", "0000000000", "1111111111", "n/a", "", "9780140"):
        assert connection.execute("SELECT isbn13_of($w)", {"w": written}).fetchone() == (None,), written
