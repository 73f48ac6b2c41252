"""The exceptions of the pipeline. The message of each says what was expected, what was found and what to do.

The command line turns each of them into a message on standard error and an exit code: 1 for a failure,
3 if a gate refused. The live index is untouched in both cases.
"""

import errno
import shutil
from pathlib import Path


class ViberaryError(Exception):
    """The base class of all of these: a failure that a person can act on.

    Args:
        what: What went wrong, in a few words.
        expected: What the pipeline needed.
        found: What it found instead.
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
    """A setting cannot be used: a home that cannot be written, or a value out of range."""


class RawDataError(ViberaryError):
    """An input file is missing, is not gzip, or is damaged."""


class FetchError(ViberaryError):
    """A download failed, or differs from the published file."""


class HomeBusyError(ViberaryError):
    """Another build is running in the same VIBERARY_HOME."""


class ArtifactError(ViberaryError):
    """An artifact that a stage needs is missing, or does not match its manifest."""


class QualityError(ViberaryError):
    """The data cannot be checked: a bound is wrong, or a table is missing or has other columns."""


class EncoderError(ViberaryError):
    """An encoder is unknown, cannot be loaded, or does not match its description."""


class WorkerError(ViberaryError):
    """The worker that embeds or trains could not start, failed, or left results that cannot be used."""


class StorageError(ViberaryError):
    """S3 cannot be reached, or refuses a request. `passing` is True if another try may help."""

    def __init__(self, what: str, *, expected: str, found: str, todo: str, passing: bool = False) -> None:
        super().__init__(what, expected=expected, found=found, todo=todo)
        self.passing = passing


class RedisServerError(ViberaryError):
    """Redis cannot be used: it is unreachable, too old, or without the search module."""


class IndexBuildError(ViberaryError):
    """An index could not be built or published, or there is none to roll back to. The live index is untouched."""


class SearchError(ViberaryError):
    """A query cannot be answered: nothing is published, or the encoder of the live build is missing."""


class SearchUnavailable(SearchError):
    """No query can be answered at present: Redis does not answer, or nothing is published."""


class HistoryError(ViberaryError):
    """There is no record of the build that was named."""


class EvaluationError(ViberaryError):
    """Judgements cannot be read, or there is nothing to evaluate."""


class TuningError(ViberaryError):
    """An encoder cannot be trained: there are too few queries to learn from, or a file of texts cannot be read."""


class QueryError(ViberaryError):
    """A query is empty, or a filter has a value that is not allowed."""


class BookNotFound(QueryError):
    """No work of the live build, and none of its editions, has this id."""


class GateRefused(ViberaryError):
    """A gate refused the new data or the new index; nothing was published."""

    exit_code = 3


class BuildStopped(ViberaryError):
    """A build failed or was refused. The live index is untouched. `exit_code` is 3 if a gate refused, else 1."""

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

    Each library says it differently: Python by OSError; sqlite3 and sqlalchemy by "database or disk is full", or by
    "disk I/O error" while one of the `folders` has less than 1 MB left; DuckDB and Arrow by "No space left on device".
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
        return is_full(*folders)
    return any(words in text for words in _FULL_WORDS)


def is_full(*folders: Path) -> bool:
    """Whether the disk of one of the folders has less than 1 MB left."""
    return any(shutil.disk_usage(folder).free < _NEXT_TO_NOTHING for folder in folders if folder.is_dir())


def no_room(why: str, found: str) -> ViberaryError:
    """The error for a disk without room."""
    return ViberaryError(
        "There is no disk space left",
        expected="free space on the disks of VIBERARY_HOME, DAGSTER_HOME and the temporary folder",
        found=f"{why} ({found})",
        todo="free some space (`viberary gc` removes what nothing needs), then build again: finished stages are kept",
    )
