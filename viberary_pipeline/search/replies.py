"""FT.SEARCH as plain commands, so that several go in one round trip; their replies as plain values.

redis-py's own parsing of a search reply takes longer than the search. Both protocols are read: RESP3 (maps) and RESP2
(flat lists), from clients that do not decode.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

from viberary_pipeline.errors import SearchError
from viberary_pipeline.redis_contract import as_text, field_text, index_name

Command = tuple[str | bytes | int, ...]

_Options = ParamSpec("_Options")
_Read = TypeVar("_Read")


class BuildVanishedError(SearchError):
    """A build was replaced in the middle of a query, and its documents may be gone."""

    def __init__(self, build: str) -> None:
        super().__init__(
            "The build was replaced in the middle of a query",
            expected=f"the documents of build {build}",
            found="some of them are gone, or another build is live",
            todo="search again",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.expected.rpartition(" ")[2],))


class Row(NamedTuple):
    """One document of a reply: its key, its text score (0 without WITHSCORES), the returned fields that it has."""

    key: bytes
    score: float
    fields: Mapping[bytes, bytes]

    def text(self, name: str) -> str:
        """A field as text; "" if the document has none."""
        return field_text(name, self.fields.get(name.encode()))


def search_command(build: str, query: str, *options: str | bytes | int) -> Command:
    """FT.SEARCH in a build's index, in the dialect that knows KNN."""
    return ("FT.SEARCH", index_name(build), query, *options, "DIALECT", 2)


def checked(read: Callable[_Options, _Read]) -> Callable[_Options, _Read]:
    """A reader of replies that raises `SearchError` for a reply of an unexpected form, whatever is wrong with it.

    The reply of a command that failed in a round trip is its exception: that is raised.
    """

    @wraps(read)
    def reader(*args: _Options.args, **options: _Options.kwargs) -> _Read:
        if isinstance(args[0], Exception):
            raise args[0]
        try:
            return read(*args, **options)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise SearchError(
                "A reply of Redis cannot be read",
                expected=f"what {read.__name__} reads, as RediSearch 2.10 to 8 sends it",
                found=f"{type(error).__name__}: {error}",
                todo="check with `viberary redis status` that this Redis is 7.4 or newer; if it is, report this as a "
                "bug",
            ) from error

    return reader


@checked
def read_rows(reply: Any, *, scores: bool = False, contents: bool = True) -> list[Row]:
    """The documents of an FT.SEARCH reply, in its order; none of no reply (None).

    Args:
        reply: As redis-py gives it.
        scores: The command said WITHSCORES.
        contents: The command did not say NOCONTENT.

    Raises:
        redis.ResponseError: the reply of a pipelined command that failed.
        SearchError: the server returned a part of the results with a warning, or something else than results.
    """
    if reply is None:
        return []
    if isinstance(reply, Mapping):
        if reply.get(b"warning"):
            raise SearchError(
                "The search returned only a part of its results",
                expected="all that were asked for",
                found="; ".join(map(as_text, reply[b"warning"])),
                todo="try again; if it happens again, check Redis' load and its search TIMEOUT",
            )
        # A document that was removed in the meantime has a key and no fields.
        return [
            Row(row[b"id"], float(row.get(b"score", 0.0)), row.get(b"extra_attributes") or {})
            for row in reply[b"results"]
        ]
    flat = iter(reply[1:])  # after the number of all results: key, score, fields of each document
    return [
        Row(key, float(rest[0]) if scores else 0.0, _pairs(rest[-1]) if contents else {})
        for key, *rest in zip(*[flat] * (1 + scores + contents), strict=True)
    ]


def is_too_slow(error: Exception) -> bool:
    """Whether a search ended with this error because it took longer than the server's TIMEOUT."""
    return "timeout" in (error.found if isinstance(error, SearchError) else str(error)).casefold()


def _pairs(flat: list[Any] | None) -> dict[bytes, bytes]:
    values = iter(flat or ())
    return dict(zip(values, values, strict=True))
