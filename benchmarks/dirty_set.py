"""Every kind of dirt that a raw file may hold, through the real ingest: what was put in, and what became of it.

    python benchmarks/dirty_set.py [--out benchmarks/results/dirty_set.json]

Each kind is a file of its own: a hundred sound records with one dirty line (or several) in their middle. The sums of
each row are checked: lines = rows + rejects. Damaged files are told apart: they fail whole.
"""

import argparse
import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

from reporting import report

from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.errors import RawDataError
from viberary_pipeline.sources.ingest import ingest
from viberary_pipeline.sources.raw_files import RawInput, RawPart
from viberary_pipeline.storage import file_signature

SOUND = 100
BOOK: dict[str, Any] = {
    "book_id": "", "work_id": "5", "title": "A Title", "title_without_series": "A Title", "description": "A story.",
    "language_code": "eng", "isbn13": "", "format": "Paperback", "publisher": "", "is_ebook": "false",
    "publication_year": "1999", "publication_month": "1", "publication_day": "1", "num_pages": "300",
    "average_rating": "4.0", "ratings_count": "10", "text_reviews_count": "2", "link": "https://example.org/1",
    "authors": [{"author_id": "1", "role": ""}], "series": [], "similar_books": [], "popular_shelves": [],
}  # fmt: skip


def book(**fields: Any) -> bytes:
    return json.dumps({**BOOK, "book_id": "777777", **fields}).encode()


def sound(number: int) -> bytes:
    return json.dumps({**BOOK, "book_id": str(number)}).encode()


LINES: dict[str, list[bytes]] = {
    "malformed JSON: a comma is missing": [b'{"book_id": "777777" "title": "T"}'],
    "cut after a colon": [b'{"book_id": "777777", "title":'],
    "cut in a string": [book()[:60]],
    "spread over three lines": [b'{"book_id":', b'"777777"', b"}"],
    "an array": [b'[{"book_id": "777777"}]'],
    "two records in one line": [book() + book()],
    "not JSON at all": [b"<html><body>503</body></html>"],
    "invalid UTF-8": [book().replace(b"A story", b"A st\xffry")],
    "a lone surrogate as an escape": [book().replace(b"A story", b"\\ud800")],
    "a raw NUL byte": [book().replace(b"A story", b"A st\0ry")],
    "an escaped NUL": [book(description="A\0story")],
    "a line of 64 MB": [book(description="x" * (64 << 20))],
    "nested 100,000 deep": [b'{"book_id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"],
    "a record without a known field": [b'{"isbn": "1"}'],
    "blank lines": [b"", b"  "],
    "numbers where strings should be": [book(book_id=777777, num_pages=300, average_rating=4.1)],
    "null where an empty string should be": [book(description=None, publisher=None, series=None, authors=None)],
    "unknown extra fields": [book(surprise={"a": [1]})],
    "optional fields missing": [b'{"book_id": "777777", "title": "T"}'],
    "no authors": [book(authors=[])],
    "authors is a text": [book(authors="Somebody")],
    "missing book_id": [book(book_id="")],
    "missing title": [book(title="")],
    "a title of markup alone": [book(title="<b></b>")],
    "the id once more, fewer ratings": [book(book_id="1", ratings_count="1")],
    "year 65535, month 25, day 127, 945077 pages": [
        book(publication_year="65535", publication_month="25", publication_day="127", num_pages="945077")
    ],
    "script and entities in title and text": [
        book(title="<script>alert(1)</script>T &amp; U", description="&lt;img src=x onerror=alert(1)&gt;Text")
    ],
}
FILES: dict[str, tuple[bytes, bytes]] = {  # what the file begins with, and its line ends
    "a byte order mark": (b"\xef\xbb\xbf", b"\n"),
    "CRLF": (b"", b"\r\n"),
}


def packed(lines: list[bytes], start: bytes = b"", end: bytes = b"\n") -> bytes:
    return gzip.compress(start + end.join(lines) + end, 1)


def truncated_last_line() -> bytes:
    return gzip.compress(b"\n".join(map(sound, range(SOUND))) + b"\n" + book()[:50])


def damaged(how: str) -> bytes:
    whole = bytearray(gzip.compress(b"\n".join(sound(n * 7919) for n in range(50_000)) + b"\n"))
    if how == "truncated":
        return bytes(whole[: len(whole) // 2])
    whole[-6 if how == "wrong checksum" else len(whole) // 2] ^= 0xFF
    return bytes(whole)


def run(content: bytes, name: str = "goodreads_books.json.gz") -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder, name), Path(folder, "out")
        path.write_bytes(content)
        out.mkdir()
        stat = path.stat()
        raw = RawInput("books", (RawPart("books", str(path), name, stat.st_size, "", tuple(file_signature(path))),))
        try:
            facts = ingest("books", raw, out, DuckLimits("1GB", 2), reject_ceiling=0.001)
        except RawDataError as error:
            return {"fails": error.what, "found": error.found.replace(folder, "...")}
    assert facts["lines"] == facts["rows"] + sum(facts["rejected"].values())
    told = ("lines", "rows", "rejected", "repaired", "nulled")
    return {name: facts[name] for name in told if facts[name] or name in ("lines", "rows")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    options = parser.parse_args()
    half = SOUND // 2
    table: dict[str, Any] = {}
    for kind, lines in LINES.items():
        around = [*map(sound, range(half)), *lines, *map(sound, range(half, SOUND))]
        table[kind] = {"put in": f"{SOUND} sound, {len(lines)} of this kind", **run(packed(around))}
    for kind, (start, end) in FILES.items():
        table[kind] = {"put in": f"{SOUND} sound", **run(packed(list(map(sound, range(SOUND))), start, end))}
    table["the last line cut, no line feed"] = {"put in": f"{SOUND} sound, 1 cut", **run(truncated_last_line())}
    table["plain .json"] = {
        "put in": f"{SOUND} sound",
        **run(b"\n".join(map(sound, range(SOUND))), "goodreads_books.json"),
    }
    for how in ("truncated", "corrupt half-way", "wrong checksum"):
        table[f"gzip {how}"] = {"put in": "50,000 sound", **run(damaged(how))}
    text = json.dumps(table, indent=1)
    report(text, options.out)


if __name__ == "__main__":
    main()
