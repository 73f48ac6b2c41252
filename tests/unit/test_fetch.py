"""Downloads from a server on loopback that has ranges, breaks off, lies, changes its files, and comes back."""

import gzip
import hashlib
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from viberary_pipeline.cli import main
from viberary_pipeline.errors import FetchError
from viberary_pipeline.fetch.openlibrary import TABLES, fetch_dump
from viberary_pipeline.fetch.settings import FetchSettings

DATE = "2026-10-31"


def name_of(table: str, date: str = DATE) -> str:
    return f"ol_dump_{table}_{date}.txt.gz"


def dump_of(table: str, version: int = 1) -> bytes:
    """300 kB that do not compress."""
    return gzip.compress(random.Random(f"{table} {version}").randbytes(300_000), mtime=0)


class Archive(ThreadingHTTPServer):
    """archive.org, with one dump. `faults` are what goes wrong with the next requests of files, one each."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.files = {name_of(table): dump_of(table) for table in TABLES}
        self.version = 1
        self.ranges = self.etags = True
        self.metadata: Any = {"files": [self.published(name) for name in self.files]}
        self.faults: list[str] = []
        self.stalled = threading.Event()
        self.asked: list[tuple[str, str]] = []  # the file and the Range of every request

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def published(self, name: str) -> dict[str, str]:
        data = self.files[name]
        return {
            "name": name,
            "size": str(len(data)),
            "md5": hashlib.md5(data).hexdigest(),
            "sha1": hashlib.sha1(data).hexdigest(),
        }

    def handle_error(self, *_: Any) -> None:
        pass


class _Answer(BaseHTTPRequestHandler):
    server: Archive
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if self.path.endswith("latest"):
            self.answer(302, b"", Location=f"{self.server.url}/twice")
        elif self.path == "/twice":
            self.answer(302, b"", Location=f"/download/ol_dump_{DATE}/{name_of('works')}")
        elif self.path.startswith("/metadata/"):
            known = self.path.endswith(DATE)
            if self.server.metadata is None:
                self.answer(404, b"not here")
            else:
                self.answer(200, json.dumps(self.server.metadata if known else {}).encode())
        elif self.path.startswith("/download/"):  # archive.org sends to the machine that has it
            self.answer(302, b"", Location=f"/items/{name}")
        elif name not in self.server.files:
            self.answer(404, b"not here")
        else:
            self.server.asked.append((name, self.headers.get("Range", "")))
            self.file(self.server.files[name], self.server.faults.pop(0) if self.server.faults else "")

    def file(self, data: bytes, fault: str) -> None:
        etag = f'"{self.server.version}-{len(data)}"'
        marks = {"ETag": etag} if self.server.etags else {}
        first = 0
        asked = self.headers.get("Range", "") if self.server.ranges else ""
        if asked and self.headers.get("If-Range", etag) == etag:
            first = int(asked.removeprefix("bytes=").removesuffix("-"))
            marks["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        if fault.startswith("busy"):
            self.answer(503, b"later", **{"Retry-After": fault.removeprefix("busy").strip() or "0"})
        elif fault == "forbidden":
            self.answer(403, b"no")
        elif fault == "html":
            self.answer(200, b"<html>log in first</html>", **{"Content-Type": "text/html"})
        elif fault == "flipped":
            self.answer(200, data[:1000] + bytes([data[1000] ^ 1]) + data[1001:])
        elif fault == "other range":
            self.answer(206, data[5:], **{"Content-Range": f"bytes 5-{len(data) - 1}/{len(data)}"})
        elif first >= len(data):
            self.answer(416, b"", **{"Content-Range": f"bytes */{len(data)}"})
        elif fault == "stall":
            self.answer(200, data, 150_000, **marks)
            self.wfile.flush()
            self.server.stalled.set()
            time.sleep(2)
        else:
            cut = int(fault.removeprefix("cut ")) if fault.startswith("cut") else None
            self.answer(206 if first else 200, data[first:], cut, length=fault != "no length", **marks)

    def answer(self, status: int, body: bytes, cut: int | None = None, *, length: bool = True, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**({"Content-Length": str(len(body))} if length else {}), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut])
        self.close_connection = cut is not None or not length


@pytest.fixture
def archive() -> Iterator[Archive]:
    server = Archive()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(
    archive: Archive, folder: Path, *, tables: tuple[str, ...] = ("ratings",), timeout: float = 5, **options: Any
) -> Any:
    settings = FetchSettings(url=archive.url, latest=f"{archive.url}/latest", tries=3, wait=0, timeout=timeout)
    return fetch_dump(folder, settings, tables=tables, **options)


def shown(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


# ---- a whole dump


def test_the_latest_dump_arrives_whole_and_verified(archive: Archive, tmp_path: Path) -> None:
    lines: list[str] = []
    dump = fetch(archive, tmp_path, tables=TABLES, say=lines.append)
    assert (dump.date, dump.removed) == (DATE, ())
    assert [(file.path, file.bytes, file.verified, file.downloaded) for file in dump.files] == [
        (tmp_path / name, len(data), "sha1", True) for name, data in archive.files.items()
    ]
    assert {path.name: path.read_bytes() for path in tmp_path.glob("ol_*")} == archive.files
    assert lines == [f"the dump of {DATE}: 6 files, 0.00 GB"]


def test_what_is_there_is_verified_and_not_downloaded_again(archive: Archive, tmp_path: Path) -> None:
    fetch(archive, tmp_path)
    archive.asked.clear()
    dump = fetch(archive, tmp_path, tables=("ratings", "authors"))
    assert [file.downloaded for file in dump.files] == [False, True]
    assert [name for name, _ in archive.asked] == [name_of("authors")]


def test_somebodys_other_file_of_that_name_stays(archive: Archive, tmp_path: Path) -> None:
    mine = dump_of("mine")
    (tmp_path / name_of("ratings")).write_bytes(mine)
    with pytest.raises(FetchError, match="Another file of that name is already there"):
        fetch(archive, tmp_path)
    assert (tmp_path / name_of("ratings")).read_bytes() == mine


def test_no_file_has_its_name_before_all_are_whole(archive: Archive, tmp_path: Path) -> None:
    del archive.files[name_of("works")]
    with pytest.raises(FetchError, match="The server does not have the file") as error:
        fetch(archive, tmp_path, tables=("ratings", "works"))
    assert error.value.expected == f"to get {archive.url}/download/ol_dump_{DATE}/{name_of('works')}"
    assert error.value.found == "HTTP 404 Not Found"
    assert shown(tmp_path) == [name_of("ratings") + ".part", name_of("ratings") + ".part.json"]
    archive.files[name_of("works")] = dump_of("works")
    archive.asked.clear()
    fetch(archive, tmp_path, tables=("ratings", "works"))
    assert archive.asked == [(name_of("works"), "")]
    assert shown(tmp_path) == [name_of("ratings"), name_of("works")]


def test_dumps_of_other_dates_give_way_only_when_told_to_and_once_the_new_one_is_whole(
    archive: Archive, tmp_path: Path
) -> None:
    old = [tmp_path / name_of(table, "2026-09-30") for table in TABLES]
    for path in (*old, tmp_path / "goodreads_books.json.gz"):
        path.write_bytes(b"old")
    fetch(archive, tmp_path)
    assert all(path.exists() for path in old)
    archive.faults = ["forbidden"]
    with pytest.raises(FetchError):
        fetch(archive, tmp_path, tables=("authors",), replace=True)
    assert all(path.exists() for path in old)
    dump = fetch(archive, tmp_path, tables=("authors",), replace=True)
    assert dump.removed == tuple(sorted(old))
    assert shown(tmp_path) == ["goodreads_books.json.gz", name_of("authors"), name_of("ratings")]


# ---- interruptions


@pytest.mark.parametrize("fault", ["cut 100000", "cut 0", "busy", "busy Wed, 21 Oct 2015 07:28:00 GMT", "busy soon"])
def test_a_download_goes_on_where_it_broke_off(archive: Archive, tmp_path: Path, fault: str) -> None:
    archive.faults = ["cut 50000", fault]
    fetch(archive, tmp_path)
    more = 50_000 + (100_000 if fault == "cut 100000" else 0)
    assert [asked for _, asked in archive.asked] == ["", "bytes=50000-", f"bytes={more}-"]
    assert (tmp_path / name_of("ratings")).read_bytes() == archive.files[name_of("ratings")]
    assert shown(tmp_path) == [name_of("ratings")]


def test_a_server_that_falls_silent_is_asked_again_for_what_it_did_not_send(archive: Archive, tmp_path: Path) -> None:
    archive.faults = ["stall"]
    fetch(archive, tmp_path, timeout=0.5)
    assert archive.asked == [(name_of("ratings"), ""), (name_of("ratings"), "bytes=150000-")]
    assert (tmp_path / name_of("ratings")).read_bytes() == archive.files[name_of("ratings")]


def test_a_download_whose_process_was_killed_goes_on(archive: Archive, tmp_path: Path) -> None:
    archive.faults = ["stall"]
    options = ["fetch", "openlibrary", str(tmp_path), "--date", DATE, "--only", "ratings", "--from", archive.url]
    process = subprocess.Popen([sys.executable, "-m", "viberary_pipeline.cli", *options], stderr=subprocess.DEVNULL)
    assert archive.stalled.wait(60)
    part = tmp_path / f"{name_of('ratings')}.part"
    deadline = time.monotonic() + 10
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    there = part.stat().st_size
    assert there > 0
    archive.asked.clear()
    fetch(archive, tmp_path)
    assert archive.asked == [(name_of("ratings"), f"bytes={there}-")]
    assert (tmp_path / name_of("ratings")).read_bytes() == archive.files[name_of("ratings")]


def test_tries_are_counted_from_the_last_byte_that_arrived(archive: Archive, tmp_path: Path) -> None:
    archive.faults = ["cut 1000", "busy", "busy"] * 3  # nine failures in a row, three tries
    fetch(archive, tmp_path)
    assert len(archive.asked) == 10


def test_a_server_that_goes_on_failing_is_given_up_and_the_next_run_goes_on(archive: Archive, tmp_path: Path) -> None:
    archive.faults = ["cut 70000", "busy", "busy", "busy"]
    with pytest.raises(FetchError, match="The server keeps failing") as error:
        fetch(archive, tmp_path)
    assert error.value.found == (
        "HTTP 503 Service Unavailable (3 tries in a row without a new byte, 70,000 bytes so far)"
    )
    archive.faults.clear()
    archive.asked.clear()
    fetch(archive, tmp_path)
    assert archive.asked == [(name_of("ratings"), "bytes=70000-")]
    assert (tmp_path / name_of("ratings")).read_bytes() == archive.files[name_of("ratings")]


def test_a_server_without_ranges_sends_it_again_from_the_beginning(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive.ranges = False
    archive.faults = ["cut 70000"]
    fetch(archive, tmp_path)
    assert (tmp_path / name_of("ratings")).read_bytes() == archive.files[name_of("ratings")]
    assert f"{name_of('ratings')}: the server sends it from the beginning" in capsys.readouterr().err


def test_another_range_than_was_asked_for_is_not_appended(archive: Archive, tmp_path: Path) -> None:
    archive.faults = ["cut 70000", "other range"]
    fetch(archive, tmp_path)
    assert [asked for _, asked in archive.asked] == ["", "bytes=70000-", ""]
    assert (tmp_path / name_of("ratings")).read_bytes() == archive.files[name_of("ratings")]


def test_what_a_checksum_is_known_of_goes_on_from_a_machine_with_other_etags(archive: Archive, tmp_path: Path) -> None:
    archive.faults = ["cut 70000", "forbidden"]
    with pytest.raises(FetchError):
        fetch(archive, tmp_path)
    archive.version = 2
    archive.asked.clear()
    fetch(archive, tmp_path)
    assert archive.asked == [(name_of("ratings"), "bytes=70000-")]


def test_a_file_that_is_asked_for_twice_comes_once(archive: Archive, tmp_path: Path) -> None:
    dump = fetch(archive, tmp_path, tables=("ratings", "ratings"))
    assert [file.path.name for file in dump.files] == [name_of("ratings")]
    assert len(archive.asked) == 1


def test_a_damaged_download_is_fetched_once_more(archive: Archive, tmp_path: Path) -> None:
    archive.faults = ["flipped"]
    fetch(archive, tmp_path)
    assert (tmp_path / name_of("ratings")).read_bytes() == archive.files[name_of("ratings")]


def test_a_file_that_arrives_damaged_twice_is_refused_and_removed(archive: Archive, tmp_path: Path) -> None:
    archive.faults = ["flipped", "flipped"]
    with pytest.raises(FetchError, match="The file arrives damaged") as error:
        fetch(archive, tmp_path)
    assert hashlib.sha1(archive.files[name_of("ratings")]).hexdigest() in error.value.expected
    assert (tmp_path / f"{name_of('ratings')}.part").read_bytes() == b""


def test_a_file_whose_size_nobody_says_is_known_to_be_whole_by_gzip(archive: Archive, tmp_path: Path) -> None:
    archive.metadata = None
    archive.faults = ["no length", "forbidden"]
    with pytest.raises(FetchError, match="The server refuses the file"):
        fetch(archive, tmp_path, tables=("ratings", "authors"))
    archive.asked.clear()
    fetch(archive, tmp_path, tables=("ratings", "authors"))
    whole = len(archive.files[name_of("ratings")])
    assert archive.asked == [(name_of("ratings"), f"bytes={whole}-"), (name_of("authors"), "")]  # the answer was 416
    assert {path.name: path.read_bytes() for path in tmp_path.glob("ol_*")} == {
        name_of(table): archive.files[name_of(table)] for table in ("ratings", "authors")
    }


# ---- files that change


def test_another_version_between_two_runs_is_fetched_from_its_beginning(archive: Archive, tmp_path: Path) -> None:
    archive.faults = ["cut 70000", "forbidden"]
    with pytest.raises(FetchError, match="The server refuses the file"):
        fetch(archive, tmp_path)
    archive.files[name_of("ratings")] = dump_of("ratings", version=2)
    archive.metadata["files"] = [archive.published(name) for name in archive.files]
    archive.asked.clear()
    fetch(archive, tmp_path)
    assert archive.asked == [(name_of("ratings"), "")]
    assert (tmp_path / name_of("ratings")).read_bytes() == dump_of("ratings", version=2)


@pytest.mark.parametrize("etags", [True, False])
def test_without_published_checksums_the_etag_tells_versions_apart(
    archive: Archive, tmp_path: Path, etags: bool
) -> None:
    """Where there is no ETag either, nothing says that it is the same file, and it is fetched anew."""
    archive.metadata, archive.etags = None, etags
    archive.faults = ["cut 70000", "forbidden"]
    with pytest.raises(FetchError):
        fetch(archive, tmp_path)
    archive.asked.clear()
    archive.faults = ["cut 90000", "forbidden"]
    with pytest.raises(FetchError):
        fetch(archive, tmp_path)
    assert archive.asked[0] == (name_of("ratings"), "bytes=70000-" if etags else "")
    archive.files[name_of("ratings")] = dump_of("ratings", version=2)
    archive.version = 2
    dump = fetch(archive, tmp_path)
    assert (tmp_path / name_of("ratings")).read_bytes() == dump_of("ratings", version=2)
    assert dump.files[0].verified == "gzip"


def test_without_checksum_and_etag_a_broken_download_begins_anew(archive: Archive, tmp_path: Path) -> None:
    archive.metadata, archive.etags = None, False
    archive.faults = ["cut 70000"]
    fetch(archive, tmp_path)
    assert [asked for _, asked in archive.asked] == ["", ""]
    assert (tmp_path / name_of("ratings")).read_bytes() == archive.files[name_of("ratings")]


def test_without_published_checksums_a_cut_gzip_is_noticed(archive: Archive, tmp_path: Path) -> None:
    archive.metadata = None
    archive.files[name_of("ratings")] = dump_of("ratings")[:-100]
    with pytest.raises(FetchError, match="The file arrives damaged") as error:
        fetch(archive, tmp_path)
    assert "no whole gzip file" in error.value.found


# ---- what cannot be had


def test_a_date_without_a_dump_is_refused_before_anything_is_fetched(archive: Archive, tmp_path: Path) -> None:
    from datetime import date

    with pytest.raises(FetchError, match="There is no complete dump of 2026-02-28") as error:
        fetch(archive, tmp_path, of=date(2026, 2, 28))
    assert error.value.found == "no dump of that date"
    assert archive.asked == []


def test_a_dump_that_lacks_a_file_says_which(archive: Archive, tmp_path: Path) -> None:
    archive.metadata["files"] = [file for file in archive.metadata["files"] if "works" not in file["name"]]
    with pytest.raises(FetchError, match="There is no complete dump") as error:
        fetch(archive, tmp_path, tables=("works", "authors"))
    assert error.value.expected.endswith(f"to list {name_of('works')}")
    assert name_of("authors") in error.value.found


@pytest.mark.parametrize("metadata", [[], "text", {"files": None}, {"files": [None, 3, {"size": "1"}]}])
def test_metadata_of_another_shape_are_no_dump(archive: Archive, tmp_path: Path, metadata: Any) -> None:
    archive.metadata = metadata
    with pytest.raises(FetchError, match="There is no complete dump"):
        fetch(archive, tmp_path)


@pytest.mark.parametrize("known", [True, False])
def test_a_page_in_place_of_the_file_is_refused_at_once(archive: Archive, tmp_path: Path, known: bool) -> None:
    archive.metadata = archive.metadata if known else None
    archive.faults = ["html"]
    with pytest.raises(FetchError, match="The server sends something other than") as error:
        fetch(archive, tmp_path)
    assert ("text/html" if known else "<html>log in first") in error.value.found
    assert len(archive.asked) == 1


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = FetchSettings(url="http://127.0.0.1:1", latest="http://127.0.0.1:1/latest", tries=2, wait=0)
    with pytest.raises(FetchError, match="The server keeps failing") as error:
        fetch_dump(tmp_path, settings)
    assert error.value.expected == "to get http://127.0.0.1:1/latest"
    assert "ConnectionError" in error.value.found


@pytest.mark.parametrize("url", ["archive.org", "ftp://example.com", "http://[::1", ""])
def test_an_address_that_is_none_is_named(archive: Archive, tmp_path: Path, url: str) -> None:
    from datetime import date

    with pytest.raises(FetchError, match="The address cannot be used"):
        fetch_dump(tmp_path, FetchSettings(url=url, tries=2, wait=0), of=date(2026, 10, 31))


def test_a_latest_address_that_leads_nowhere_asks_for_a_date(archive: Archive, tmp_path: Path) -> None:
    settings = FetchSettings(url=archive.url, latest=f"{archive.url}/metadata/{DATE}", tries=2, wait=0)
    with pytest.raises(FetchError, match="The date of the latest dump is not known") as error:
        fetch_dump(tmp_path, settings)
    assert error.value.found == "it does not redirect"


def test_a_disk_without_room_is_noticed_before_the_download(archive: Archive, tmp_path: Path) -> None:
    archive.metadata["files"] = [{**file, "size": str(10**18)} for file in archive.metadata["files"]]
    with pytest.raises(FetchError, match="There is not enough disk space for the dump") as error:
        fetch(archive, tmp_path)
    assert error.value.expected.startswith("1,000,000,000.00 GB free at")
    assert archive.asked == []


def test_a_disk_that_fills_up_is_named_and_the_rest_can_follow(archive: Archive, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)], capture_output=True)
    if mount.returncode:
        pytest.skip("a file system cannot be mounted here (root alone may)")
    try:
        archive.metadata = None  # nothing says beforehand how large it is
        with pytest.raises(FetchError, match="The download cannot be written") as error:
            fetch(archive, disk)
        assert "No space left on device" in error.value.found
        subprocess.run(["mount", "-o", "remount,size=2m", str(disk)], check=True)
        archive.asked.clear()
        fetch(archive, disk)
        assert archive.asked[0][1].startswith("bytes=")
        assert (disk / name_of("ratings")).read_bytes() == archive.files[name_of("ratings")]
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_two_downloads_into_one_folder_do_not_mix(archive: Archive, tmp_path: Path) -> None:
    with FileLock(tmp_path / ".fetch.lock"), pytest.raises(FetchError, match="Another download into this folder"):
        fetch(archive, tmp_path)
    fetch(archive, tmp_path)


def test_a_folder_that_cannot_be_made_is_named(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchError, match="The folder cannot be used") as error:
        fetch(archive, tmp_path / "file" / "below")
    assert "NotADirectoryError" in error.value.found


# ---- the command


def command(archive: Archive, folder: Path, *options: str) -> Result:
    environment = {"VIBERARY_FETCH_LATEST": f"{archive.url}/latest", "VIBERARY_FETCH_WAIT": "0"}
    return CliRunner().invoke(
        main, ["fetch", "openlibrary", str(folder), "--from", archive.url, *options], env=environment
    )


def test_the_command_says_what_came_and_what_verified_it(archive: Archive, tmp_path: Path) -> None:
    done = command(archive, tmp_path, "--only", "ratings")
    size = len(archive.files[name_of("ratings")])
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / name_of('ratings')} ({size:,} bytes, sha1 verified)\n")
    again = command(archive, tmp_path, "--only", "ratings", "--date", DATE, "--json")
    assert json.loads(again.stdout) == {
        "date": DATE,
        "files": [{"path": str(tmp_path / name_of("ratings")), "bytes": size, "verified": "sha1", "downloaded": False}],
        "removed": [],
    }
    archive.metadata = None
    unpublished = command(archive, tmp_path, "--only", "authors")
    assert "no published checksum; gzip's own verified" in unpublished.stdout
    assert "sizes and checksums are unknown" in unpublished.stderr


@pytest.mark.parametrize("options", [["--date", "2026-13-01"], ["--date", "x"], ["--only", "covers"]])
def test_wrong_options_are_wrong_usage(archive: Archive, tmp_path: Path, options: list[str]) -> None:
    assert command(archive, tmp_path, *options).exit_code == 2
    assert archive.asked == []


@pytest.mark.parametrize("command", [["sample"], ["synth", "--books", "1", "--reviews", "1"], ["fetch", "openlibrary"]])
def test_files_are_written_to_this_machine_alone(tmp_path: Path, command: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        done = CliRunner().invoke(main, [*command, "s3://bucket/dump"])
    assert done.exit_code == 2
    assert "expected a folder of this machine, not s3:" in done.output
    assert list(tmp_path.iterdir()) == []
