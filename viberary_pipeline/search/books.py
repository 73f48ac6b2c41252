"""Finds one work of the live build by any of its ids, with all that its page shows, and the volumes of its series."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import redis

from viberary_pipeline.identifiers import Identifier, identifier_key, is_isbn
from viberary_pipeline.name_keys import KEY_SEPARATOR, LONGEST_KEY, Copies, author_keys
from viberary_pipeline.redis_contract import (
    DETAILS,
    IDENTIFIERS,
    PAGE_FIELDS,
    VECTOR,
    VOLUME_KEYS,
    BuildRecord,
    document_prefix,
    pointer_command,
    read_pointer_reply,
)
from viberary_pipeline.search.hits import Hit, hit_of
from viberary_pipeline.search.lookups import number_clause
from viberary_pipeline.search.replies import BuildVanishedError, Command, Row, checked, read_rows, search_command
from viberary_pipeline.search.round_trips import ask

_FIELDS = (*PAGE_FIELDS, DETAILS, IDENTIFIERS, VOLUME_KEYS)
_MOST_WITH_A_NUMBER = 5  # works of which an edition has one number: in a catalogue without faults, one
_MOST_VOLUMES = 200
_VECTORS_AT_ONCE = 1000
_NUMBERS = [f"{n}{half}" for n in range(61) for half in ("", "p5")] + [f"1to{n}" for n in range(2, 13)]
"""Of the volumes that are looked for: "2", "2.5", and all from the first ("1-3")."""
_VOLUME_KEY = re.compile(r"(\d+(?:p\d+)?)(?:to(\d+(?:p\d+)?))?v(.+)")


@dataclass(frozen=True)
class Edition:
    """One edition. A field whose value is unknown is "", or None for the year."""

    book_id: str
    title: str
    year: int | None = None
    language: str = ""
    format: str = ""
    publisher: str = ""
    isbn: str = ""


@dataclass(frozen=True)
class Volume:
    """A work that is a volume of a series. `number` is written as on the cover: "2", "2.5", "1–3"."""

    number: str
    book_id: str
    title: str


@dataclass(frozen=True)
class Book:
    """Everything that the live build knows about a work.

    Attributes:
        build: The build that holds it.
        work_id, book_id: The id of the work, and that of the edition that represents it.
        title, link: The title and the link of that edition.
        author, contributors, year, year_of, language, description, genres, rating, ratings_count, review_count,
            reviews, image_url: As in `Hit`.
        series: The names of the series that it belongs to.
        edition_count: The number of known editions.
        editions: At most twelve of them. The first is the edition that represents the work.
        isbns: The known ISBN-13s of all editions.
        volume_keys: Keys by which the other volumes of its series are found.
    """

    build: str
    work_id: str
    book_id: str
    title: str
    author: str
    contributors: tuple[tuple[str, str], ...]
    year: int | None
    year_of: str
    language: str | None
    description: str
    genres: tuple[str, ...]
    rating: float | None
    ratings_count: int
    review_count: int
    reviews: tuple[str, ...]
    series: tuple[str, ...]
    edition_count: int
    editions: tuple[Edition, ...]
    isbns: tuple[str, ...]
    link: str
    image_url: str = ""
    volume_keys: tuple[str, ...] = ()

    @classmethod
    def read(cls, row: Row, record: BuildRecord) -> Self:
        """Read a document with `_FIELDS`; documents of an older version lack some of them.

        ISBNs and links of the bundled sample are invented, so they are left out.
        """
        invented = record.source == "sample"
        hit = hit_of({name: row.text(name) for name in PAGE_FIELDS})
        details = json.loads(row.text(DETAILS) or "{}")
        editions = [Edition(**edition) for edition in details.get("editions", ())]
        return cls(
            build=record.build,
            **{name: getattr(hit, name) for name in _OF_A_HIT},
            series=tuple(details.get("series", ())),
            edition_count=details.get("edition_count", 1),
            editions=tuple(replace(edition, isbn="") if invented else edition for edition in editions),
            isbns=() if invented else tuple(key for key in _split(row.text(IDENTIFIERS)) if _is_isbn_13(key)),
            link="" if invented else hit.link,
            volume_keys=_split(row.text(VOLUME_KEYS)),
        )

    def to_json(self) -> dict[str, Any]:
        """Everything that is known about the book, as a JSON object."""
        known = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        del known["volume_keys"]
        return {**known, "contributors": [{"name": name, "role": role} for name, role in self.contributors]}


_OF_A_HIT = {field.name for field in fields(Hit)} & {field.name for field in fields(Book)} - {"link"}


def find_book(client: redis.Redis, record: BuildRecord, book_id: str, *, if_live: bool = False) -> Book | None:
    """The work that an id means (`book_commands`), in one round trip; None if there is none.

    Raises:
        BuildVanishedError: with `if_live`, the build is not the published one.
    """
    replies = ask(client, {"pointer": pointer_command(), **book_commands(record, book_id, _FIELDS)})
    if if_live and read_pointer_reply(replies["pointer"]).live != record.build:
        raise BuildVanishedError(record.build)
    row = read_book(replies["by_number"], replies["by_work_id"], record, book_id, _FIELDS)
    return Book.read(row, record) if row else None


def find_work(client: redis.Redis, record: BuildRecord, work_id: str) -> tuple[Book, npt.NDArray[np.float32]]:
    """The work of that id and its vector, float32 (dim,).

    Raises:
        BuildVanishedError: it is not there: the build is being removed.
    """
    key, names = _key(record, work_id), (*_FIELDS, VECTOR)
    found = _read_hash(ask(client, {"work": ("HMGET", key, *names)})["work"], names)
    if VECTOR.encode() not in found:
        raise BuildVanishedError(record.build)
    vector = record.hnsw.from_bytes([found[VECTOR.encode()]], record.dim)[0]
    return Book.read(Row(key, 0.0, found), record), vector


def find_works(client: redis.Redis, record: BuildRecord, work_ids: Sequence[str]) -> tuple[Book, ...]:
    """Those of these works that the build has, in their order, in one round trip.

    Here an id means a work alone: of many works it is the book_id of another one as well.
    """
    keys = [_key(record, work_id) for work_id in work_ids]
    replies = ask(client, {key: ("HMGET", key, *_FIELDS) for key in keys})
    found = ((key, _read_hash(replies[key], _FIELDS)) for key in keys)
    return tuple(Book.read(Row(key, 0.0, values), record) for key, values in found if values)


def find_vectors(
    client: redis.Redis, record: BuildRecord, work_ids: Sequence[str]
) -> tuple[npt.NDArray[np.float32], str]:
    """Vectors of works, float32 (works, dim), in the order of their ids; and the first id that no work has, or ""."""
    found = np.empty((len(work_ids), record.dim), np.float32)
    for start in range(0, len(work_ids), _VECTORS_AT_ONCE):
        portion = work_ids[start : start + _VECTORS_AT_ONCE]
        replies = client.pipeline(transaction=False)
        for work_id in portion:
            replies.hget(_key(record, work_id), VECTOR)
        blobs = replies.execute()
        if None in blobs:
            return found, portion[blobs.index(None)]
        found[start : start + len(blobs)] = record.hnsw.from_bytes(blobs, record.dim)
    return found, ""


def book_commands(record: BuildRecord, book_id: str, names: Sequence[str]) -> dict[str, Command | None]:
    """What finds the work of which this is an edition, by its book_id, ISBN or ASIN, or that has this work_id.

    A build of an older version knows the representative editions alone.
    """
    text = _text_of(book_id)
    by_number: Command | None = None
    returned: Command = ("RETURN", len(names), *names)
    if record.search_fields and text.isascii() and text.isalnum() and len(text) <= LONGEST_KEY:
        by_number = search_command(
            record.build,
            number_clause(record, text, identifier_key(text) or text),
            *returned,
            *("SORTBY", "review_count", "DESC", "LIMIT", 0, _MOST_WITH_A_NUMBER),
        )
    return {"by_number": by_number, "by_work_id": ("HMGET", _key(record, text), *names)}


def read_book(by_number: Any, by_work_id: Any, record: BuildRecord, book_id: str, names: Sequence[str]) -> Row | None:
    """The document that an id means, from the replies to `book_commands`; raises what a command failed with.

    An id that is both the book_id of one work and the work_id of another means the first.
    """
    rows, by_key = read_rows(by_number), _read_hash(by_work_id, names)
    if rows:
        return next((row for row in rows if row.text("book_id") == _text_of(book_id)), rows[0])
    return Row(_key(record, _text_of(book_id)), 0.0, by_key) if by_key else None


def _text_of(book_id: str) -> str:
    """An id as documents have it."""
    number = Identifier.read(book_id)
    return number.text if number else book_id.strip()


@checked
def _read_hash(reply: Any, names: Sequence[str]) -> dict[bytes, bytes]:
    return {name.encode(): value for name, value in zip(names, reply, strict=True) if value is not None}


def find_volumes(client: redis.Redis, record: BuildRecord, book: Book) -> tuple[Volume, ...]:
    """The other volumes of a work's series that its author wrote, by their numbers; of copies the most reviewed."""
    series = tuple(dict.fromkeys(match[3] for key in book.volume_keys if (match := _VOLUME_KEY.fullmatch(key))))
    if not series:
        return ()
    keys = [f"{number}v{name}" for name in series for number in _NUMBERS]
    returned = ("title", "author", "book_id", VOLUME_KEYS)
    command = search_command(
        record.build,
        f"@{VOLUME_KEYS}:{{{'|'.join(keys)}}}",
        *("RETURN", len(returned), *returned, "SORTBY", "review_count", "DESC", "LIMIT", 0, _MOST_VOLUMES),
    )
    authors, copies = set(author_keys(book.author)), Copies()
    copies.add(book.title, book.author)
    volumes = []
    for row in read_rows(ask(client, {"volumes": command})["volumes"]):
        title, author = row.text("title"), row.text("author")
        if authors.isdisjoint(author_keys(author)) or copies.add(title, author):
            continue
        first = next(m for key in _split(row.text(VOLUME_KEYS)) if (m := _VOLUME_KEY.fullmatch(key)) and m[3] in series)
        number = "–".join(part.replace("p", ".") for part in first.groups()[:2] if part)
        volumes.append((float(first[1].replace("p", ".")), title, Volume(number, row.text("book_id"), title)))
    return tuple(volume for *_, volume in sorted(volumes, key=lambda entry: entry[:2]))


def _key(record: BuildRecord, work_id: str) -> bytes:
    return f"{document_prefix(record.build)}{work_id}".encode(errors="replace")


def _split(keys: str) -> tuple[str, ...]:
    return tuple(keys.split(KEY_SEPARATOR)) if keys else ()


def _is_isbn_13(key: str) -> bool:
    return len(key) == 13 and is_isbn(key)
