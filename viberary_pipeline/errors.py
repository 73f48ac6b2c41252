"""The exceptions of the pipeline: each says what was expected, what was found and what to do.

The command line turns every one of them into a message on standard error and an exit code: 1 for a failure,
3 for a gate that refused (the live index is untouched in both cases).
"""

import errno
import shutil
from pathlib import Path


class ViberaryError(Exception):
    """A failure that a person can act on.

    Args:
        what: What went wrong, in a few words.
        expected: What the pipeline needed.
        found: What it met instead.
        todo: What the reader of the message can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, expected: str, found: str, todo: str) -> None:
        self.what, self.expected, self.found, self.todo = what, expected, found, todo
        super().__init__(what, expected, found, todo)

    def __str__(self) -> str:
        return f"{self.what}\n  expected:   {self.expected}\n  found:      {self.found}\n  what to do: {self.todo}"

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive BaseException's own pickling (Dagster pickles across processes).
        return (_rebuild, (type(self), self.what, self.expected, self.found, self.todo))


def _rebuild(cls: type[ViberaryError], what: str, expected: str, found: str, todo: str) -> ViberaryError:
    return cls(what, expected=expected, found=found, todo=todo)


class SettingsError(ViberaryError):
    """A setting that cannot be used: an unwritable home, a value out of range."""


class RawDataError(ViberaryError):
    """An input file that is missing, is not gzip, or is damaged."""


class FetchError(ViberaryError):
    """A download that failed, or that differs from what was published."""


class HomeBusyError(ViberaryError):
    """Another build is under way in the same VIBERARY_HOME."""


class ArtifactError(ViberaryError):
    """An artifact that a stage needs and that is missing, or does not match its manifest."""


class QualityError(ViberaryError):
    """The data cannot be checked: a wrong bound, or a table that is missing or has other columns."""


class EncoderError(ViberaryError):
    """An encoder that is unknown, cannot be loaded, or does not match its description."""


class WorkerError(ViberaryError):
    """The embedding worker failed or left work that does not verify."""


class StorageError(ViberaryError):
    """Object storage that cannot be reached, or refuses. `passing` says that another try may help."""

    def __init__(self, what: str, *, expected: str, found: str, todo: str, passing: bool = False) -> None:
        super().__init__(what, expected=expected, found=found, todo=todo)
        self.passing = passing


class RedisServerError(ViberaryError):
    """No usable Redis: unreachable, too old, or without the search module."""


class IndexBuildError(ViberaryError):
    """The new index could not be built; it was cleaned away."""


class SearchError(ViberaryError):
    """A query that cannot be answered: nothing published, or the encoder of the live build is missing."""


class SearchUnavailable(SearchError):
    """No query can be answered at present: Redis is away, or nothing is published."""


class HistoryError(ViberaryError):
    """A build of which there is no record."""


class EvaluationError(ViberaryError):
    """Judgements that cannot be read, or nothing to evaluate."""


class TuningError(ViberaryError):
    """An encoder that cannot be tuned on the documents and requests at hand."""


class QueryError(ViberaryError):
    """A query without any text, or a filter with a value that is not allowed."""


class BookNotFound(QueryError):
    """No work of the live build has an edition of this id."""


class GateRefused(ViberaryError):
    """A gate refused the new data or the new index; nothing was published."""

    exit_code = 3


class BuildStopped(ViberaryError):
    """A build that failed or was refused; the live index is untouched. `exit_code` is 3 if a gate refused, else 1."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message, expected="", found="", todo="")
        self.exit_code = exit_code

    def __str__(self) -> str:
        return self.what  # the message of a stage says the rest

    def __reduce__(self) -> tuple[object, ...]:
        return (BuildStopped, (self.what, self.exit_code))


_OUT_OF_ROOM = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota of this user is used up"}
_FULL_WORDS = ("disk is full", "No space left on device")
_NEXT_TO_NOTHING = 1 << 20


def out_of_room(error: BaseException | None, *folders: Path) -> ViberaryError | None:
    """The message for an exception that says, itself or by its causes, that a disk has no room; None for any other.

    Whoever writes raises its own: OSError; "database or disk is full" of sqlite3 and sqlalchemy, or "disk I/O error"
    where one of the `folders` has less than 1 MB left; "No space left on device" of DuckDB and Arrow.
    """
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        why = _OUT_OF_ROOM.get(error.errno or 0, "") if isinstance(error, OSError) else ""
        if why or says_full(str(error), *folders):
            return no_room(why or "the disk is full", f"{type(error).__name__}: {str(error).splitlines()[0][:200]}")
        error = error.__cause__ or error.__context__
    return None


def says_full(text: str, *folders: Path) -> bool:
    """Whether the text of an exception says that a disk is full (`out_of_room`)."""
    if "disk I/O error" in text:
        return any(shutil.disk_usage(folder).free < _NEXT_TO_NOTHING for folder in folders if folder.is_dir())
    return any(words in text for words in _FULL_WORDS)


def no_room(why: str, found: str) -> ViberaryError:
    """The error for a disk without room."""
    return ViberaryError(
        "There is no room left to write",
        expected="room on the disks of VIBERARY_HOME, DAGSTER_HOME and the temporary folder",
        found=f"{why} ({found})",
        todo="make room (`viberary gc` removes what nothing needs), then build again: finished stages are kept",
    )
