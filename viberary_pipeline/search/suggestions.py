"""Suggestions while a reader types: titles, authors, series and popular queries that begin with what was typed.

A build keeps them in one HASH (`suggestions_key`), a prefix tree that is cut where few entries are left:

- The key of an entry is its name from one of its words on, folded, letters and digits alone (`name_keys.key_of`), as
  UTF-8, at most `LONGEST_PREFIX` bytes: "The Left Hand of Darkness" is found under thelefthandofdarkness,
  lefthandofdarkness, handofdarkness and darkness.
- A field is the beginning of keys. Where more than `MOST_IN_BUCKET` entries share it, its value is `=` and the ids of
  those to suggest, best first. Where it is the first that fewer share, its value is `z` and, compressed, all of them:
  the rest of the key, a tab, the id, best first. Nothing is stored below.
- An id is a letter for the kind (in upper case where the key is the beginning of the whole name) and the work_id of a
  title, or the text of the others. What a title looks like is in the hash of its document.

So one HMGET of all beginnings of what was typed finds the entries, however many works there are.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import redis

from viberary_pipeline.name_keys import authors_of, key_of, shown_title, words_of
from viberary_pipeline.redis_contract import as_text, document_prefix, suggestions_key
from viberary_pipeline.search.round_trips import ask
from viberary_pipeline.search.spelling import NameWords

LONGEST_PREFIX = 32
"""Bytes of a key that entries are told apart by."""

MOST_IN_BUCKET = 64
MOST_STORED = 14
"""Entries of a prefix that more share: a few of them may turn out to look alike."""

MOST_SUGGESTIONS = 10
MOST_TYPED = 100
"""Characters that are read: no name is so long that what follows tells it from others."""

Kind = Literal["title", "author", "series", "query"]
KINDS: Mapping[str, Kind] = {"t": "title", "a": "author", "s": "series", "q": "query"}

_LISTED, _BUCKET = b"=", b"z"
_LEAST_CORRECTED = 4  # letters
_MOST_CORRECTIONS = 8


@dataclass(frozen=True)
class Suggestion:
    """One suggestion; a title has the book's id and its first author."""

    text: str
    kind: Kind
    book_id: str = ""
    author: str = ""

    def to_json(self) -> dict[str, str]:
        """The fields that have a value."""
        return {name: value for name, value in vars(self).items() if value}


@dataclass(frozen=True)
class Suggestions:
    """What a beginning may become, best first, in one build. `query` is as given."""

    query: str
    build: str
    suggestions: tuple[Suggestion, ...]

    def to_json(self) -> dict[str, Any]:
        """The object of `/api/suggest`."""
        return {
            "query": self.query,
            "build": self.build,
            "suggestions": [suggestion.to_json() for suggestion in self.suggestions],
        }


def suggestion_words(text: str) -> list[str]:
    """The words of a name or of what was typed, as keys of suggestions hold them: "&" is "and"."""
    return words_of(text.replace("&", " and "))


def suggest(client: redis.Redis, build: str, typed: str, names: NameWords) -> tuple[Suggestion, ...]:
    """What a build suggests for the beginning of a query, at most `MOST_SUGGESTIONS`; a build without any has none.

    Where nothing begins so, one word may be a typo.

    Args:
        client: The server.
        build: Its name.
        typed: Any text.
        names: The words of the build's names.
    """
    words = suggestion_words(typed[:MOST_TYPED].replace("\x00", " "))
    if not words:
        return ()
    ids = _look_up(client, build, ["".join(words)]) or _look_up(client, build, _corrected(words, names))
    return _shown(client, build, ids)[:MOST_SUGGESTIONS]


def listed(ids: Iterable[bytes]) -> bytes:
    """The value of a prefix that many entries share, from the ids of those to suggest, best first."""
    return _LISTED + b"\n".join(ids)


def bucket(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The value of a prefix that few entries share, from (the rest of the key, the id), best first."""
    return _BUCKET + zlib.compress(b"\n".join(b"\t".join(entry) for entry in entries))


def _look_up(client: redis.Redis, build: str, keys: Sequence[str]) -> list[bytes]:
    """The ids of what begins with the first of these keys that has any, best first."""
    prefixes = [key.encode()[:LONGEST_PREFIX] for key in keys]
    fields = dict.fromkeys(prefix[:size] for prefix in prefixes for size in range(len(prefix) + 1))
    if not fields:
        return []
    values: dict[bytes, Any] = dict(zip(fields, client.hmget(suggestions_key(build), list(fields)), strict=True))
    return next(filter(None, (_ids_of(prefix, values) for prefix in prefixes)), [])


def _ids_of(prefix: bytes, values: Mapping[bytes, bytes | None]) -> list[bytes]:
    for size in range(len(prefix), -1, -1):
        value, rest = values[prefix[:size]], prefix[size:]
        if value is not None:
            break
    else:
        return []
    if value.startswith(_LISTED):
        return [] if rest else value[1:].split(b"\n")
    entries = (line.split(b"\t", 1) for line in zlib.decompress(value[1:]).split(b"\n"))
    found = [(left != rest or not id_[:1].isupper(), id_) for left, id_ in entries if left.startswith(rest)]
    return [id_ for _, id_ in sorted(found, key=lambda pair: pair[0])]  # what was typed whole comes first


def _corrected(words: Sequence[str], names: NameWords) -> list[str]:
    """The keys of what was typed with one word corrected, the last of which is only a beginning; likeliest first."""
    found = []
    for at in range(len(words) - 1, -1, -1):
        word = words[at]
        if len(word) >= _LEAST_CORRECTED:
            others = names.near_beginnings(word) if at == len(words) - 1 else names.near(word)
            found += ["".join([*words[:at], other, *words[at + 1 :]]) for other in others]
    return found[:_MOST_CORRECTIONS]


def _shown(client: redis.Redis, build: str, ids: Sequence[bytes]) -> tuple[Suggestion, ...]:
    """The suggestions of these ids, without those that look like one before."""
    wanted = list(dict.fromkeys((as_text(id_[:1]).lower(), as_text(id_[1:])) for id_ in ids))[:MOST_STORED]
    prefix, fields = document_prefix(build), ("title", "author", "book_id")
    pages = ask(client, {work: ("HMGET", f"{prefix}{work}", *fields) for kind, work in wanted if kind == "t"})
    shown: dict[tuple[str, str, str], Suggestion] = {}
    for letter, text in wanted:
        kind = KINDS[letter]
        if kind == "title":
            if isinstance(pages[text], Exception) or pages[text][0] is None:
                continue  # the build is being removed
            title, author, book_id = map(as_text, pages[text])
            suggestion = Suggestion(shown_title(title), kind, book_id, next(iter(authors_of(author)), ""))
        else:
            suggestion = Suggestion(text, kind)
        shown.setdefault((kind, key_of(suggestion.text), key_of(suggestion.author)), suggestion)
    return tuple(shown.values())
