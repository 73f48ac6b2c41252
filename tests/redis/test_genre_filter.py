"""A genre is found by its own name, whatever characters that has, in a real Redis."""

from pathlib import Path

import redis
from small_library import SmallLibrary

from viberary_pipeline.search.filters import Filters

GENRES = [
    *("fantasy", "mystery, thriller", "science-fiction", "r&b", "c++", "a:b (c)", "@year", "fant*", "%fantsy%", "a}b"),
    *("_", "_a", "\\", "'x*", '"', "$x", "children’s", "a—b", "«x»", "猫", "e\u0301", "٣", "…", "😀"),
]


def test_a_genre_finds_its_works_alone_whatever_its_characters(client: redis.Redis, tmp_path: Path) -> None:
    works = [{"title": genre, "author": "A", "description": "the sea", "genres": [genre]} for genre in GENRES]
    library = SmallLibrary(client, tmp_path, works)
    found = {genre: library.titles("sea", 10, Filters(genre=genre)) for genre in GENRES}
    assert found == {genre: [genre] for genre in GENRES}


def test_no_printable_character_is_an_operator(client: redis.Redis, tmp_path: Path) -> None:
    index = SmallLibrary(client, tmp_path, [("Book", "A", "the sea")]).record.build
    texts = [text for text in map(chr, range(33, 0x3100)) if text.isprintable()]
    asked = client.pipeline(transaction=False)
    for text in texts:
        for genre in (text, f"a{text}"):
            asked.execute_command(
                *("FT.SEARCH", f"viberary:idx:{index}", Filters(genre=genre).to_query(), "LIMIT", 0, 0, "DIALECT", 2)
            )
    assert not [reply for reply in asked.execute(raise_on_error=False) if isinstance(reply, Exception)]
