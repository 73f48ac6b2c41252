"""Downloads Open Library's dump of a month: finds its files, verifies them, and puts all of them in place at once.

openlibrary.org/data redirects to the latest dump, which is an item of archive.org named `ol_dump_DATE`; its metadata
list every file with size, MD5 and SHA-1. The files are public domain (CC0) as far as Open Library's rights go.
https://openlibrary.org/developers/dumps
"""

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from viberary_pipeline.errors import FetchError
from viberary_pipeline.fetch.download import Download, Published, get_json, open_session, problem_of, redirects
from viberary_pipeline.fetch.settings import FetchSettings

if TYPE_CHECKING:
    import requests

TABLES = ("works", "editions", "authors", "ratings", "reading-log", "redirects")
_DATE = re.compile(r"ol_dump_(?:[a-z_-]+_)?(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})")
_OF_A_DUMP = re.compile(
    r"ol_dump_(?P<table>[a-z_-]+)_(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})\.txt(\.gz)?(\.part(\.json)?)?"
)


@dataclass(frozen=True)
class DumpFile:
    """One file in its place. `verified` says by what: 'sha1', 'md5', or 'gzip' (its own checksum; none was
    published)."""

    path: Path
    bytes: int
    verified: str
    downloaded: bool


@dataclass(frozen=True)
class Dump:
    """The dump of one month, whole; `removed` are the files of other months that gave way."""

    date: str
    files: tuple[DumpFile, ...]
    removed: tuple[Path, ...]


def fetch_dump(
    folder: Path,
    settings: FetchSettings,
    *,
    of: date | None = None,
    tables: Sequence[str] = TABLES,
    replace: bool = False,
    say: Callable[[str], object] = lambda _: None,
) -> Dump:
    """Download a dump into `folder`, which is made if need be; progress goes to standard error.

    No file gets its name before all are there and verified, so that a build never meets half a month. What is there
    already is verified and not downloaded again. After a failure the next call goes on where this one ended.

    Args:
        folder: Where to.
        settings: The server, and how patient to be with it.
        of: The date of the dump; the latest where it is None.
        tables: Which files, of `TABLES`.
        replace: Remove the files of other dates once those of this one are in place.
        say: Takes a line on what is done.

    Raises:
        FetchError: there is no such dump, the server fails or sends something wrong, a file of that name is there that
            is another, there is no room, or another process downloads into the same folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".fetch.lock", timeout=0)
        with lock:
            return _fetch(folder, settings, of, tables, replace, say)
    except Timeout as error:
        raise FetchError(
            "Another download into this folder is under way",
            expected=f"no other download into {folder}",
            found=f"a process that holds {folder / '.fetch.lock'}",
            todo="wait for it, or stop it, then run the command again",
        ) from error
    except OSError as error:
        raise FetchError(
            "The folder cannot be used",
            expected=f"a folder that this user may write, at {folder}",
            found=f"{type(error).__name__}: {error.strerror or error}",
            todo="choose another folder, free some space, or correct the permissions",
        ) from error


def _fetch(
    folder: Path,
    settings: FetchSettings,
    of: date | None,
    tables: Sequence[str],
    replace: bool,
    say: Callable[[str], object],
) -> Dump:
    with open_session() as session:
        when = of.isoformat() if of else _latest(session, settings)
        names = [f"ol_dump_{table}_{when}.txt.gz" for table in dict.fromkeys(tables)]
        published = _published(session, settings, when, names, say)
        say(f"the dump of {when}: {len(names)} files" + _sum_of(published.values()))
        there = [name for name in names if (folder / name).exists()]
        for name in there:
            _check_present(folder / name, published[name])
        downloads = [
            Download(f"{_item(settings, 'download', when)}/{name}", folder / name, published[name])
            for name in names
            if name not in there
        ]
        _check_room(folder, downloads)
        for download in downloads:
            download.run(session, settings)
    for download in reversed(downloads):  # the three without which there is no month come last
        download.publish()
    removed = _remove_others(folder, when) if replace else []
    files = tuple(
        DumpFile(folder / name, (folder / name).stat().st_size, _verified_by(published[name]), name not in there)
        for name in names
    )
    return Dump(when, files, tuple(removed))


def _item(settings: FetchSettings, what: str, when: str) -> str:
    return f"{settings.url.rstrip('/')}/{what}/ol_dump_{when}"


def _latest(session: "requests.Session", settings: FetchSettings) -> str:
    """The date in the address that the latest dump redirects to."""
    seen = settings.latest
    for seen in redirects(session, settings.latest, settings):
        if found := _DATE.search(seen):
            return found["date"]
    raise FetchError(
        "The date of the latest dump is not known",
        expected=f"{settings.latest} to redirect to an address with ol_dump_ and a date",
        found=f"it leads to {seen}" if seen != settings.latest else "it does not redirect",
        todo="give a --date; https://archive.org/details/ol_exports lists the dates",
    )


def _published(
    session: "requests.Session", settings: FetchSettings, when: str, names: Sequence[str], say: Callable[[str], object]
) -> dict[str, Published]:
    """What the server's metadata say of each file. A server without metadata has nothing to say."""
    url = _item(settings, "metadata", when)
    metadata: Any = get_json(session, url, settings)
    if metadata is None:
        say(f"{url} is not there: sizes and checksums are unknown, gzip's own checksum has to do")
        return dict.fromkeys(names, Published())
    listed = metadata.get("files") if isinstance(metadata, dict) else None
    entries = {str(entry.get("name")): entry for entry in listed or () if isinstance(entry, dict)}
    if missing := [name for name in names if name not in entries]:
        raise FetchError(
            f"There is no complete dump of {when}",
            expected=f"{url} to list {', '.join(missing)}",
            found=", ".join(sorted(name for name in entries if _OF_A_DUMP.fullmatch(name))) or "no dump of that date",
            todo="give another --date (https://archive.org/details/ol_exports lists them), or leave files out by "
            "--only; a new dump may take some days to arrive there",
        )
    return {name: _published_of(entries[name]) for name in names}


def _published_of(entry: dict[str, Any]) -> Published:
    def digits(name: str, count: int) -> str | None:
        value = str(entry.get(name) or "").strip().lower()
        return value if re.fullmatch(f"[0-9a-f]{{{count}}}", value) else None

    size = str(entry.get("size") or "")
    return Published(int(size) if size.isdecimal() else None, digits("sha1", 40), digits("md5", 32))


def _sum_of(published: Any) -> str:
    sizes = [one.size for one in published]
    return f", {sum(sizes) / 1e9:,.2f} GB" if None not in sizes else ""


def _verified_by(published: Published) -> str:
    return published.checksum[0] if published.checksum else "gzip"


def _check_present(path: Path, published: Published) -> None:
    if problem := problem_of(path, published):
        raise FetchError(
            "Another file of that name is already there",
            expected=f"{path} to be {published}",
            found=problem,
            todo="move it away, or remove it, then run the command again",
        )


def _check_room(folder: Path, downloads: Sequence[Download]) -> None:
    missing = sum((download.total or 0) - download.size for download in downloads if download.total)
    free = shutil.disk_usage(folder).free
    if missing > free:
        raise FetchError(
            "There is not enough disk space for the dump",
            expected=f"{missing / 1e9:,.2f} GB free at {folder}, for what is still to come",
            found=f"{free / 1e9:,.2f} GB",
            todo="free some space there, or choose another folder; --only downloads fewer files",
        )


def _remove_others(folder: Path, when: str) -> list[Path]:
    """Remove dumps of other dates, and parts of them."""
    matches = ((path, _OF_A_DUMP.fullmatch(path.name)) for path in sorted(folder.iterdir()))
    removed = [path for path, match in matches if match and match["date"] != when and path.is_file()]
    for path in removed:
        path.unlink()
    return removed
