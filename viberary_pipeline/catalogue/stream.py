"""Decompressed lines of a gzip file, fed to DuckDB through a named pipe.

DuckDB reads gzip itself, but neither verifies its checksum nor is fast at it: igzip (ISA-L) in a thread of ours
does both, and the parse overlaps with it. On the way every line that would lead the parser astray is replaced.
"""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from isal import igzip, isal_zlib
from tqdm import tqdm

from viberary_pipeline.catalogue.lines import BOM, MOST_BYTES, guarded
from viberary_pipeline.errors import RawDataError

_CHUNK = 1 << 20
_DAMAGE: tuple[type[Exception], ...] = (
    EOFError,
    igzip.BadGzipFile,
    isal_zlib.error,  # type: ignore[assignment]  # a class, whatever its stub says
)


class _Feeder(threading.Thread):
    """Writes the lines of the open gzip `file` into `pipe`, until `stopped`; keeps the error that ended it."""

    def __init__(self, file: IO[bytes], path: Path, pipe: Path) -> None:
        super().__init__(name=f"gunzip {path.name}", daemon=True)
        self.file, self.path, self.pipe = file, path, pipe
        self.stopped = threading.Event()
        self.error: Exception | None = None
        self.decompressed = 0

    def run(self) -> None:
        try:
            # First of all the pipe: a reader's open() waits until this side is open, whatever comes after.
            with self.pipe.open("wb", buffering=0) as sink:
                for lines in guarded(self._chunks()):
                    view = memoryview(lines)
                    while view and not self.stopped.is_set():
                        view = view[sink.write(view) :]
        except BrokenPipeError:
            pass  # the reader stopped early; its own error tells why
        except Exception as error:
            self.error = error

    def _chunks(self) -> Iterator[bytes]:
        size = os.fstat(self.file.fileno()).st_size
        with (
            igzip.IGzipFile(fileobj=self.file, mode="rb") as lines,
            tqdm(total=size, desc=self.path.name, unit="B", unit_scale=True, disable=None) as bar,
        ):
            try:
                while not self.stopped.is_set() and (chunk := lines.read(_CHUNK)):
                    yield chunk
                    bar.update(self.file.tell() - bar.n)
            finally:
                self.decompressed = lines.tell()


@contextmanager
def decompressed(path: Path, scratch: Path) -> Iterator[str]:
    """The path of a pipe from which the lines of the gzip file `path` can be read once, as `guarded` passes them.

    Args:
        path: The gzip file.
        scratch: An existing folder for the pipe.

    Raises:
        RawDataError: the file cannot be opened; or on leaving, if it turned out to be truncated or corrupt, even
            where the reader failed as well. Whatever was read until then must not be used.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from error
    with file, tempfile.TemporaryDirectory(prefix=".lines-", dir=scratch) as folder:
        pipe = Path(folder) / "lines.json"
        os.mkfifo(pipe)
        feeder = _Feeder(file, path, pipe)
        feeder.start()
        try:
            yield str(pipe)
        finally:
            _end(feeder)
            _raise_error(feeder)


def _end(feeder: _Feeder) -> None:
    """Wait for the feeder, which may still wait for a reader to come, or for one to go on: be it meanwhile."""
    feeder.stopped.set()
    end = os.open(feeder.pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while feeder.is_alive():
            # At most what it was writing comes out of the pipe; nobody wants it any more.
            with suppress(BlockingIOError):
                os.read(end, _CHUNK)
            feeder.join(0.01)
    finally:
        os.close(end)


def _raise_error(feeder: _Feeder) -> None:
    path, error = feeder.path, feeder.error
    if isinstance(error, _DAMAGE):
        raise RawDataError(
            "A raw file is damaged",
            expected=f"{path} to be whole gzip data with a right checksum",
            found=f"{error} at about byte {feeder.file.tell():,} of {os.fstat(feeder.file.fileno()).st_size:,}, "
            f"after {feeder.decompressed:,} decompressed bytes",
            todo="download the file again (`gzip -t FILE` checks one)",
        ) from error
    if isinstance(error, OSError):
        raise _unreadable(path, error) from error
    if error is not None:
        raise error


def _unreadable(path: Path, error: OSError) -> RawDataError:
    return RawDataError(
        "A raw file cannot be read",
        expected=f"to read {path}",
        found=f"{type(error).__name__}: {error.strerror or error}",
        todo="look at the file, its permissions and its disk",
    )


def lines_at(path: Path, wanted: set[int], *, cut: int = 500) -> dict[int, str]:
    """The raw text of some lines, counted from 1 over the lines that are not blank (as DuckDB counts them).

    Args:
        path: The gzip file.
        wanted: Numbers of the lines.
        cut: Characters kept of each.
    """
    found: dict[int, str] = {}
    number = 0
    first = True
    with igzip.open(path, "rb") as lines:
        while line := lines.readline(MOST_BYTES + 1):
            start = line.removeprefix(BOM) if first else line
            first = False
            too_long = len(line) > MOST_BYTES
            while not line.endswith(b"\n") and (line := lines.readline(_CHUNK)):
                pass
            if not too_long and not start.strip():
                continue
            number += 1
            if number in wanted:
                found[number] = start[: 4 * cut].decode("utf-8", "backslashreplace").rstrip("\r\n")[:cut]
                if len(found) == len(wanted):
                    break
    return found
