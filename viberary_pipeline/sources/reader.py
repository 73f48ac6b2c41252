"""The bytes of a raw file, decompressed and verified, from a disk or from S3.

gzip goes through igzip (ISA-L): several times faster than zlib, and it verifies checksum and length, which DuckDB's
own reader does not. It holds no lock of Python's while at work, so that a thread can decompress beside DuckDB.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path

from isal import igzip, isal_zlib
from tqdm import tqdm

from viberary_pipeline.errors import RawDataError
from viberary_pipeline.sources.file_formats import GZIP_MAGIC
from viberary_pipeline.sources.raw_files import RawPart, changed
from viberary_pipeline.storage import Bucket, ObjectChangedError, ObjectVersion, file_signature, is_s3

_DAMAGE: tuple[type[Exception], ...] = (
    EOFError,
    igzip.BadGzipFile,
    isal_zlib.error,  # type: ignore[assignment]  # a class, whatever its stub says
)


class PartReader:
    """One pass over one raw file. The counters may be read at any time, from any thread.

    Attributes:
        compressed_read: Stored bytes taken so far; up to a buffer (512 KiB) ahead of what was decompressed.
        decompressed_read: Bytes handed out so far.
        packed: Whether the stored bytes are gzip.
    """

    def __init__(
        self, part: RawPart, stored: BufferedReader, plain: BufferedReader | igzip.IGzipFile, bar: "tqdm[None]"
    ) -> None:
        self.part = part
        self.compressed_read = 0
        self.decompressed_read = 0
        self.packed = plain is not stored
        self._stored, self._plain, self._bar = stored, plain, bar

    def chunks(self, size: int = 1 << 20) -> Iterator[bytes]:
        """The decompressed bytes in pieces of at most `size`, once.

        Raises:
            RawDataError: the file is damaged, cannot be read, or is not the one that was fingerprinted. What came
                before must not be used either: the checksum stands at the end of the file.
            StorageError: S3 cannot be reached any more.
        """
        while chunk := self._read(size):
            self.decompressed_read += len(chunk)
            yield chunk
        if self.compressed_read != self.part.bytes:
            raise changed(self.part, f"{self.compressed_read:,} bytes")
        # A rewrite of the same size while it was read; in S3 every request says which object it means.
        if self.part.signature is not None and tuple(file_signature(Path(self.part.uri))) != self.part.signature:
            raise changed(self.part, "a file of the same size, changed since")

    def _read(self, size: int) -> bytes:
        # read1 drops no more than the one piece that damage is in.
        try:
            return self._plain.read1(size)
        except _DAMAGE as error:
            raise self._damaged(error) from error
        except ObjectChangedError as error:
            raise changed(self.part, error.found) from error
        except OSError as error:
            raise _unreadable(self.part, error) from error
        finally:
            self.compressed_read = self._stored.tell()
            self._bar.update(self.compressed_read - self._bar.n)

    def _damaged(self, error: Exception) -> RawDataError:
        return RawDataError(
            "A raw file is damaged",
            expected=f"{self.part.uri} to be whole gzip data with a right checksum",
            found=f"{error} at about byte {self._stored.tell():,} of {self.part.bytes:,}, "
            f"after {self.decompressed_read:,} decompressed bytes",
            todo="download the file again (`gzip -t FILE` checks one)",
        )


@contextmanager
def open_part(part: RawPart, *, progress: bool = True) -> Iterator[PartReader]:
    """Open a raw file for one pass. Whether it is gzip is decided by its first bytes, not by its name.

    Args:
        part: A file as `find` gave it.
        progress: Show a bar of the stored bytes where standard error is a terminal.

    Raises:
        RawDataError: the file cannot be opened, or is not the one that was fingerprinted.
        StorageError: S3 cannot be reached, or refuses.
    """
    with ExitStack() as stack:
        try:
            stored = stack.enter_context(_open(part))
            packed = stored.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
        except ObjectChangedError as error:
            raise changed(part, error.found) from error
        except OSError as error:
            raise _unreadable(part, error) from error
        plain = stack.enter_context(igzip.IGzipFile(fileobj=stored, mode="rb")) if packed else stored
        bar = stack.enter_context(
            tqdm(total=part.bytes, desc=part.name, unit="B", unit_scale=True, disable=None if progress else True)
        )
        yield PartReader(part, stored, plain, bar)


def _open(part: RawPart) -> BufferedReader:
    if not is_s3(part.uri):
        return Path(part.uri).open("rb")
    bucket, name = Bucket.containing(part.uri)
    return bucket.stream(name, ObjectVersion.parse(part.version))


def _unreadable(part: RawPart, error: OSError) -> RawDataError:
    return RawDataError(
        "A raw file cannot be read",
        expected=f"to read {part.uri}",
        found=f"{type(error).__name__}: {error.strerror or error}",
        todo="look at the file, its permissions and its disk",
    )
