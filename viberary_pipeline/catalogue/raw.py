"""The raw files: where they are, what they are called, and a fingerprint of what is in them.

Format: UCSD Book Graph, gzipped JSON lines (Wan & McAuley, RecSys 2018, doi 10.1145/3240323.3240369).
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from viberary_pipeline.artifacts import file_sha256
from viberary_pipeline.errors import RawDataError

FILES = {
    "books": "goodreads_books.json.gz",
    "authors": "goodreads_book_authors.json.gz",
    "reviews": "goodreads_reviews_dedup.json.gz",
}
_GZIP_MAGIC = b"\x1f\x8b"
_TODO = "point VIBERARY_RAW (or --raw) at the folder that holds " + ", ".join(FILES.values())


@dataclass(frozen=True)
class RawFile:
    """One input file as it was when fingerprinted. `sha256` is over the compressed bytes."""

    table: str
    path: str
    bytes: int
    mtime_ns: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values; `RawFile(**...)` reads them back."""
        return asdict(self)

    def check_unchanged(self) -> Path:
        """The path, if the file still is what was fingerprinted. Raises `RawDataError` if not."""
        path = Path(self.path)
        try:
            stat = path.stat()
        except OSError as error:
            raise RawDataError(
                f"The raw file of {self.table} is gone", expected=self.path, found=str(error), todo=_TODO
            ) from error
        if (stat.st_size, stat.st_mtime_ns) != (self.bytes, self.mtime_ns):
            raise RawDataError(
                f"The raw file of {self.table} changed after it was fingerprinted",
                expected=f"{self.path} with {self.bytes:,} bytes, as raw_{self.table} saw it",
                found=f"{stat.st_size:,} bytes, modified since",
                todo=f"materialize raw_{self.table} again, or run `viberary build`",
            )
        return path


def fingerprint(table: str, folder: Path) -> RawFile:
    """Find the file of `table` in `folder` and fingerprint it.

    Raises:
        RawDataError: the folder or the file is missing, or the file is not gzip.
    """
    if not folder.is_dir():
        raise RawDataError(
            "The folder with the raw files is missing",
            expected=f"a folder at {folder}",
            found="none",
            todo=_TODO,
        )
    path = folder / FILES[table]
    if not path.is_file():
        present = sorted(entry.name for entry in folder.iterdir())
        raise RawDataError(
            f"The raw file of {table} is missing",
            expected=str(path),
            found=f"{len(present)} other entries: {', '.join(present[:8])}" if present else "an empty folder",
            todo=_TODO,
        )
    with path.open("rb") as file:
        magic = file.read(2)
    if magic != _GZIP_MAGIC:
        raise RawDataError(
            f"The raw file of {table} is not gzip",
            expected=f"{path} to start with the bytes 1f 8b",
            found=f"{magic.hex(' ') or 'an empty file'}",
            todo="download the file again, or compress it with gzip",
        )
    stat = path.stat()
    return RawFile(table, str(path.absolute()), stat.st_size, stat.st_mtime_ns, file_sha256(path))
