"""FT.SEARCH and FT.SPELLCHECK as plain commands, so that several go in one round trip; their replies as plain values.

redis-py's own parsing of a search reply takes longer than the search. Both protocols are read: RESP3 (maps) and RESP2
(flat lists), from clients that do not decode.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from viberary_pipeline.errors import SearchError
from viberary_pipeline.index.contract import index_name

Command = tuple[str | bytes | int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One document of a reply: its key, the text score (0 unless asked for), the fields asked for."""

    key: bytes
    score: float
    fields: Mapping[bytes, bytes]


def search_command(build: str, query: str, *options: str | bytes | int) -> Command:
    """FT.SEARCH in a build's index, in the dialect that knows KNN."""
    return ("FT.SEARCH", index_name(build), query, *options, "DIALECT", 2)


def read_rows(reply: Any, *, scores: bool = False, contents: bool = True) -> list[Row]:
    """The documents of an FT.SEARCH reply, in its order.

    Args:
        reply: As redis-py gives it.
        scores: The command said WITHSCORES.
        contents: The command did not say NOCONTENT.

    Raises:
        redis.ResponseError: the reply of a pipelined command that failed.
        SearchError: the server returned a part of the results with a warning.
    """
    if isinstance(reply, Exception):
        raise reply
    if isinstance(reply, Mapping):
        if reply.get(b"warning"):
            raise SearchError(
                "The search returned only a part of its results",
                expected="all that were asked for",
                found="; ".join(_bytes(warning).decode() for warning in reply[b"warning"]),
                todo="try again; if it comes back, see Redis' load and its search TIMEOUT",
            )
        return [
            Row(row[b"id"], float(row.get(b"score", 0.0)), row.get(b"extra_attributes", {}))
            for row in reply[b"results"]
        ]
    step = 1 + scores + contents
    return [
        Row(
            _bytes(reply[at]),
            float(reply[at + 1]) if scores else 0.0,
            _pairs(reply[at + step - 1]) if contents else {},
        )
        for at in range(1, len(reply), step)
    ]


def read_spelling(reply: Any) -> dict[str, list[str]]:
    """{word that the index does not hold: words that it holds}, most frequent first, from an FT.SPELLCHECK reply."""
    if isinstance(reply, Exception):
        raise reply
    if isinstance(reply, Mapping):
        found = next(iter(reply.values()))
        terms = {
            _bytes(word): [(float(score), _bytes(term)) for each in near for term, score in each.items()]
            for word, near in found.items()
        }
    else:
        terms = {_bytes(word): [(float(score), _bytes(term)) for score, term in near] for _, word, near in reply}
    return {
        # A stem, "+reveng", is no word.
        word.decode(): [term.decode() for _, term in sorted(near, reverse=True) if not term.startswith(b"+")]
        for word, near in terms.items()
    }


def _pairs(flat: list[Any]) -> dict[bytes, bytes]:
    return {_bytes(flat[at]): flat[at + 1] for at in range(0, len(flat), 2)}


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
