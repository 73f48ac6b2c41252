"""One large file from an HTTP server: resumed after interruptions, verified, and whole or absent under its name.

Bytes arrive in `NAME.part`; `NAME.part.json` says what they are a part of. A later try asks for the rest by a Range
(RFC 9110, 14). Whether the server still has the same file is known by the published checksum; where none is published,
by its ETag or its time of modification, which the try names in If-Range.
"""

import hashlib
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from isal import igzip
from isal.isal_zlib import IsalError
from tenacity import RetryCallState, Retrying, retry_if_exception_type
from tqdm import tqdm

from viberary_pipeline import __version__
from viberary_pipeline.errors import FetchError
from viberary_pipeline.fetch.settings import FetchSettings
from viberary_pipeline.storage import write_atomically

if TYPE_CHECKING:
    import requests

T = TypeVar("T")

_PIECE = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_LONGEST_WAIT = 60.0
_LONGEST_ASKED_WAIT = 600.0  # that a server may ask for by Retry-After
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_RANGE_NOT_SATISFIABLE = 416
_CONTENT_RANGE = re.compile(r"bytes (?:(?P<first>[0-9]+)-[0-9]+|\*)/(?:(?P<total>[0-9]+)|\*)")
_CHECK_THE_ADDRESS = "check the address, and whether a proxy answers instead of the server"


@dataclass(frozen=True)
class Published:
    """What is published of a file: its size in bytes, its checksums in hexadecimal digits. None: not published."""

    size: int | None = None
    sha1: str | None = None
    md5: str | None = None

    @property
    def checksum(self) -> tuple[str, str] | None:
        """The better algorithm of those published, and its digest."""
        return ("sha1", self.sha1) if self.sha1 else ("md5", self.md5) if self.md5 else None

    def problem(self, size: int, digest: str, file: Path) -> str:
        """What is wrong with a file of that size and digest, or ''. Without a published checksum, gzip's own counts."""
        if self.size is not None and size != self.size:
            return f"{size:,} bytes"
        if self.checksum is None:
            return _gzip_problem(file)
        return "" if digest == self.checksum[1] else f"{self.checksum[0]} {digest}"

    def __str__(self) -> str:
        size = f"{self.size:,} bytes" if self.size is not None else ""
        return ", ".join(filter(None, (size, " ".join(self.checksum or ())))) or "a whole gzip file"

    def hasher(self) -> Any:
        """An empty hash of the published algorithm."""
        return hashlib.new(self.checksum[0] if self.checksum else "sha1", usedforsecurity=False)


class _PassingError(Exception):
    """A failure that another try may mend; `wait` is how long the server asks to wait, in seconds."""

    def __init__(self, found: str, wait: float = 0.0) -> None:
        super().__init__(found)
        self.wait = wait


def open_session() -> "requests.Session":
    """An HTTP session that says who asks, and takes files as they are stored."""
    import requests

    session = requests.Session()
    session.headers.update({"User-Agent": f"viberary-pipeline/{__version__}", "Accept-Encoding": "identity"})
    return session


def get_json(session: "requests.Session", url: str, settings: FetchSettings) -> Any:
    """The JSON at an address; None where the server has nothing there.

    Raises:
        FetchError: the server goes on failing, or it is no JSON.
    """

    def ask() -> Any:
        with _answer(session, url, settings, missing=True) as answer:
            if answer.status_code == 404:
                return None
            try:
                return answer.json()
            except ValueError as error:
                raise FetchError(
                    "A server's answer has the wrong form",
                    expected=f"JSON at {url}",
                    found=f"{answer.headers.get('Content-Type', 'no type')}: {answer.text[:60]!r}",
                    todo=_CHECK_THE_ADDRESS,
                ) from error

    return _persist(ask, url, settings)


def redirects(session: "requests.Session", url: str, settings: FetchSettings, most: int = 5) -> Iterator[str]:
    """The addresses that an address leads to, one by one. Raises FetchError as `get_json`."""
    from requests.compat import urljoin

    for _ in range(most):
        at = url

        def ask(at: str = at) -> str | None:
            with _answer(session, at, settings, follow=False) as answer:
                return answer.headers.get("Location") if answer.is_redirect else None

        if (location := _persist(ask, at, settings)) is None:
            return
        url = urljoin(at, location)
        yield url


class Download:
    """What has arrived of the file at `url`, which will be `path`.

    `size` is how many bytes there are, `total` how many there will be (None: unknown).
    """

    def __init__(self, url: str, path: Path, published: Published) -> None:
        self.url, self.path, self.published = url, path, published
        self.part = path.with_name(f"{path.name}.part")
        self._state = path.with_name(f"{path.name}.part.json")
        self.size, self.total, self._validator = 0, published.size, ""
        self._hash = published.hasher()
        self._damaged = 0
        self._bar: tqdm[Any] | None = None
        self._take_up()

    def run(self, session: "requests.Session", settings: FetchSettings) -> None:
        """Get the rest, and verify the whole. Progress goes to standard error.

        Raises:
            FetchError: the server refuses, goes on failing, or sends another file than the published one; or the disk
                is full. What has arrived stays for the next run, unless it is wrong.
        """

        def receive() -> None:
            if self.size == 0 or self.size != self.total:
                self._receive(session, settings)
            self._verify()

        with tqdm(
            total=self.total, initial=self.size, desc=self.path.name, unit="B", unit_scale=True,
            mininterval=0.2 if sys.stderr.isatty() else 30,
        ) as self._bar:  # fmt: skip
            try:
                _persist(receive, self.url, settings, lambda: self.size)
            except OSError as error:
                raise FetchError(
                    "The download cannot be written",
                    expected=f"to write {self.part}" + (f", {self.total:,} bytes" if self.total else ""),
                    found=f"{error.strerror or error} after {self.size:,} bytes",
                    todo="free some space or correct the permissions, then run the command again: it continues where "
                    "it stopped",
                ) from error

    def publish(self) -> None:
        """Give the whole file its name."""
        self.part.replace(self.path)
        self._state.unlink(missing_ok=True)

    def _take_up(self) -> None:
        """Go on with what an earlier run left, if it is known to be of the same file."""
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            size = self.part.stat().st_size
            of = Published(**state["published"])
            known = bool(of.checksum) or (bool(state["validator"]) and state["url"] == self.url)
            if of != self.published or not known or size > (state["total"] or size):
                return
            with self.part.open("rb") as file:
                while piece := file.read(_PIECE):
                    self._hash.update(piece)
        except (OSError, ValueError, KeyError, TypeError):
            return
        self.size, self.total, self._validator = size, state["total"], state["validator"]

    def _restart(self, total: int | None = None, validator: str = "") -> None:
        """Forget what has arrived."""
        self.size, self._hash, self._validator = 0, self.published.hasher(), validator
        self.total = self.published.size if total is None else total
        self.part.write_bytes(b"")
        state = {
            "url": self.url, "published": asdict(self.published), "total": self.total, "validator": validator,
        }  # fmt: skip
        write_atomically(self._state, json.dumps(state), durable=False)
        if self._bar is not None:
            self._bar.reset(self.total)

    def _receive(self, session: "requests.Session", settings: FetchSettings) -> None:
        headers = {}
        if self.size and (self.published.checksum or self._validator):
            headers["Range"] = f"bytes={self.size}-"
            if not self.published.checksum:
                headers["If-Range"] = self._validator
        with _answer(session, self.url, settings, headers) as answer:
            part = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if answer.status_code == _RANGE_NOT_SATISFIABLE and part and part["total"] == str(self.size):
                self.total = self.size  # all had arrived, of a file whose size nobody had said
                return
            if answer.status_code in (206, _RANGE_NOT_SATISFIABLE):
                self._check_range(answer, part)
            else:
                self._check_whole(answer)
                if self.size:
                    tqdm.write(f"{self.path.name}: the server sends it from the beginning", file=sys.stderr)
                length = answer.headers.get("Content-Length", "")
                self._restart(int(length) if length.isdecimal() else None, _validator(answer))
            # read1 gives what has arrived: a read that waits for a whole piece would lose it when it times out.
            self._append(iter(lambda: answer.raw.read1(_PIECE, decode_content=False), b""))

    def _check_range(self, answer: "requests.Response", part: "re.Match[str] | None") -> None:
        """Start over unless the answer goes on, in the same file, where the part ends."""
        total = int(part["total"]) if part and part["total"] else self.total
        if not part or part["first"] != str(self.size):
            changed = (
                f"another part than was asked for ({answer.headers.get('Content-Range', 'it does not say which')})"
            )
        elif self.total not in (None, total):
            changed = f"a part of {total:,} bytes instead of {self.total:,}"
        elif self.published.checksum is None and _validator(answer) != self._validator:
            changed = "a part of another version"
        else:
            if self.size == 0:  # nobody asked for a part, but all of it is one
                self._restart(total, _validator(answer))
            self.total = total
            return
        self._restart()
        raise _PassingError(f"the server sent {changed}")

    def _check_whole(self, answer: "requests.Response") -> None:
        length = answer.headers.get("Content-Length", "")
        wrong_size = length.isdecimal() and self.published.size not in (None, int(length))
        if answer.status_code != 200 or wrong_size:
            raise FetchError(
                "The server sends something other than the published file",
                expected=f"{self.url} to be {self.published}",
                found=f"HTTP {answer.status_code}, {length or 'an unknown number of'} bytes of "
                f"{answer.headers.get('Content-Type', 'an unknown type')}",
                todo=f"{_CHECK_THE_ADDRESS}; if the file is just being replaced there, run the command again later",
            )

    def _append(self, pieces: Iterator[bytes]) -> None:
        with self.part.open("r+b") as file:
            file.seek(self.size)
            for piece in pieces:
                if self.size == 0 and not piece.startswith(_GZIP_MAGIC):
                    raise FetchError(
                        "The server sends something other than a gzip file",
                        expected=f"{self.url} to begin with the bytes {_GZIP_MAGIC.hex(' ')}",
                        found=repr(piece[:60]),
                        todo=_CHECK_THE_ADDRESS,
                    )
                file.write(piece)
                self._hash.update(piece)
                self.size += len(piece)
                if self._bar is not None:
                    self._bar.update(len(piece))

    def _verify(self) -> None:
        """Raises `_PassingError` where something is missing or, once, wrong; `FetchError` where it is wrong again."""
        if self.total is not None and self.size < self.total:
            raise _PassingError(f"the connection ended after {self.size:,} of {self.total:,} bytes")
        problem = self.published.problem(self.size, self._hash.hexdigest(), self.part)
        if not problem:
            return
        self._restart()
        self._damaged += 1
        if self._damaged == 1:
            raise _PassingError(f"what arrived is damaged: {problem}")
        raise FetchError(
            "The file arrives damaged",
            expected=f"{self.path.name} to be {self.published}",
            found=f"{problem}, twice; it was removed",
            todo="run the command again later: the server may be replacing the file",
        )


def problem_of(path: Path, published: Published) -> str:
    """What is wrong with a file on disk, or ''."""
    digest = published.hasher()
    if published.size in (None, path.stat().st_size):
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    return published.problem(path.stat().st_size, digest.hexdigest(), path)


def _gzip_problem(path: Path) -> str:
    try:
        with igzip.open(path) as file:
            while file.read(_PIECE):
                pass
    except (EOFError, OSError, zlib.error, IsalError) as error:  # type: ignore[misc]  # a class, whatever its stub says
        return f"no whole gzip file ({error})"
    return ""


def _validator(answer: "requests.Response") -> str:
    """What names the version of a file in If-Range: a strong ETag, else the time of modification, else ''."""
    etag: str = answer.headers.get("ETag", "")
    return etag if etag.startswith('"') else answer.headers.get("Last-Modified", "")


@contextmanager
def _answer(
    session: "requests.Session",
    url: str,
    settings: FetchSettings,
    headers: dict[str, str] | None = None,
    *,
    follow: bool = True,
    missing: bool = False,
) -> Iterator["requests.Response"]:
    """The server's answer, its body not read yet. Raises `_PassingError` or `FetchError` for any failure, also of what
    the block reads; `missing` lets a 404 through."""
    import requests
    from urllib3.exceptions import HTTPError

    try:
        with session.get(url, headers=headers, stream=True, timeout=settings.timeout, allow_redirects=follow) as answer:
            if answer.status_code in _PASSING:
                raise _PassingError(f"HTTP {answer.status_code} {answer.reason}", _asked_wait(answer))
            refused = answer.status_code >= 400 and answer.status_code != _RANGE_NOT_SATISFIABLE
            if refused and not (missing and answer.status_code == 404):
                raise FetchError(
                    "The server does not have the file"
                    if answer.status_code in (404, 410)
                    else "The server refuses the file",
                    expected=f"to get {url}",
                    found=f"HTTP {answer.status_code} {answer.reason}",
                    todo="check whether the server has a dump of that date; if not, give another --date",
                )
            yield answer
    except (requests.exceptions.SSLError, requests.exceptions.TooManyRedirects, ValueError) as error:
        # requests' exceptions for addresses that are none are ValueErrors.
        raise FetchError(
            "The address cannot be used", expected=f"an answer of {url}", found=_said(error), todo=_CHECK_THE_ADDRESS
        ) from error
    except (requests.exceptions.RequestException, HTTPError) as error:
        raise _PassingError(_said(error)) from error


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _asked_wait(answer: "requests.Response") -> float:
    """Seconds that Retry-After asks for: a number, or a date."""
    asked = answer.headers.get("Retry-After", "")
    try:
        seconds = (
            float(asked) if asked.isdecimal() else (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds()
        )
    except (ValueError, TypeError):
        seconds = 0.0
    return min(max(seconds, 0.0), _LONGEST_ASKED_WAIT)


def _persist(action: Callable[[], T], url: str, settings: FetchSettings, arrived: Callable[[], int] = lambda: 0) -> T:
    """Do it until it succeeds or has failed `settings.tries` times in a row without a new byte."""
    best, failures = arrived(), 0

    def no_hope(_: RetryCallState) -> bool:
        nonlocal best, failures
        failures = 0 if arrived() > best else failures + 1
        best = max(best, arrived())
        return failures >= settings.tries

    def pause(state: RetryCallState) -> float:
        asked = getattr(state.outcome and state.outcome.exception(), "wait", 0.0)
        return float(max(asked, min(settings.wait * 2 ** max(failures - 1, 0), _LONGEST_WAIT)))

    def tell(state: RetryCallState) -> None:
        why = state.outcome and state.outcome.exception()
        tqdm.write(f"{url}: {why}; trying again in {state.upcoming_sleep:.0f} s", file=sys.stderr)

    retrying = Retrying(
        stop=no_hope, wait=pause, before_sleep=tell, retry=retry_if_exception_type(_PassingError), reraise=True
    )
    try:
        return retrying(action)
    except _PassingError as error:
        raise FetchError(
            "The server keeps failing",
            expected=f"to get {url}",
            found=f"{error} ({failures} tries in a row without a new byte, {arrived():,} bytes so far)",
            todo="run the command again later: it continues where it stopped",
        ) from error
