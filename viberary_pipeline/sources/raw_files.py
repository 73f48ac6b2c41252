"""The raw files of a build: where they are, which are read, and a fingerprint of what is in them."""

import hashlib
import stat
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from viberary_pipeline.artifacts import digest
from viberary_pipeline.errors import RawDataError
from viberary_pipeline.sources.columns import Source, Sources
from viberary_pipeline.sources.file_formats import GZIP_MAGIC, HEAD_BYTES, advice, likely
from viberary_pipeline.sources.file_names import (
    FILES,
    OPTIONAL,
    TABLES,
    accepted,
    choose,
    is_file_name,
    is_of,
    missing_parts,
    subset_of,
)
from viberary_pipeline.sources.openlibrary import dumps
from viberary_pipeline.sources.table_specs import TABLES as SPECS
from viberary_pipeline.storage import Bucket, file_signature, is_s3

__all__ = ["FILES", "OPTIONAL", "TABLES", "RawInput", "RawPart", "check_present", "find", "listing_digest"]

_TODO = (
    "point VIBERARY_RAW (or --raw) at a folder or an s3://bucket/prefix with "
    + ", ".join(FILES.values())
    + "; or at one books file of these; or at a folder or prefix with a dump of Open Library "
    "(ol_dump_works_DATE.txt.gz, ...); or at one place of each source, with a comma between them"
)
_SHOWN = 8


@dataclass(frozen=True)
class RawPart:
    """One stored file as it was when found.

    `uri` is an absolute path or s3://bucket/key, `bytes` its stored size, `version` the SHA-256 of the stored
    bytes or, in S3, 'etag:...' and where there is one ';version:...'. `signature` is that of
    `storage.file_signature`, and None in S3.
    """

    table: str
    uri: str
    name: str
    bytes: int
    version: str
    signature: tuple[int, ...] | None


@dataclass(frozen=True)
class RawInput:
    """All that is read for one table, in order. `notes` say what else was there, and what is missing."""

    table: str
    parts: tuple[RawPart, ...]
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Names and contents in order: what determines the table. Where the files lie does not."""
        return digest([(part.name, part.version) for part in self.parts])

    @property
    def bytes(self) -> int:
        """The stored size of all parts."""
        return sum(part.bytes for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values; `from_json` reads them back."""
        return {"table": self.table, "parts": [asdict(part) for part in self.parts], "notes": list(self.notes)}

    @classmethod
    def from_json(cls, values: Any) -> "RawInput":
        """Of what `to_json` gave; other keys are left alone. Raises KeyError or TypeError for anything else."""
        parts = [part | {"signature": part["signature"] and tuple(part["signature"])} for part in values["parts"]]
        return cls(values["table"], tuple(RawPart(**part) for part in parts), tuple(values["notes"]))

    def check_unchanged(self) -> None:
        """Raises `RawDataError` if a part is no longer what was found, and `StorageError` if S3 does not say."""
        bucket = Bucket(self.parts[0].uri.rpartition("/")[0]) if self.parts and is_s3(self.parts[0].uri) else None
        for part in self.parts:
            try:
                if bucket is not None:
                    version, size, _ = bucket.head(part.uri.rpartition("/")[2], len(GZIP_MAGIC))
                    same, found = str(version) == part.version, f"{size:,} bytes, {version}"
                else:
                    now = tuple(file_signature(Path(part.uri)))
                    same, found = now == part.signature, f"{now[0]:,} bytes, changed since"
            except OSError as error:
                raise RawDataError(
                    f"A raw file of {part.table} is gone", expected=part.uri, found=str(error), todo=_TODO
                ) from error
            if not same:
                raise changed(part, found)


@dataclass(frozen=True)
class _Chosen:
    """The files of a table by name with their sizes, and what is to be said of others that are there."""

    folder: str
    sizes: Mapping[str, int]
    notes: tuple[str, ...]


def changed(part: RawPart, found: str) -> RawDataError:
    """The error for a part that is no longer what was found."""
    return RawDataError(
        f"A raw file of {part.table} changed after it was fingerprinted",
        expected=f"{part.uri} with {part.bytes:,} bytes, as raw_{part.table} saw it",
        found=found,
        todo=f"materialize raw_{part.table} again, or run `viberary build`",
    )


def find(table: str, location: str, *, known: RawInput | None = None, mixed_dates: bool = False) -> RawInput | None:
    """Find the files of `table` at `location` and fingerprint them.

    Args:
        table: A table of any source (`table_specs.TABLES`).
        location: A folder, s3://bucket/prefix, or one books file in either: then that file, and the rest beside it;
            or one file of Open Library's: then those of its date. Or two such places (`places`), one of each source.
        known: What was found before. A local file of the same path and signature is not read again.
        mixed_dates: Of Open Library: whether files of different dates are read together.

    Returns:
        What to read; None if `table` is optional and there is none, or the files are of another source.

    Raises:
        RawDataError: the location or a required table is missing, or a file is empty or not the gzip it is named; or
            several places are of one source.
        StorageError: S3 cannot be reached, or refuses.
    """
    named = places(location)
    place = _places_by_source(location)[SPECS[table].source] if len(named) > 1 else named[0]
    found = _choose(table, _list_location(place), mixed=mixed_dates)
    if found is None:
        return None
    return RawInput(table, _parts(table, found.folder, found.sizes, known), found.notes)


def check_present(location: str, *, mixed_dates: bool = False) -> None:
    """Raise where a build would not find the files that it needs. Only names are looked at.

    Args:
        location, mixed_dates: As in `find`.

    Raises:
        RawDataError: the location or a required table is missing, or several places are of one source.
        StorageError: S3 cannot be reached, or refuses.
    """
    named = places(location)
    if len(named) > 1:
        _places_by_source(location)
    for place in named:
        listing = _list_location(place)
        for table in SPECS:
            _choose(table, listing, mixed=mixed_dates)


def _choose(
    table: str, listing: tuple[str, dict[str, int], dict[str, str], str | None], *, mixed: bool
) -> _Chosen | None:
    """What is read of a table in one place, which `_list_location` has listed."""
    folder, sizes, unreadable, books = listing
    dump = _dump_at(folder, sizes, unreadable, books, mixed=mixed)
    if (SPECS[table].source == "openlibrary") != (dump is not None):
        return None
    if dump is not None:
        return _choose_of_dump(table, dump, folder, sizes)
    subset = subset_of("books", books) if books else None
    chosen = (books,) if books and table == "books" else choose(table, sizes, subset).names
    if needed := _needed(table, sizes, unreadable, subset, books):
        raise RawDataError(
            f"A raw file of {table} cannot be opened",
            expected=f"{folder}/{needed} to be a file that this user may read",
            found=unreadable[needed],
            todo="correct or remove it; if it is a link, it must lead to a file (`ls -lL FILE`)",
        )
    if not chosen:
        if table in OPTIONAL:
            return None
        raise RawDataError(
            f"The raw file of {table} is missing",
            expected=f"in {folder}: {accepted(table, subset)}",
            found=f"{len(sizes)} other files: {_some(sorted(sizes))}" if sizes else "no file",
            todo=_TODO,
        )
    if not (books and table == "books") and (missing := missing_parts(chosen)):
        raise RawDataError(
            f"Parts of the raw files of {table} are missing",
            expected=f"all parts; the names in {folder} say how many there are",
            found=f"no {_some(missing)}",
            todo="add them; or, to read without them, rename the parts that are there",
        )
    skipped = [f"{name} is passed over: {why}" for name, why in sorted(unreadable.items()) if table == "books"]
    notes = (*_notes(table, chosen, sizes, books), *skipped)
    return _Chosen(folder, {name: sizes[name] for name in chosen}, notes)


def places(location: str) -> tuple[str, ...]:
    """The places that VIBERARY_RAW names, one at least: commas stand between them, but where the whole is a path that
    exists."""
    if "," not in location or (not is_s3(location) and Path(location).expanduser().exists()):
        return (location,)
    return tuple(place for part in location.split(",") if (place := part.strip())) or (location,)


def source_at(location: str) -> Sources:
    """Of which source the files at `location` are, by their names; 'ucsd' where there are none of either.

    Raises:
        RawDataError: the location cannot be listed, or several places are of one source.
        StorageError: S3 cannot be reached, or refuses.
    """
    named = places(location)
    if len(named) > 1:
        _places_by_source(location)
        return "both"
    return _source_of(named[0])


def _source_of(place: str) -> Source:
    _, sizes, unreadable, named = _list_location(place)
    return "openlibrary" if _theirs([*sizes, *unreadable], named) else "ucsd"


def _places_by_source(location: str) -> dict[Source, str]:
    """The place of each source, where `location` names several."""
    found = [(_source_of(place), place) for place in places(location)]
    by_source = dict(found)
    if len(found) != 2 or len(by_source) != 2:
        raise RawDataError(
            "The two places of raw files are not of two different sources",
            expected="one place with UCSD's files and one with a dump of Open Library, with a comma between them",
            found="; ".join(f"{place}: {source}" for source, place in found),
            todo="give one place of each source; put all files of one source into one folder",
        )
    return by_source


def _theirs(names: Iterable[str], named: str | None) -> list[str]:
    """The files of Open Library; none where the file that was named is not."""
    return [name for name in names if dumps.table_of(name)] if not named or dumps.table_of(named) else []


def _dump_at(
    folder: str, sizes: Iterable[str], unreadable: Mapping[str, str], named: str | None, *, mixed: bool
) -> dumps.Dump | None:
    """What is read of the dump of Open Library that lies there; None where none does.

    Raises:
        RawDataError: the files are of both sources, or of dates that are not to be mixed.
    """
    names = [*sizes, *unreadable]
    theirs = _theirs(names, named)
    if not theirs:
        return None
    ucsd = [name for table in (*TABLES, *OPTIONAL) for name in choose(table, names).names]
    if ucsd and not named:
        raise RawDataError(
            "One folder holds the raw files of two sources",
            expected=f"in {folder}: UCSD's files or those of Open Library",
            found=_some([*ucsd, *theirs]),
            todo="put the files of each source into a folder of their own, and name one of them, or both with a comma "
            f"between them; or name one file ({theirs[0]})",
        )
    dump = dumps.choose_dump(theirs, named=named, mixed=mixed)
    for name in dump.names.values():
        if name in unreadable:
            raise RawDataError(
                "A raw file of Open Library cannot be opened",
                expected=f"{folder}/{name} to be a file that this user may read",
                found=unreadable[name],
                todo="correct or remove it; if it is a link, it must lead to a file (`ls -lL FILE`)",
            )
    return dump


def _choose_of_dump(table: str, dump: dumps.Dump, folder: str, sizes: Mapping[str, int]) -> _Chosen | None:
    name = dump.names.get(table)
    if name is None:
        if table not in dumps.REQUIRED:
            return None
        raise RawDataError(
            f"The raw file of {table} is missing",
            expected=f"in {folder}: {dumps.accepted(table)}, of the same date as the others",
            found=_some(sorted(dump.names.values())),
            todo="download it from https://openlibrary.org/data into the same folder",
        )
    notes = dump.notes if table == dumps.REQUIRED[0] else ()
    return _Chosen(folder, {name: sizes[name]}, notes)


def _parts(table: str, folder: str, sizes: Mapping[str, int], known: RawInput | None) -> tuple[RawPart, ...]:
    """The files of those names and stored sizes, fingerprinted."""
    if is_s3(folder):
        bucket = Bucket(folder)
        return tuple(_s3_part(table, bucket, name, size) for name, size in sizes.items())
    before = {part.uri: part for part in known.parts} if known else {}
    uris = {f"{folder.rstrip('/')}/{name}": size for name, size in sizes.items()}
    return tuple(_local_part(table, uri, size, before.get(uri)) for uri, size in uris.items())


def listing_digest(location: str, *, mixed_dates: bool = False) -> str:
    """Names what a build would read at `location`, without reading it: names, sizes, and times (in S3: ETags).

    Other files there (half-downloaded ones, a month of Open Library's that is not whole yet) change nothing.

    Raises:
        RawDataError, StorageError: it cannot be listed, or no build would take it.
    """
    if len(named := places(location)) > 1:
        return digest([listing_digest(place, mixed_dates=mixed_dates) for place in named])
    folder, sizes, unreadable, books = _list_location(named[0])
    dump = _dump_at(folder, sizes, unreadable, books, mixed=mixed_dates)
    if dump is None:
        subset = subset_of("books", books) if books else None
        tables = {table: choose(table, sizes, subset).names for table in (*TABLES, *OPTIONAL)}
        names = {name for table in (tables | ({"books": (books,)} if books else {})).values() for name in table}
    else:
        names = {*dump.names.values()} if dump.names.keys() >= {*dumps.REQUIRED} else set()
    if is_s3(folder):
        return digest({name: at for name, at in Bucket(folder).versions(deep=False).items() if name in names})
    return digest({name: file_signature(Path(folder) / name) for name in sorted(names)})


def _needed(
    table: str, sizes: Iterable[str], unreadable: Iterable[str], subset: str | None, books: str | None
) -> str | None:
    """The first entry that cannot be looked at and would be read if it could."""
    if books and table == "books":
        return None
    would_be_read = choose(table, [*sizes, *unreadable], subset).names
    return next((name for name in would_be_read if name in unreadable), None)


def _notes(table: str, chosen: tuple[str, ...], present: Iterable[str], books: str | None) -> tuple[str, ...]:
    if books and (table == "books" or subset_of("books", books)):
        return ()  # what to read was said
    notes = []
    if passed_over := choose(table, present).passed_over:
        notes.append(f"{_some(chosen)} is read, and not {_some(passed_over)}")
    if table == "reviews":
        ours = {subset_of("reviews", name) for name in chosen}
        theirs = {subset_of("books", name) for name in choose("books", present).names}
        if None not in ours | theirs:
            notes += [f"there are no reviews for the subset {subset}" for subset in sorted(theirs - ours, key=str)]
    return tuple(notes)


def _list_location(location: str) -> tuple[str, dict[str, int], dict[str, str], str | None]:
    """The folder, {file name: stored bytes} in it, {name: why} of entries that cannot be looked at, and the name of
    the books file if `location` is one."""
    in_s3 = is_s3(location)
    if "://" in location and not in_s3:
        raise RawDataError(
            "The raw files are in a place that this version cannot read",
            expected="a folder, s3://bucket/prefix, or a books file in either",
            found=location,
            todo=_TODO,
        )
    address = location.rstrip("/") if in_s3 else str(Path(location).expanduser().absolute())
    folder, _, name = address.rpartition("/")
    is_file = is_s3(folder) if in_s3 else not Path(address).is_dir()  # s3://bucket alone names no object
    books = name if is_file and (is_file_name(name) or (not in_s3 and Path(address).exists())) else None
    folder = folder if books else address
    sizes, unreadable = (_s3_sizes(folder), {}) if in_s3 else _local_sizes(Path(folder))
    if in_s3 and not sizes:
        raise RawDataError("The raw files are missing", expected=f"objects under {folder}/", found="none", todo=_TODO)
    if books is not None and not (books in sizes and (is_of("books", books) or dumps.table_of(books))):
        raise RawDataError(
            "The raw file that was given is not a books file" if books in sizes else "The books file is missing",
            expected=f"in {folder}: {accepted('books')}",
            found=books if books in sizes else unreadable.get(books) or _some(sorted(sizes)),
            todo=_TODO,
        )
    return folder, sizes, unreadable, books


def _local_sizes(folder: Path) -> tuple[dict[str, int], dict[str, str]]:
    """{name: bytes} of the files, and {name: why} of the entries that cannot be looked at (a link to nothing)."""
    sizes, unreadable = {}, {}
    try:
        for path in folder.iterdir():
            try:
                entry = path.stat()
            except OSError as error:
                unreadable[path.name] = error.strerror or str(error)
            else:
                if stat.S_ISREG(entry.st_mode):
                    sizes[path.name] = entry.st_size
        return sizes, unreadable
    except OSError as error:
        raise RawDataError(
            "The folder with the raw files is missing",
            expected=f"a folder at {folder} that this user may read",
            found=error.strerror or str(error),
            todo=_TODO,
        ) from error


def _local_part(table: str, uri: str, size: int, known: RawPart | None) -> RawPart:
    path = Path(uri)
    try:
        with path.open("rb") as file:
            _check_head(uri, size, file.read(HEAD_BYTES))
            before = tuple(file_signature(file.fileno()))
            if known and known.signature == before:
                return known
            file.seek(0)
            version = hashlib.file_digest(file, "sha256").hexdigest()
            after = tuple(file_signature(file.fileno()))
    except OSError as error:
        raise RawDataError(
            f"A raw file of {table} cannot be read", expected=f"to read {uri}", found=str(error), todo=_TODO
        ) from error
    part = RawPart(table, uri, path.name, before[0], version, before)
    if after != before:
        raise changed(part, f"{after[0]:,} bytes: it is being written to")
    return part


def _s3_sizes(folder: str) -> dict[str, int]:
    return {name: size for name, (_, size) in Bucket(folder).versions(deep=False).items()}


def _s3_part(table: str, bucket: Bucket, name: str, size: int) -> RawPart:
    uri = f"{bucket.uri}/{name}"
    _check_head(uri, size, None)
    try:
        version, size, head = bucket.head(name, HEAD_BYTES)
    except FileNotFoundError as error:
        raise RawDataError(f"A raw file of {table} is gone", expected=uri, found=str(error), todo=_TODO) from error
    _check_head(uri, size, head)
    return RawPart(table, uri, name, size, str(version), None)


def _check_head(uri: str, size: int, head: bytes | None) -> None:
    if size == 0:
        raise RawDataError(
            "A raw file is empty", expected=f"{uri} to hold lines of JSON", found="0 bytes", todo="download it again"
        )
    if head is not None and uri.endswith(".gz") and not head.startswith(GZIP_MAGIC):
        other = likely(head)
        raise RawDataError(
            "A raw file is not gzip",
            expected=f"{uri} to start with the bytes {GZIP_MAGIC.hex(' ')}",
            found=head[:2].hex(" ") + (f": {other.name}" if other else ""),
            todo=advice(other, uri, packed=False)
            if other
            else "download the file again, or take .gz off its name if it is plain JSON",
        )


def _some(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return (", ".join(listed[:_SHOWN]) + more) or "no file"
