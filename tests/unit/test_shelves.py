"""Readers' shelves to words for what a book is like: private ones go, spellings are one, the telling ones are first."""

from pathlib import Path
from typing import Any

import pytest

from viberary_pipeline.documents.assemble import _set_variables, prepare
from viberary_pipeline.documents.recipes import RECIPES
from viberary_pipeline.documents.shelves import shelf_variables
from viberary_pipeline.duck import DuckLimits, connect, sql

LIMITS = DuckLimits("1GB", 2)
Shelves = dict[str, int]


def shelves_of(
    folder: Path, *works: Shelves | list[Shelves], authors: tuple[str, ...] = (), **rules: Any
) -> list[list[str]]:
    """The shelves of each work, given those of each of its editions; `authors` of the first works."""
    with connect(LIMITS, folder) as connection:
        prepare(connection, RECIPES["title-shelves"])
        _set_variables(connection, shelf_variables() | rules)
        connection.execute("CREATE TABLE books (book_id INT, popular_shelves VARCHAR[], shelf_counts INT[])")
        connection.execute("CREATE TABLE wanted_editions (work_no INT, book_id INT)")
        connection.execute("CREATE TABLE wanted_works AS SELECT unnest(range($n)) AS work_no", {"n": len(works)})
        connection.execute("CREATE TABLE credits (work_no INT, main_authors VARCHAR)")
        for work, editions in enumerate(works):
            for number, shelves in enumerate(editions if isinstance(editions, list) else [editions]):
                row = [1000 * work + number, list(shelves), list(shelves.values())]
                connection.execute("INSERT INTO books VALUES (?, ?, ?)", row)
                connection.execute("INSERT INTO wanted_editions VALUES (?, ?)", [work, row[0]])
        for work, author in enumerate(authors):
            connection.execute("INSERT INTO credits VALUES (?, ?)", [work, author])
        for step in ("shelf_names", "shelf_votes", "shelf_lists"):
            connection.execute(sql("documents", step))
        found = dict(connection.execute("FROM shelf_lists").fetchall())
    return [found.get(work, []) for work in range(len(works))]


PRIVATE = """
    to-read to_read To-Read currently-reading read re-read read-in-2014 2014 2014-reads 19709 1001-books tbr tbr-2015
    owned own books-i-own i-own own-it owned-books have kindle kindle-books on-kindle ebook e-book ebooks nook audio
    audiobook audiobooks audible library library-books from-library my-library favorites favourites all-time-favorites
    dnf did-not-finish abandoned book-club bookclub work-book-club wish-list wishlist to-buy maybe borrowed arc
    netgalley default my-books bookshelf hardcover paperback signed 5-stars five-stars shelf-b3 box-4-attic want-to-read
    reviewed challenge-2016 a-z a-z-challenge zzz-dnf fiction books novels english on-hold unread bc x
    por-leer leídos à-lire a-lire pal zu-lesen gelesen da-leggere letti quero-ler lidos te-lezen gelezen att-läsa
    do-przeczytania przeczytane posiadam okunacaklar хочу-прочитать прочитано 読みたい 想读 للقراءة
"""


@pytest.mark.parametrize("name", PRIVATE.split())
def test_a_private_shelf_is_left_out_however_many_use_it(tmp_path, name):
    assert shelves_of(tmp_path, {name: 999, "dystopia": 9}, {name: 999}) == [["dystopia"], []]


TELLING = {
    "cozy-mystery": ["cosy-mystery", "cozy-mysteries", "Cosy_Mysteries", "cozymystery", "cozies"],
    "science-fiction": ["sci-fi", "scifi", "SciFi", "sci_fi", "sf", "science-fiction", "sciencefiction"],
    "young-adult": ["ya", "YA", "young-adults", "young_adult", "youngadult"],
    "tear-jerker": ["tearjerker", "tear-jerkers", "made-me-cry"],
    "vampires": ["vampire", "vampires", "Vampires", "vampires-"],
    "world-war-two": ["ww2", "wwii", "WWII", "world-war-2", "second-world-war"],
    "nineteenth-century": ["19th-century"],
    "unreliable-narrator": ["unreliable-narrators", "unreliable_narrator"],
}


@pytest.mark.parametrize(("shelf", "name"), [(shelf, name) for shelf, names in TELLING.items() for name in names])
def test_spellings_of_a_shelf_are_one(tmp_path, shelf, name):
    """The name itself stands for them where most books are called so, and always where the rules say so."""
    first, second = shelves_of(tmp_path, {name: 9}, [{shelf: 9}, {shelf: 1}])
    assert first == second == [shelf.replace("-", " ")]


@pytest.mark.parametrize(
    "name", ["haunted-house", "near-future", "star-trek", "lost-world", "working-class", "магический-реализм", "推理"]
)
def test_a_telling_shelf_stays_though_it_holds_a_common_word_or_is_in_another_script(tmp_path, name):
    assert shelves_of(tmp_path, {name: 5}) == [[name.replace("-", " ")]]


def test_readers_are_summed_over_spellings_and_editions(tmp_path):
    work = [{"sci-fi": 1, "gothic": 5}, {"scifi": 5, "science-fiction": 5}]
    assert shelves_of(tmp_path, work) == [["science fiction", "gothic"]]


def test_rare_shelves_come_before_common_ones_and_ties_by_name(tmp_path):
    others = [{"fantasy": 50}] * 8
    found = shelves_of(tmp_path, {"fantasy": 60, "slow-burn": 30, "melancholy": 30, "aardvarks": 29}, *others)
    assert found[0] == ["melancholy", "slow burn", "aardvarks", "fantasy"]


@pytest.mark.parametrize("name", ["anna-s-nursery", "jo-s", "mary-s-books", "peter-s-xx"])
def test_somebodys_own_shelf_is_private_and_a_possessive_that_is_a_word_is_not(tmp_path, name):
    found = shelves_of(tmp_path, {name: 99, "women-s-history": 9, "Women's history": 8, "gothic": 9})
    assert found == [["womens history", "gothic"]]


def test_rarity_weighs_no_more_below_a_share_of_the_works(tmp_path):
    works = [{"quirky": 5, "noir": 6}, {"noir": 6}, *[{}] * 8]
    assert shelves_of(tmp_path, *works, rarest_shelf=0.0)[0] == ["quirky", "noir"]
    assert shelves_of(tmp_path, *works, rarest_shelf=0.2)[0] == ["noir", "quirky"]


def test_what_no_two_readers_call_a_work_is_private(tmp_path):
    assert shelves_of(tmp_path, {"grandma-attic": 1, "gothic": 2}, {"grandma-attic": 1}) == [["gothic"], []]


def test_slips_and_what_is_beyond_the_most_are_left_out(tmp_path):
    many = {f"{letter}-mood": 300 for letter in ("bleak", "calm", "dark", "eerie")}
    assert shelves_of(tmp_path, {**many, "recipes": 2}, most_shelves=3) == [["bleak mood", "calm mood", "dark mood"]]
    assert shelves_of(tmp_path, {"gothic": 300, "recipes": 2}) == [["gothic"]]


def test_a_filler_joins_the_more_used_name_and_only_that(tmp_path):
    found = shelves_of(tmp_path, {"vampire-books": 9}, {"vampires": 9}, {"vampires": 9}, {"picture-books": 9})
    assert found == [["vampires"], ["vampires"], ["vampires"], ["picture books"]]


def test_a_shelf_that_only_names_the_author_is_left_out(tmp_path):
    found = shelves_of(tmp_path, {"stephen-king": 99, "king": 9, "horror": 9}, {"king": 9}, authors=("Stephen King",))
    assert found == [["horror"], ["king"]]


def test_works_without_shelves_have_none(tmp_path):
    assert shelves_of(tmp_path, {}, {}) == [[], []]


def test_the_order_of_rows_and_the_memory_change_nothing(tmp_path):
    works = [{f"mood-of-{chr(97 + n)}{chr(97 + m)}z": 2 + (n * m) % 7 for n in range(20)} for m in range(20)]
    first = shelves_of(tmp_path, *works)
    assert first == shelves_of(tmp_path, *works)
    assert first == shelves_of(tmp_path, *reversed(works))[::-1]


def test_the_text_says_the_shelves_as_a_sentence_before_the_description(tmp_path):
    with connect(LIMITS, tmp_path) as connection:
        prepare(connection, RECIPES["title-shelves"])
        said = connection.execute(
            "SELECT text_of('Rebecca', 'Daphne du Maurier', 'A house.', [], [], ['gothic', 'unreliable narrator'], [])"
        ).fetchone()
    assert said == (
        "Rebecca. Rebecca by Daphne du Maurier. Readers shelve it as: gothic, unreliable narrator. A house.",
    )


def test_the_rules_hold_no_contradiction(tmp_path):
    """A spelling stands for one name, and no rule is written in a form that no plain name has."""
    variables = shelf_variables()
    with connect(LIMITS, tmp_path) as connection:
        prepare(connection, RECIPES["title-shelves"])
        _set_variables(connection, variables)
        names = variables["shelf_spellings"]
        plain = connection.execute("SELECT [plain_shelf(n) FOR n IN $names]", {"names": list(names)}).fetchone()
        assert plain == (list(names),)
        keys = dict[str, str]()
        for name, shown in zip(names, variables["shelf_spellings_shown"], strict=True):
            (key,) = connection.execute("SELECT shelf_key($name)", {"name": name}).fetchone()
            assert keys.setdefault(key, shown) == shown, name
