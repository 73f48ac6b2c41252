"""What is suggested while a reader types, over real builds of a few works."""

import json
import random
from datetime import UTC, datetime, timedelta

import pytest
from small_library import SmallLibrary
from works import works

from viberary_pipeline.assets.search_index import queries_to_suggest
from viberary_pipeline.index.build import build_index
from viberary_pipeline.index.clean import orphaned_builds, remove_build
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.index.suggestions import SuggestionEntries, write_suggestions
from viberary_pipeline.query_lines import LIVE, LOGS
from viberary_pipeline.redis_contract import HnswSettings, document_prefix, suggestions_key
from viberary_pipeline.search.searcher import Searcher
from viberary_pipeline.search.spelling import NameWords
from viberary_pipeline.search.suggestions import MOST_IN_BUCKET, MOST_SUGGESTIONS, Suggestion, suggest
from viberary_pipeline.settings import load_settings

NO_OTHERS = {"other_titles": list[str]()}  # the columns are those of the first row
WORKS = [
    {
        "title": "Harry Potter and the Philosopher's Stone (Harry Potter, #1)",
        "author": "J.K. Rowling",
        "other_titles": [],
    },
    ("Harry Potter and the Chamber of Secrets (Harry Potter, #2)", "J.K. Rowling", "A school"),
    ("The Hobbit", "J.R.R. Tolkien", "A hole in the ground"),
    ("The Left Hand of Darkness", "Ursula K. Le Guin", "A winter planet"),
    ("Les Misérables", "Victor Hugo", "A loaf of bread"),
    ("Pride & Prejudice", "Jane Austen", "A truth universally acknowledged"),
    ("Sci-Fi Stories", "Various Hands", "Rockets"),
    ("Преступление и наказание", "Фёдор Достоевский", "A student"),
    ("吾輩は猫である", "夏目漱石", "A cat"),
    ("Œuvres complètes", "Arthur Rimbaud", "Poems"),
    {"title": "The Little Prince", "author": "Antoine de Saint-Exupéry", "other_titles": ["Der kleine Prinz"]},
    ("Emma", "Jane Austen", "A matchmaker"),
    ("Emmaline", "Judith Rossner", "A mill"),
    ("Emma", "Alexander McCall Smith", "A matchmaker of today"),
    ("Emma (Illustrated)", "Jane Austen", "A matchmaker in pictures"),
]


@pytest.fixture
def library(client, tmp_path) -> SmallLibrary:
    return SmallLibrary(client, tmp_path, WORKS)


def texts(library: SmallLibrary, typed: str) -> list[str]:
    return [suggestion.text for suggestion in suggest(library.client, library.record.build, typed, library.words)]


FIRST = {
    "harry p": "Harry Potter",
    "the hob": "The Hobbit",
    "hob": "The Hobbit",
    "HOBBIT": "The Hobbit",
    "darkn": "The Left Hand of Darkness",
    "hand of d": "The Left Hand of Darkness",
    "les mise": "Les Misérables",
    "miserables": "Les Misérables",
    "tolk": "J.R.R. Tolkien",
    "jrr t": "J.R.R. Tolkien",
    "j. r. r.": "J.R.R. Tolkien",
    "tolkien, j": "J.R.R. Tolkien",
    "le guin": "Ursula K. Le Guin",
    "guin": "Ursula K. Le Guin",
    "ursula le g": "Ursula K. Le Guin",
    "pride and p": "Pride & Prejudice",
    "scifi": "Sci-Fi Stories",
    "sci fi": "Sci-Fi Stories",
    "ПРЕСТ": "Преступление и наказание",
    "наказ": "Преступление и наказание",
    "достоев": "Фёдор Достоевский",
    "吾輩": "吾輩は猫である",
    "猫": "吾輩は猫である",
    "oeuv": "Œuvres complètes",
    "saint ex": "Antoine de Saint-Exupéry",
    "der kleine": "The Little Prince",
    "kleine p": "The Little Prince",
    "tolkein": "J.R.R. Tolkien",
    "philosophr": "Harry Potter and the Philosopher's Stone",
    "  hob\t": "The Hobbit",
    "harry poter": "Harry Potter",
}


def test_the_beginning_of_any_word_finds_a_name(library):
    assert {typed: next(iter(texts(library, typed)), None) for typed in FIRST} == FIRST


def test_popular_books_come_first_and_what_was_typed_whole_before_them(library):
    assert texts(library, "emm") == ["Emma", "Emmaline", "Emma"]
    assert texts(library, "emma") == ["Emma", "Emma", "Emmaline"]
    assert texts(library, "h")[:2] == ["Harry Potter", "Harry Potter and the Philosopher's Stone"]


def test_a_suggestion_says_what_it_is_and_copies_are_suggested_once(library):
    found = suggest(library.client, library.record.build, "emma", library.words)
    assert found[:2] == (
        Suggestion("Emma", "title", "11", "Jane Austen"),
        Suggestion("Emma", "title", "13", "Alexander McCall Smith"),
    )
    assert suggest(library.client, library.record.build, "harry", library.words)[0] == Suggestion(
        "Harry Potter", "series"
    )
    assert found[0].to_json() == {"text": "Emma", "kind": "title", "book_id": "11", "author": "Jane Austen"}


def test_what_begins_no_name_has_no_suggestions(library):
    odd = ["", "  ", "!?", "\x00", "\ud800", "xyzzyx", "hobbit hole", "@%:{}", "=", "z" * 5000, "\u202e", "🐉"]
    assert {typed: texts(library, typed) for typed in odd} == {typed: [] for typed in odd}


def test_at_most_ten_of_many_are_suggested_the_most_reviewed(client, tmp_path):
    count = MOST_IN_BUCKET * 3
    library = SmallLibrary(
        client, tmp_path, [{"title": f"Tale {n:03}", "author": f"Writer {n}", "review_count": n} for n in range(count)]
    )
    best = [f"Tale {n:03}" for n in range(count - 1, count - 1 - MOST_SUGGESTIONS, -1)]
    for typed in ("t", "tal", "tale"):
        assert texts(library, typed) == best
    assert texts(library, "tale 01") == [f"Tale {n:03}" for n in range(19, 9, -1)]
    assert texts(library, "tale 012") == ["Tale 012"]
    assert texts(library, "tale 0123") == []


def test_every_beginning_of_every_name_has_the_best_that_begin_so(client):
    generator = random.Random(20261126)
    titles = sorted({"".join(generator.choices("aбß", k=generator.randrange(1, 7))) for _ in range(500)})
    weights = dict(zip(titles, generator.sample(range(10**6), len(titles)), strict=True))
    rows = [
        {"work_id": n, "title": title, "author": "", "review_count": weights[title]} for n, title in enumerate(titles)
    ]
    entries = SuggestionEntries()
    for start in range(0, len(rows), 100):
        entries.add(rows[start : start + 100])
    write_suggestions(client, "b", entries)
    for row in rows:
        client.hset(f"{document_prefix('b')}{row['work_id']}", mapping={"title": row["title"], "book_id": "1"})
    keys = {title: title.replace("ß", "ss") for title in titles}
    for typed in sorted({key[:size] for key in keys.values() for size in range(1, len(key) + 1)}):
        found = [suggestion.text for suggestion in suggest(client, "b", typed, NameWords())]
        begin_so = [title for title in titles if keys[title].startswith(typed)]
        best = sorted(begin_so, key=lambda title: (keys[title] != typed, -weights[title]))
        assert found == best[:MOST_SUGGESTIONS], typed


def test_names_that_share_their_first_bytes_are_still_suggested(client, tmp_path):
    same = "An Account of the Voyages Undertaken by Order of His Majesty"
    library = SmallLibrary(
        client, tmp_path, [(f"{same}, Part {n}", f"Writer {n}", "") for n in range(MOST_IN_BUCKET + 1)]
    )
    assert texts(library, same)[0] == f"{same}, Part 0"
    assert len(texts(library, same[:30])) == MOST_SUGGESTIONS


def test_queries_of_readers_are_suggested_by_how_often_they_were_asked(client):
    entries = SuggestionEntries({"sad but hopeful": 9, "sad songs": 5})
    entries.add([{"work_id": "1", "title": "Sadness", "author": "", "review_count": 100}])
    write_suggestions(client, "b", entries)
    client.hset(f"{document_prefix('b')}1", mapping={"title": "Sadness", "author": "", "book_id": "7"})
    assert suggest(client, "b", "sad", NameWords()) == (
        Suggestion("sad but hopeful", "query"),
        Suggestion("Sadness", "title", "7"),
        Suggestion("sad songs", "query"),
    )
    assert suggest(client, "b", "hope", NameWords()) == (Suggestion("sad but hopeful", "query"),)


def test_what_several_readers_searched_for_is_suggested_by_the_next_build(client, tmp_path):
    """Not what was searched on one day, or once."""
    settings = load_settings(home=tmp_path / "home")
    assert queries_to_suggest(settings) == {}
    now = datetime.now(UTC)
    asked = {"Sad but  hopeful": (1, 2, 3, 4, 5, 6), "one reader's": (1, 1, 1, 1, 1, 1), "rare": (1, 2, 3)}
    lines = [
        {
            "time": (now - timedelta(days=day, minutes=minute)).isoformat(timespec="milliseconds"),
            "event": "search",
            "search": f"{minute:016x}",
            "query": query,
            "status": 200,
            "work_ids": ["1"],
        }
        for query, days in asked.items()
        for minute, day in enumerate(days)
    ]
    log = settings.home_dir / LOGS / LIVE
    log.parent.mkdir(parents=True)
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    queries = queries_to_suggest(settings)
    assert queries == {"sad but hopeful": 6}
    record, _ = build_index(
        client, works(tmp_path, queries=queries), HnswSettings(ef_runtime=200), GateRules(queries=5)
    )
    assert suggest(client, record.build, "hopef", NameWords()) == (Suggestion("sad but hopeful", "query"),)


def test_suggestions_go_with_their_build(client, tmp_path):
    record, _ = build_index(client, works(tmp_path), HnswSettings(ef_runtime=200), GateRules(queries=5))
    assert client.exists(suggestions_key(record.build))
    remove_build(client, record.build)
    assert client.keys("*") == []


def test_suggestions_without_a_record_are_garbage(client):
    client.hset(suggestions_key("19990101T000000-dead"), mapping={"a": "=tx"})
    assert orphaned_builds(client) == ["19990101T000000-dead"]
    remove_build(client, "19990101T000000-dead")
    assert client.keys("*") == []


def test_a_refused_build_leaves_no_suggestions(client, tmp_path):
    rules = GateRules(recall=1, queries=20)
    record, _ = build_index(client, works(tmp_path, 500), HnswSettings(m=2, ef_construction=8, ef_runtime=10), rules)
    assert record.state == "refused"
    assert client.keys("*") == []


def test_a_build_of_an_older_version_suggests_nothing(published):
    searcher = Searcher(published.redis, published.home)
    assert searcher.suggest("the").suggestions
    key = suggestions_key(published.build)
    published.redis.rename(key, "aside")
    try:
        assert searcher.suggest("the").to_json() == {"query": "the", "build": published.build, "suggestions": []}
    finally:
        published.redis.rename("aside", key)
