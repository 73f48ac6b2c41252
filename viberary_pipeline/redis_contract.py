"""The Redis contract, declared once: keys, index fields, HNSW settings, and how a vector becomes bytes.

======================================  ======================================================================
``viberary:{build}:doc:{work_id}``      HASH: the vector and the fields that the page shows
``viberary:idx:{build}``                the HNSW index over that prefix
``viberary:{build}:suggestions``        HASH: what is suggested while a reader types (`search.suggestions`)
``viberary:{build}:sentence_words``     STRING: word vectors that choose the sentences a page quotes (`search.passages`)
``viberary:live``                       alias of the published index (never an index's own name)
``viberary:pointer``                    HASH: the names of the live and the previous build
``viberary:build:{build}``              HASH: the record of a build (`BuildRecord`)
``viberary:lock``                       STRING: who is building (`viberary_pipeline.index.lock`)
======================================  ======================================================================
"""

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pydantic.dataclasses
import redis
from pydantic import Field
from redis.commands.search.field import Field as IndexField
from redis.commands.search.field import NumericField, TagField, TextField, VectorField

from viberary_pipeline.errors import SearchError
from viberary_pipeline.identifiers import identifier_key, isbn_key
from viberary_pipeline.name_keys import (
    KEY_SEPARATOR,
    author_keys,
    author_words,
    authors_of,
    title_keys,
    volume_keys,
    words_of,
)

ALIAS = "viberary:live"
POINTER = "viberary:pointer"
LOCK = "viberary:lock"
RECORDS = "viberary:build:"

OOM_ALLOWED = "#!lua flags=allow-oom\n"
"""First line of a script that writes a few bytes and must run beyond maxmemory, so that `gc` can free some."""

VECTOR = "vector"
TITLE_KEYS = "title_keys"
AUTHOR_KEYS = "author_keys"
VOLUME_KEYS = "volume_keys"
IDENTIFIERS = "identifiers"
NAMES = "names"
DESCRIPTION = "description"
GENRES = "genres"
LANGUAGE = "language"
UNKNOWN_LANGUAGE = "und"
GENRE_TAGS = "genre_tags"
DESCRIPTION_CHARACTERS = 600
"""Of a description, in the field that BM25 reads; `description_rest` holds what follows."""

CARD = "card"
DETAILS = "details"
PAGE_FIELDS = (
    *("work_id", "book_id", "title", "author", DESCRIPTION, "link", "review_count", "year", LANGUAGE),
    *(GENRE_TAGS, CARD),  # not in builds of older versions
)
"""What a list of books shows of each. `genre_tags` are joined by `KEY_SEPARATOR`. `card` is a JSON object of what no
search reads (a field of its own for each would take 1 KB more a work): description_rest, year_of, rating,
ratings_count, contributors (pairs of name and role, where `author` does not say them), reviews (texts), image_url.

The page of one book shows `details` as well, a JSON object: series (names), edition_count, and as editions the first
twelve with their book_id, title, year, language, format, publisher and isbn.

In both, what is not known is left out. Both are compressed by zlib where that makes them shorter: JSON begins with "{",
and zlib's data with another byte. Builds of older versions hold them as JSON.
"""

_COMPRESSED = frozenset({CARD, DETAILS})

VectorType = Literal["FLOAT32", "FLOAT16"]

FLOAT16_FROM = 500_000
"""Works from which vectors are FLOAT16 by default: three FLOAT32 indexes of so many take half of 24 GB."""

_NUMPY_TYPE = {"FLOAT32": "<f4", "FLOAT16": "<f2"}

SEARCH_FIELDS = 4
"""What the index holds beside vectors, in `BuildRecord.search_fields`: 0 nothing (builds of older versions), 1 words,
keys of names, filters, 2 also genres, other titles, volumes of series, identifiers and (in the record) words of names,
3 also a filter by genre, `card` and `details`, 4 the same, with these two compressed.
"""

NAME_WORDS = "name_words"
"""The field of a build's record that holds the words of its names (`viberary_pipeline.search.spelling`)."""

LUCKY = "lucky"
"""The field of a build's record that holds work ids worth a random pick, with blanks between them."""

BuildState = Literal["building", "refused", "ready", "live", "previous", "removed"]


def document_prefix(build: str) -> str:
    """The prefix of the keys of a build's documents."""
    return f"viberary:{build}:doc:"


def suggestions_key(build: str) -> str:
    """The key of what a build suggests while a reader types (`viberary_pipeline.search.suggestions`)."""
    return f"viberary:{build}:suggestions"


def sentence_words_key(build: str) -> str:
    """The key of a build's word vectors (`viberary_pipeline.search.passages`)."""
    return f"viberary:{build}:sentence_words"


def side_keys(build: str) -> tuple[str, ...]:
    """The keys of a build beside its documents, its index and its record."""
    return (suggestions_key(build), sentence_words_key(build))


def index_name(build: str) -> str:
    """The name of a build's index."""
    return f"viberary:idx:{build}"


def search_fields(
    title: str,
    author: str,
    *,
    genres: Sequence[str] = (),
    other_titles: Sequence[str] = (),
    series: Sequence[str] = (),
    isbns: Sequence[str] = (),
    edition_ids: Sequence[str] = (),
) -> dict[str, str]:
    """The fields of a document that are for searching alone; those without a value are left out.

    Args:
        title: The one that is shown: its keys come first.
        author: All that the page names.
        genres, other_titles, series, isbns, edition_ids: As in the documents.
    """
    titles = [title, *other_titles]
    fields = {
        VOLUME_KEYS: volume_keys(titles, series),
        IDENTIFIERS: [*map(isbn_key, isbns), *map(identifier_key, edition_ids)],
    }
    return {
        TITLE_KEYS: KEY_SEPARATOR.join(dict.fromkeys(key for name in titles for key in title_keys(name))),
        AUTHOR_KEYS: KEY_SEPARATOR.join(author_keys(author)),
        NAMES: " ".join([*words_of(title), *(word for name in authors_of(author) for word in author_words(name))]),
        **({GENRES: ", ".join(genres)} if genres else {}),
        **{name: KEY_SEPARATOR.join(dict.fromkeys(filter(None, keys))) for name, keys in fields.items() if any(keys)},
    }


_MOST_GENRES = 5
_PERSON = re.compile(r"(?P<name>[^,()\s][^,()]*?)\s*(?:\((?P<role>[^()]*)\))?\s*(?:,|$)")


def page_fields(row: Mapping[str, Any]) -> dict[str, str | bytes]:
    """`PAGE_FIELDS` and `details` of a row of the documents; those without a value are left out.

    `reviews` of the row are what is kept of them.
    """
    description = str(row["description"] or "")
    # The page shows all main authors; `author` of the documents is the first of them.
    author = row["authors"] or row["author"] or ""
    contributors = [(person["name"], person["role"]) for person in row.get("contributors") or ()]
    card = {
        "description_rest": description[DESCRIPTION_CHARACTERS:],
        "year_of": row.get("year_of"),
        "rating": row.get("average_rating"),
        "ratings_count": row.get("ratings_count"),
        "contributors": contributors if contributors != contributors_of(author) else None,
        "reviews": row.get("reviews"),
        "image_url": row.get("image_url"),
    }
    details = {
        "series": row.get("series"),
        "edition_count": row.get("editions"),
        "editions": [_known(edition) for edition in row.get("edition_list") or ()],
    }
    values = {
        **{name: row[name] for name in ("work_id", "book_id", "title", "review_count")},
        "author": author,
        "link": row["link"] or "",
        DESCRIPTION: description[:DESCRIPTION_CHARACTERS],
        "year": row["publication_year"],  # an empty number would keep the document out of the index
        LANGUAGE: row.get("language") or UNKNOWN_LANGUAGE,
        GENRE_TAGS: KEY_SEPARATOR.join(genres_of(row)) or None,
    }
    texts = {name: str(value) for name, value in values.items() if value is not None}
    objects = {name: known for name, values in ((CARD, card), (DETAILS, details)) if (known := _known(values))}
    return {**texts, **{name: _compressed(known) for name, known in objects.items()}}


def genres_of(row: Mapping[str, Any]) -> list[str]:
    """The genres of a row of the documents; of a work without any its first shelves: readers' own words for it."""
    genres = list(row.get("genres") or row.get("shelves") or ())[:_MOST_GENRES]
    return [genre.replace(KEY_SEPARATOR, " ") for genre in genres]


def contributors_of(author: str) -> list[tuple[str, str]]:
    """The names and roles in the author field of a document, "Ann, Bob (Illustrator)"; "" is the role of an author."""
    return [(match["name"], match["role"] or "") for match in _PERSON.finditer(author)]


def _compressed(values: Mapping[str, Any]) -> bytes:
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
    return min(text, zlib.compress(text), key=len)


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "", [])}


def record_key(build: str) -> str:
    """The key of what is known of a build."""
    return f"{RECORDS}{build}"


@pydantic.dataclasses.dataclass(frozen=True)
class HnswSettings:
    """How the index stores and links vectors."""

    vector_type: VectorType | None = Field(
        default=None,
        description="`FLOAT32`, or `FLOAT16`, which halves the memory of the vectors. Unset: `FLOAT16` for an index of "
        "500,000 works or more, else `FLOAT32`.",
    )
    m: int = Field(
        default=16,
        ge=2,
        le=512,
        description="Links of each node of the graph. More links give better recall, take more memory, and slow "
        "insertion.",
    )
    ef_construction: int = Field(
        default=200, ge=8, le=4096, description="The number of candidates that an insertion looks at."
    )
    ef_runtime: int | None = Field(
        default=None,
        ge=10,
        le=6400,
        description="The number of candidates that a query looks at. Unset: as many as the finished index needs (200 "
        "to 6,400). RediSearch's own default of 10 finds two in three of the true neighbours among 20,000 works.",
    )

    def for_works(self, works: int) -> Self:
        """The settings of an index of so many works, with its vector type."""
        return replace(self, vector_type=self.vector_type or ("FLOAT16" if works >= FLOAT16_FROM else "FLOAT32"))

    @property
    def stored_type(self) -> VectorType:
        """The type of the vectors; where it is unset, that of a small index."""
        return self.vector_type or "FLOAT32"

    def to_bytes(self, vectors: npt.NDArray[np.float32]) -> list[bytes]:
        """The rows of a (n, dim) array as the blobs that this index stores and queries take."""
        return [row.tobytes() for row in np.ascontiguousarray(vectors, dtype=_NUMPY_TYPE[self.stored_type])]

    def from_bytes(self, blobs: Sequence[bytes], dimensions: int) -> npt.NDArray[np.float32]:
        """Stored vectors as float32 (len(blobs), dimensions). Raises ValueError if one has another length."""
        flat = np.frombuffer(b"".join(blobs), dtype=_NUMPY_TYPE[self.stored_type])
        return flat.reshape(len(blobs), dimensions).astype(np.float32)

    def index_fields(self, dimensions: int) -> list[IndexField]:
        """The fields of FT.CREATE: vectors, words (for BM25), keys of names, and what a search is narrowed by."""
        return [
            VectorField(
                VECTOR,
                "HNSW",
                {
                    "TYPE": self.stored_type,
                    "DIM": dimensions,
                    "DISTANCE_METRIC": "COSINE",
                    "M": self.m,
                    "EF_CONSTRUCTION": self.ef_construction,
                    **({"EF_RUNTIME": self.ef_runtime} if self.ef_runtime else {}),
                },
            ),
            TextField(NAMES),
            TextField(DESCRIPTION),
            TextField(GENRES),
            TagField(TITLE_KEYS, separator=KEY_SEPARATOR, case_sensitive=True),
            TagField(AUTHOR_KEYS, separator=KEY_SEPARATOR, case_sensitive=True),
            TagField(VOLUME_KEYS, separator=KEY_SEPARATOR, case_sensitive=True),
            TagField(IDENTIFIERS, separator=KEY_SEPARATOR, case_sensitive=True),
            TagField("book_id", case_sensitive=True),
            TagField(LANGUAGE),
            TagField(GENRE_TAGS, separator=KEY_SEPARATOR),
            NumericField("review_count", sortable=True),
            NumericField("year"),
        ]


@dataclass(frozen=True)
class BuildRecord:
    """The record of a build: the HASH at `record_key(build)`, with one field for each attribute.

    Attributes:
        build: The name of the build. Names sort by time.
        state: 'building'; 'refused' (a gate refused it: it is never published, and soon removed); 'ready' (it passed
            the gates of the index, and is not published yet); 'live'; 'previous'; or 'removed' (it was the previous
            build, and is being removed to make room).
        digest: A digest of everything that shaped the index. Equal digests mean equal indexes.
        encoder: The name of the encoder of the documents.
        fingerprint: The fingerprint of that encoder, which names the space of its vectors. Queries must be encoded by
            it, or by another encoder in its space.
        query_encoder: The key of the artifact that holds the query encoder, as ONNX.
        query_encoder_name: The name of the query encoder; '' if the version that made the build did not write it.
        documents_key: The key of the artifact `documents` that the index was built from. That artifact names the tables
            that it was made from. '' if it is not known.
        dim, type, m, ef_construction: The parameters of the index.
        ef_runtime: The `EF_RUNTIME` that a KNN query should ask for. The value in the index itself is an estimate from
            before it was built, and may be lower or higher.
        documents: The number of works in the index.
        recall: recall@10 against exact search, in [0, 1].
        gates: The verdicts of the gates (`GateResult.to_json`), as a JSON list.
        seconds: The seconds that building took, gates included.
        feed_seconds: The part of these seconds from the first document sent to the last vector linked.
        created, published: Times in UTC, ISO 8601; `published` is '' until the build is published.
        saved: The time at which Redis had saved it to disk as the live build, UTC, ISO 8601; '' until then.
        owner: The process that made it (`viberary_pipeline.owner`).
        search_fields: `SEARCH_FIELDS` of the version that made it.
        fit: The figures that tell whether a query fits well (`viberary_pipeline.search.fit`), as JSON; '' if they were
            not measured.
        facets: The values that a search can be filtered by (`viberary_pipeline.search.facets`), as JSON; '' if they
            were not counted.
        source: 'sample' for the bundled catalogue; 'openlibrary' for Open Library's dump, where `review_count` counts
            the readers who shelved or rated a work; 'both' for that dump and UCSD's files together, where
            `review_count` is the sum of those readers and of the reviews; 'given' for any other catalogue; '' if the
            version that made the build did not write it.
        licence: The terms under which a catalogue of your own may be used (`sources/licences.py`); '' for the known
            sources.
    """

    build: str
    state: BuildState
    digest: str
    encoder: str
    fingerprint: str
    query_encoder: str
    dim: int
    type: VectorType
    m: int
    ef_construction: int
    ef_runtime: int
    documents: int
    recall: float = 0.0
    gates: str = "[]"
    seconds: float = 0.0
    created: str = ""
    published: str = ""
    owner: str = ""
    saved: str = ""
    search_fields: int = 0
    source: str = ""
    licence: str = ""
    feed_seconds: float = 0.0
    documents_key: str = ""
    query_encoder_name: str = ""
    fit: str = ""
    facets: str = ""

    @property
    def hnsw(self) -> HnswSettings:
        """The index's parameters, and as ef_runtime what a query asks for."""
        return HnswSettings(self.type, self.m, self.ef_construction, self.ef_runtime)

    @property
    def gate_results(self) -> list[dict[str, Any]]:
        """The gates, read from their JSON."""
        return list(json.loads(self.gates))

    def to_hash(self) -> Mapping[Any, str]:
        """The fields as Redis stores them."""
        return {name: str(value) for name, value in asdict(self).items()}

    @classmethod
    def from_hash(cls, stored: Mapping[Any, Any]) -> Self:
        """A record from HGETALL; a field that an older version did not write has its default.

        Raises:
            TypeError, ValueError: it is none of ours.
        """
        known = {as_text(name): value for name, value in stored.items()}
        record = cls(**{f.name: _parse(f.type, as_text(known[f.name])) for f in fields(cls) if f.name in known})
        record.hnsw  # noqa: B018  # raises where no index can be so
        return record


def _parse(kind: Any, text: str) -> Any:
    return kind(text) if kind in (int, float) else text


def as_text(value: Any) -> str:
    """What Redis stores or answers, as text: bytes are UTF-8, of which what is damaged becomes U+FFFD; None is ""."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return "" if value is None else str(value)


def field_text(name: str, value: Any) -> str:
    """The field of a document as text; "" if the document has none.

    Raises:
        SearchError: `card` or `details` was damaged.
    """
    if name in _COMPRESSED and isinstance(value, bytes) and value[:1] not in (b"", b"{"):
        try:
            value = zlib.decompress(value)
        except zlib.error as error:
            raise SearchError(
                "A document in Redis cannot be read",
                expected=f"a field {name} as `viberary build` writes it",
                found=str(error),
                todo="run `viberary build --force`",
            ) from error
    return as_text(value)


def read_record(client: redis.Redis, build: str) -> BuildRecord | None:
    """What is known of a build, or None where there is no record, or one that was damaged by hand."""
    try:
        return BuildRecord.from_hash(client.hgetall(record_key(build)))
    except (TypeError, ValueError):
        return None


@dataclass(frozen=True)
class Pointer:
    """Which build is live, and which was before; "" for none."""

    live: str
    previous: str


def read_pointer(client: redis.Redis) -> Pointer:
    """The published build and the one before it."""
    return read_pointer_reply(client.execute_command(*pointer_command()))


def pointer_command() -> tuple[str, ...]:
    """The command whose reply `read_pointer_reply` reads."""
    return ("HMGET", POINTER, "live", "previous")


def read_pointer_reply(reply: Any) -> Pointer:
    """The pointer from the reply to `pointer_command`; raises what the command failed with."""
    if isinstance(reply, Exception):
        raise reply
    live, previous = reply
    return Pointer(as_text(live), as_text(previous))


def index_is_missing(error: redis.ResponseError) -> bool:
    """Whether the server says that there is no such index (RediSearch 2.10, Redis 8 and Redis 8.10 in turn)."""
    text = str(error).lower()
    return any(words in text for words in ("no such index", "unknown index", "index not found"))


def aliased_index(client: redis.Redis) -> str:
    """The name of the index that the alias stands for; '' if there is no such alias."""
    try:
        info = client.ft(ALIAS).info()
    except redis.ResponseError as error:
        if index_is_missing(error):
            return ""
        raise
    return as_text(info["index_name"] if "index_name" in info else info[b"index_name"])


def is_healthy(client: redis.Redis, record: BuildRecord) -> bool:
    """Whether a build's index is there, whole and not being rebuilt (as it is after a restart of Redis)."""
    info = index_info(client, record.build)
    return info is not None and not info["indexing"] and info["failures"] == 0 and info["num_docs"] == record.documents


def lost_because(client: redis.Redis, build: str) -> str:
    """Why readers can never be answered from a build that the pointer names, in words; '' if they can.

    An index that Redis still loads is not lost.
    """
    record, info = read_record(client, build), index_info(client, build)
    if record is None or info is None:
        return "its record is gone" if record is None else "its index is gone"
    if info["indexing"] or is_healthy(client, record):
        return ""
    return f"its index holds {info['num_docs']:,} of {record.documents:,} documents"


def index_info(client: redis.Redis, build: str) -> dict[str, Any] | None:
    """The figures of FT.INFO that gates and readiness use, or None if there is no such index.

    Keys: num_docs, indexing (bool), failures (documents left out by an indexing error).
    """
    try:
        info = {as_text(name): value for name, value in client.ft(index_name(build)).info().items()}
    except redis.ResponseError as error:
        if index_is_missing(error):
            return None
        raise
    return {
        "num_docs": int(info["num_docs"]),
        "indexing": bool(int(info["indexing"])),
        "failures": int(info["hash_indexing_failures"]),
    }
