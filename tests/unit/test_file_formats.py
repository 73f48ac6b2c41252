"""Raw files of another format: named, with a command that makes one JSON object per line of them."""

import bz2
import gzip
import io
import json
import lzma
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from test_catalogue import BOOK, run

from viberary_pipeline.errors import RawDataError
from viberary_pipeline.sources.raw_files import find

BOOKS = [{**BOOK, "book_id": str(n), "title": f"Title {n}", "ratings_count": str(n)} for n in range(1, 4)]
LINES = "".join(json.dumps(book) + "\n" for book in BOOKS)
TABLE = pa.table({name: [str(book[name]) for book in BOOKS] for name in ("book_id", "title", "authors")})


def stored(write, table: pa.Table) -> bytes:
    sink = io.BytesIO()
    write(table, sink)
    return sink.getvalue()


def zipped(text: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("books.json", text)
    return sink.getvalue()


FORMATS = {
    "an indented array": (json.dumps(BOOKS, indent=2).encode(), "one JSON array"),
    "an array on one line": (json.dumps(BOOKS).encode(), "one JSON array"),
    "an array, one record a line": (("[\n" + ",\n".join(LINES.splitlines()) + "\n]\n").encode(), "one JSON array"),
    "an array that begins with its record": (("[" + ",\n".join(LINES.splitlines()) + "]").encode(), "one JSON array"),
    "commas alone": (",\n".join(LINES.splitlines()).encode(), "a comma after each"),
    "indented objects": ("\n".join(json.dumps(book, indent=2) for book in BOOKS).encode(), "several lines"),
    "one object around all": (json.dumps({"items": BOOKS}).encode(), "one JSON object with the records in 'items'"),
    "one indented object around all": (json.dumps({"items": BOOKS}, indent=1).encode(), "several lines"),
    "UTF-16": (LINES.encode("utf-16"), "UTF-16"),
    "UTF-16 without a mark": (LINES.encode("utf-16-le"), "UTF-16"),
    "UTF-16, the other way round": (LINES.encode("utf-16-be"), "UTF-16"),
    "UTF-32": (LINES.encode("utf-32"), "UTF-32"),
    "Python dictionaries": ("".join(f"{book}\n" for book in BOOKS).encode(), "Python dictionaries"),
    "JSON sequence": ("".join("\x1e" + line + "\n" for line in LINES.splitlines()).encode(), "RFC 7464"),
    "CSV": (stored(pa_csv.write_csv, TABLE), "CSV"),
    "Parquet": (stored(pq.write_table, TABLE), "Parquet"),
    "zip": (zipped(LINES), "zip"),
    "bzip2": (bz2.compress(LINES.encode()), "bzip2"),
    "xz": (lzma.compress(LINES.encode()), "xz"),
    "gzip twice": (gzip.compress(LINES.encode()), "gzip"),
}
WITHOUT_ADVICE = {
    "HTML": (b"<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>\n", "an HTML page"),
    "XML": (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>\n', "XML"),
    "SQLite": (b"SQLite format 3\x00" + bytes(100), "SQLite"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS"),
}


def read(path: Path, out: Path) -> list[dict]:
    find("books", str(path.parent))
    return run("books", path, out=out)[1]


CASES = [(name, packed) for name in FORMATS for packed in (False, True) if not packed or name not in ("zip", "Parquet")]


@pytest.mark.parametrize(("name", "packed"), CASES)
def test_a_file_of_another_format_is_named_and_the_command_makes_it_right(tmp_path, name, packed, monkeypatch):
    content, called = FORMATS[name]
    if not packed and name == "gzip twice":
        content = gzip.compress(content)
    folder = tmp_path / "it's raw"
    folder.mkdir()
    path = folder / ("goodreads_books.json.gz" if packed else "goodreads_books.json")
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(RawDataError) as caught:
        read(path, tmp_path / "refused")
    error = caught.value
    assert error.what == "The books file is not one JSON object per line"
    assert called in error.found
    assert "VIBERARY_REJECT_CEILING" not in error.todo
    command = error.todo.removeprefix("write one JSON object per line: `").removesuffix("`")
    if missing := [tool for tool in ("jq", "iconv", "unzip") if f"{tool} " in command and not shutil.which(tool)]:
        pytest.skip(f"{missing[0]} is not installed")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    subprocess.run(command, shell=True, check=True)
    books = read(path, tmp_path / "read")
    assert [(book["book_id"], book["title"]) for book in books] == [(book["book_id"], book["title"]) for book in BOOKS]
    assert [[author["author_id"] for author in book["authors"]] for book in books] == [["10", "11"]] * 3


@pytest.mark.parametrize("name", WITHOUT_ADVICE)
def test_a_file_that_cannot_be_turned_into_lines_is_named(tmp_path, name):
    content, called = WITHOUT_ADVICE[name]
    path = tmp_path / "goodreads_books.json"
    path.write_bytes(content)
    with pytest.raises(RawDataError) as caught:
        read(path, tmp_path / "refused")
    assert called in caught.value.found
    assert caught.value.todo == "download the file again: it should hold one JSON object per line"


def test_what_is_under_the_name_of_a_gzip_file_is_named(tmp_path):
    (tmp_path / "goodreads_books.json.gz").write_bytes(bz2.compress(LINES.encode()))
    with pytest.raises(RawDataError, match="A raw file is not gzip") as caught:
        find("books", str(tmp_path))
    assert caught.value.found == "42 5a: bzip2 data"
    command = caught.value.todo.removeprefix("write one JSON object per line: `").removesuffix("`")
    subprocess.run(command, shell=True, check=True)
    assert len(read(tmp_path / "goodreads_books.json.gz", tmp_path / "out")) == 3


@pytest.mark.parametrize("line", ["x\n", "{}\n", "\n", '{"isbn": "1"}\n'])
@pytest.mark.parametrize("sound", ["", LINES])
def test_a_small_file_of_millions_of_bad_lines_is_refused_at_once(tmp_path, line, sound):
    raw = tmp_path / "b.json.gz"
    with gzip.open(raw, "wt") as file:
        file.write(sound)
        for _ in range(50):
            file.write(line * 100_000)
    assert raw.stat().st_size < 1 << 20
    if sound and line == "\n":
        assert len(run("books", raw, out=tmp_path / "out", ceiling=0.01)[1]) == 3
        return
    with pytest.raises(RawDataError) as caught:
        run("books", raw, out=tmp_path / "out", ceiling=0.01)
    assert caught.value.what.startswith(("There is not one record", "Too much of the books file", "There are no books"))
    counts = [int(number.replace(",", "")) for number in re.findall(r"[0-9,]*[0-9]", caught.value.found)]
    assert max(counts) < 1_100_000  # of 5 million


def test_a_line_without_an_end_is_not_read_to_its_end(tmp_path):
    raw = tmp_path / "b.json.gz"
    with gzip.open(raw, "wb", compresslevel=1) as file:
        file.write(LINES.encode() + b'{"book_id": "')
        for _ in range(300):
            file.write(bytes(1 << 20))
    with pytest.raises(RawDataError, match="The books file has a line without an end"):
        run("books", raw, out=tmp_path / "out")
