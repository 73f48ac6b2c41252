"""The bundled catalogue written as files of one source, to the byte the same every time: the three files of the UCSD
Book Graph, or six dumps of Open Library.

After the clean records of each file come those of `dirt.toml` (`dirt_openlibrary.toml`): what is wrong in the real
files, in small numbers and by name. A dirty record never touches a clean one.
"""

import json
import struct
import tomllib
import zlib
from collections.abc import Iterable
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from viberary_pipeline.errors import SettingsError
from viberary_pipeline.sample import openlibrary, records
from viberary_pipeline.sample.works import Work, load_works
from viberary_pipeline.sources.raw_files import FILES
from viberary_pipeline.storage import replacing

# The head of every file that any version of the sample writes: gzip with a comment (RFC 1952, 2.3), no time and no
# file name. It tells the sample's own files, which may be replaced, from somebody's downloads, which may not.
_HEAD = b"\x1f\x8b\x08\x10" + bytes(4) + b"\x02\xff" + b"viberary sample\0"
_RECORD = {"books": records.book_record, "authors": records.author_record, "reviews": records.review_record}


class Written(NamedTuple):
    """One file of the sample. `lines` counts the clean records and the dirty lines."""

    path: Path
    lines: int
    dirty: int


def write_sample(folder: Path, source: str = "ucsd") -> dict[str, Written]:
    """Write the gz files of one source into `folder`, which is made if need be; other files there stay.

    All are complete under temporary names before the first takes its place. A file that is right already
    stays untouched; one of those names that no version of the sample wrote is never replaced.

    Args:
        folder: Where to.
        source: One of `SOURCES`.

    Returns:
        Each table of the source to what was written: of UCSD 'books', 'authors' and 'reviews'.

    Raises:
        SettingsError: the folder cannot be made or written, or holds a file of that name that is not ours.
    """
    names, make_clean, make_dirty = SOURCES[source]
    clean, dirty = make_clean(), make_dirty()
    paths = {table: folder / name for table, name in names.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace_files({path: _packed([*clean[table], *dirty[table]]) for table, path in paths.items()})
    except OSError as error:
        raise SettingsError(
            "The sample cannot be written",
            expected=f"a folder that this user may write, at {folder}",
            found=f"{type(error).__name__}: {error.strerror or error}",
            todo="choose another folder, or correct the permissions",
        ) from error
    return {
        table: Written(path, len(clean[table]) + len(dirty[table]), len(dirty[table])) for table, path in paths.items()
    }


def load_dirt(name: str = "dirt") -> dict[str, Any]:
    """`dirt.toml` as it stands: private_shelves, and a list of dirt per table."""
    text = (files("viberary_pipeline") / "sample" / f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def clean_records(works: list[Work], private_shelves: list[str]) -> dict[str, list[records.Record]]:
    """The records of each table. Raises ValueError if two of one table have one id."""
    tables = {
        "books": records.books(works, private_shelves),
        "authors": records.authors(works),
        "reviews": records.reviews(works),
    }
    for table, key in (("books", "book_id"), ("authors", "author_id"), ("reviews", "review_id")):
        _check_unique(table, [record[key] for record in tables[table]])
    series = {work.series for work in works if work.series}
    _check_unique("series", [records.series_id(name) for name in series])
    return tables


def dirty_lines(table: str, dirt: Iterable[dict[str, Any]]) -> list[str]:
    """The lines of the dirt declared for a table: a `line` as it is, `fields` on an empty record."""
    return [item["line"] if "line" in item else _line(_RECORD[table](**item["fields"])) for item in dirt]


def _ucsd_clean() -> dict[str, list[str]]:
    tables = clean_records(load_works(), load_dirt()["private_shelves"])
    return {table: [*map(_line, tables[table])] for table in FILES}


def _ucsd_dirty() -> dict[str, list[str]]:
    dirt = load_dirt()
    return {table: dirty_lines(table, dirt[table]) for table in FILES}


def _openlibrary_clean() -> dict[str, list[str]]:
    return openlibrary.clean_lines(load_works())


def _openlibrary_dirty() -> dict[str, list[str]]:
    dirt = load_dirt("dirt_openlibrary")
    return {table: openlibrary.dirty_lines(table, dirt[table]) for table in openlibrary.TABLES}


SOURCES = {
    "ucsd": (FILES, _ucsd_clean, _ucsd_dirty),
    "openlibrary": (openlibrary.FILES, _openlibrary_clean, _openlibrary_dirty),
}
"""Each source: its tables with the names of their files, what makes the clean lines, and the dirty ones."""


def _check_unique(what: str, ids: list[str]) -> None:
    if len(set(ids)) != len(ids):
        twice = next(value for value in sorted(ids) if ids.count(value) > 1)
        raise ValueError(f"two {what} of the sample have the id {twice}")


def _line(record: records.Record) -> str:
    # ASCII with \u escapes, as in UCSD's files.
    return json.dumps(record)


def _packed(lines: list[str]) -> bytes:
    text = "".join(line + "\n" for line in lines).encode()
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return _HEAD + deflate.compress(text) + deflate.flush() + struct.pack("<II", zlib.crc32(text), len(text))


def _replace_files(contents: dict[Path, bytes]) -> None:
    present = [path for path in contents if path.is_file()]
    _refuse_foreign([path for path in present if not _is_ours(path)], expected=[path.name for path in contents])
    # A file that is right keeps its time of modification: to whoever fingerprinted it, it has not changed.
    changed = {path: new for path, new in contents.items() if path not in present or path.read_bytes() != new}
    with ExitStack() as stack:  # all are written before the first is replaced
        for path, content in changed.items():
            stack.enter_context(replacing(path)).write_bytes(content)


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_HEAD)) == _HEAD


def _refuse_foreign(paths: list[Path], expected: list[str]) -> None:
    if paths:
        raise SettingsError(
            "The sample would overwrite files that it did not write",
            expected=f"a folder without files of other origin named {', '.join(expected)}",
            found=", ".join(f"{path} ({path.stat().st_size:,} bytes)" for path in paths),
            todo="choose another folder for the sample, or move these files away",
        )
