"""Decompressed lines of a gzip file, fed to DuckDB through a named pipe.

DuckDB reads gzip itself, but neither verifies its checksum nor is fast at it: igzip (ISA-L) in a thread of ours
does both, and the parse overlaps with it.
"""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isal import igzip, isal_zlib
from tqdm import tqdm

from viberary_pipeline.errors import RawDataError

_CHUNK = 1 << 20
_DAMAGE: tuple[type[Exception], ...] = (
    EOFError,
    igzip.BadGzipFile,
    isal_zlib.error,  # type: ignore[assignment]  # a class, whatever its stub says
)


class _Feeder(threading.Thread):
    """Writes the decompressed bytes of `path` into `pipe`; keeps the error that stopped it, if any."""

    def __init__(self, path: Path, pipe: Path) -> None:
        super().__init__(name=f"gunzip {path.name}", daemon=True)
        self.path, self.pipe = path, pipe
        self.error: Exception | None = None
        self.compressed = 0
        self.decompressed = 0

    def run(self) -> None:
        try:
            with (
                self.path.open("rb") as file,
                igzip.IGzipFile(fileobj=file, mode="rb") as lines,
                self.pipe.open("wb", buffering=0) as sink,
                tqdm(
                    total=self.path.stat().st_size,
                    desc=self.path.name,
                    unit="B",
                    unit_scale=True,
                    disable=None,
                ) as bar,
            ):
                while chunk := lines.read(_CHUNK):
                    view = memoryview(chunk)
                    while view:
                        view = view[sink.write(view) :]
                    self.decompressed += len(chunk)
                    bar.update(file.tell() - self.compressed)
                    self.compressed = file.tell()
        except BrokenPipeError:
            pass  # the reader stopped early; its own error tells why
        except Exception as error:
            self.error = error


@contextmanager
def decompressed(path: Path) -> Iterator[str]:
    """The path of a pipe from which the lines of the gzip file `path` can be read once.

    Raises:
        RawDataError: on leaving, if the file turned out to be truncated or corrupt. Whatever was read until
            then must not be used.
    """
    with tempfile.TemporaryDirectory(prefix="viberary-") as folder:
        pipe = Path(folder) / "lines.json"
        os.mkfifo(pipe)
        feeder = _Feeder(path, pipe)
        feeder.start()
        try:
            yield str(pipe)
        finally:
            # Where the reader never opened the pipe, the feeder still waits for one: be it, and leave.
            os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
            feeder.join()
        if isinstance(feeder.error, _DAMAGE):
            raise RawDataError(
                "A raw file is damaged",
                expected=f"{path} to be whole gzip data with a right checksum",
                found=f"{feeder.error} at byte {feeder.compressed:,} of {path.stat().st_size:,}, "
                f"after {feeder.decompressed:,} decompressed bytes",
                todo="download the file again (`gzip -t FILE` checks one)",
            ) from feeder.error
        if feeder.error is not None:
            raise feeder.error


def lines_at(path: Path, wanted: set[int], *, cut: int = 500) -> dict[int, str]:
    """The raw text of some lines, counted from 1 over the lines that are not blank (as DuckDB counts them).

    Args:
        path: The gzip file.
        wanted: Numbers of the lines.
        cut: Characters kept of each.
    """
    found: dict[int, str] = {}
    number = 0
    with igzip.open(path, "rb") as lines:
        for line in lines:
            if not line.strip():
                continue
            number += 1
            if number in wanted:
                found[number] = line.decode("utf-8", "backslashreplace").rstrip("\n")[:cut]
                if len(found) == len(wanted):
                    break
    return found
