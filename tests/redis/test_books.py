"""One book by any of its ids, the volumes beside it, and random picks, over a few works in a real Redis."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis
from small_library import SmallLibrary

from viberary_pipeline.redis_contract import LUCKY, record_key
from viberary_pipeline.search.books import Book, Edition, Volume, find_book, find_volumes, find_works
from viberary_pipeline.search.lucky import Deck, read_deck
from viberary_pipeline.search.replies import BuildVanishedError
from viberary_pipeline.search.retrieval import key_of_book

LONG = "A desert planet, a boy, a prophecy. " * 30

WORKS: list[dict[str, Any]] = [
    {
        "work_id": "3634639",
        "book_id": "44767458",
        "title": "Dune (Dune, #1)",
        "author": "Frank Herbert",
        "contributors": [{"name": "Frank Herbert", "role": ""}, {"name": "Michel Demuth", "role": "Translator"}],
        "description": LONG,
        "link": "https://example.org/dune",
        "publication_year": 1965,
        "year_of": "work",
        "average_rating": 4.25,
        "ratings_count": 1200,
        "review_count": 90,
        "genres": ["science fiction", "classics"],
        "series": ["Dune"],
        "editions": 3,
        "edition_list": [
            {"book_id": "44767458", "title": "Dune", "year": 1990, "language": "en", "isbn": "9780441013593"},
            {"book_id": "77", "title": "Le Cycle de Dune", "year": 1970, "language": "fr", "format": "Broché"},
        ],
        "isbns": ["9780441013593", "0-441-01359-7"],
        "edition_ids": ["77", "B00B7NPRY8"],
        "reviews": ["Sand gets everywhere."],
    },
    {"work_id": "2", "book_id": "102", "title": "Dune Messiah (Dune #2)", "author": "Frank Herbert"},
    {"work_id": "3", "book_id": "103", "title": "Children of Dune (Dune #3)", "author": "Frank Herbert"},
    {"work_id": "4", "book_id": "104", "title": "Legends (Dune, #1.5)", "author": "Frank Herbert, Brian Herbert"},
    {"work_id": "5", "book_id": "105", "title": "Dune Omnibus (Dune, #1-3)", "author": "Frank Herbert"},
    {"work_id": "6", "book_id": "106", "title": "Someone Else's (Dune, #2)", "author": "Nobody Known"},
    {
        "work_id": "7",
        "book_id": "107",
        "title": "Dune Messiah (Dune, #2)",
        "author": "Frank Herbert",
        "review_count": 1,
    },
    {"work_id": "77", "book_id": "108", "title": "A work whose id is an edition's of Dune", "author": "N. N."},
    {"work_id": "b109", "book_id": "109", "title": "Alone", "author": "", "language": None, "publication_year": None},
]


@pytest.fixture
def library(client: redis.Redis, tmp_path: Path) -> SmallLibrary:
    return SmallLibrary(client, tmp_path, WORKS)


def book(library: SmallLibrary, book_id: str) -> Book | None:
    return find_book(library.client, library.record, book_id)


def test_a_book_is_told_whole(library: SmallLibrary) -> None:
    found = book(library, "44767458")
    assert found == Book(
        build=library.record.build,
        work_id="3634639",
        book_id="44767458",
        title="Dune (Dune, #1)",
        author="Frank Herbert",
        contributors=(("Frank Herbert", ""), ("Michel Demuth", "Translator")),
        year=1965,
        year_of="work",
        language="en",
        description=LONG,
        genres=("science fiction", "classics"),
        rating=4.25,
        ratings_count=1200,
        review_count=90,
        reviews=("Sand gets everywhere.",),
        series=("Dune",),
        edition_count=3,
        editions=(
            Edition("44767458", "Dune", 1990, "en", isbn="9780441013593"),
            Edition("77", "Le Cycle de Dune", 1970, "fr", "Broché"),
        ),
        isbns=("9780441013593",),
        link="https://example.org/dune",
        volume_keys=("1vdune",),
    )
    told = found.to_json()
    assert told["contributors"][1] == {"name": "Michel Demuth", "role": "Translator"}
    assert told["editions"][0]["isbn"] == "9780441013593"
    assert "volume_keys" not in told


def test_works_are_found_by_their_own_ids_alone(library: SmallLibrary) -> None:
    found = find_works(library.client, library.record, ("77", "3634639", "44767458", "none", ""))
    assert [work.title for work in found] == ["A work whose id is an edition's of Dune", "Dune (Dune, #1)"]
    assert found[1] == book(library, "44767458")
    assert find_works(library.client, library.record, ()) == ()


def test_a_book_of_which_little_is_known_has_no_gaps(library: SmallLibrary) -> None:
    found = book(library, "109")
    assert found is not None
    assert (found.author, found.contributors, found.year, found.language, found.rating) == ("", (), None, None, None)
    assert (found.description, found.genres, found.isbns, found.editions, found.edition_count) == ("", (), (), (), 1)


@pytest.mark.parametrize(
    "book_id", ["44767458", " 44767458 ", "3634639", "B00B7NPRY8", "b00b7npry8", "9780441013593", "0-441-01359-7"]
)
def test_any_id_of_a_work_leads_to_it(library: SmallLibrary, book_id: str) -> None:
    found = book(library, book_id)
    assert found is not None
    assert found.work_id == "3634639"
    assert key_of_book(library.client, library.record, book_id) == f"viberary:{found.build}:doc:3634639".encode()


def test_an_id_of_an_edition_comes_before_the_same_id_of_a_work(library: SmallLibrary) -> None:
    found = book(library, "77")
    assert found is not None
    assert found.work_id == "3634639"


@pytest.mark.parametrize(
    "book_id",
    [
        *("", " ", "0", "none", "*", "a|b", "{1}", "@book_id", "²", "٣", "本", "ﬁ", "\x00", "\ud800", "%", "-1"),
        *("9780000000002", "' OR 1=1", "../../doc:2", "44767458\n1", "x" * 100_000, "9" * 100_000),
    ],
)
def test_what_is_no_id_finds_no_book(library: SmallLibrary, book_id: str) -> None:
    assert book(library, book_id) is None
    assert key_of_book(library.client, library.record, book_id) is None


def test_a_book_takes_one_round_trip(library: SmallLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    sent, send = [], redis.Connection.send_packed_command

    def count(connection: redis.Connection, *args: Any, **options: Any) -> None:
        sent.append(args)
        send(connection, *args, **options)

    monkeypatch.setattr(redis.Connection, "send_packed_command", count)
    library.client.ping()
    assert find_book(library.client, library.record, "77", if_live=True) is not None
    assert len(sent) == 2  # the ping and the book


def test_the_numbers_of_the_bundled_sample_are_not_told(library: SmallLibrary) -> None:
    found = find_book(library.client, replace(library.record, source="sample"), "44767458")
    assert found is not None
    assert (found.link, found.isbns, [edition.isbn for edition in found.editions]) == ("", (), ["", ""])


def test_a_build_that_is_no_longer_live_tells_no_book(library: SmallLibrary) -> None:
    with pytest.raises(BuildVanishedError):
        find_book(library.client, replace(library.record, build="gone"), "1", if_live=True)


def test_the_volumes_beside_a_book_are_its_authors_in_their_order(library: SmallLibrary) -> None:
    dune, alone = book(library, "44767458"), book(library, "109")
    assert dune is not None
    assert alone is not None
    assert find_volumes(library.client, library.record, dune) == (
        Volume("1–3", "105", "Dune Omnibus (Dune, #1-3)"),
        Volume("1.5", "104", "Legends (Dune, #1.5)"),
        Volume("2", "102", "Dune Messiah (Dune #2)"),
        Volume("3", "103", "Children of Dune (Dune #3)"),
    )
    assert find_volumes(library.client, library.record, alone) == ()


def test_a_deck_deals_each_once_before_any_comes_again() -> None:
    deck = Deck(["a", "b", "c"])
    rounds = [[deck.deal() for _ in range(3)] for _ in range(50)]
    assert all(sorted(map(str, dealt)) == ["a", "b", "c"] for dealt in rounds)
    dealt = [work for one in rounds for work in one]
    assert all(one != other for one, other in pairwise(dealt))
    assert [Deck(["a"]).deal(), Deck([]).deal()] == ["a", None]


def test_works_with_a_description_that_readers_like_are_picked(client: redis.Redis, tmp_path: Path) -> None:
    rated = [
        {"title": f"T{n}", "author": f"A{n}", "description": LONG, "average_rating": 3 + n / 100, "ratings_count": 50}
        for n in range(100)
    ]
    few = {**rated[0], "title": "Praised by its author", "average_rating": 5.0, "ratings_count": 1, "review_count": 0}
    bare = {**rated[0], "title": "Without a word", "description": "", "average_rating": 5.0}
    library = SmallLibrary(client, tmp_path, [*({**work, "review_count": 9} for work in rated), few, bare])
    picks = set(client.hget(record_key(library.record.build), LUCKY).decode().split())
    assert picks == {str(n) for n in range(50, 100)}
    assert {read_deck(client, library.record).deal()} <= picks


def test_a_build_of_an_older_version_picks_of_its_most_reviewed(library: SmallLibrary) -> None:
    library.client.hdel(record_key(library.record.build), LUCKY)
    deck = read_deck(library.client, library.record)
    assert [{deck.deal() for _ in range(3)}, {deck.deal() for _ in range(3)}] == [{"2", "3", "4"}] * 2
    assert read_deck(library.client, replace(library.record, search_fields=0)).deal() is None
