"""How often two works that the rules join are one, and how many that are one they join.

    python benchmarks/same_works.py FOLDER [--judge FILE] [--judged FILE] [--out benchmarks/results/same_works.json]

FOLDER has UCSD's files of real books. Each book gets records of Open Library's shape, drawn by a checksum of its id:
its own (title and subtitle apart, another spelling of the author, an ISBN or Goodreads' id or neither, another year) or
none; and works that are easily taken for it: the same title by somebody else, study guides, box sets, volumes,
adaptations, other books of the author, some of them with the book's own ISBN. `--judge` writes a hundred joined pairs
to be read one by one (TSV), of each rule in turn, those that are written differently first; `--judged` is that file
with `right` or `wrong` in its last column.
"""

import argparse
import csv
import gzip
import json
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.sources.ingest import ingest
from viberary_pipeline.sources.openlibrary.catalogue import MADE, add_table, join_dump
from viberary_pipeline.sources.openlibrary.rules import OpenLibraryRules
from viberary_pipeline.sources.openlibrary.tables import OPENLIBRARY
from viberary_pipeline.sources.raw_files import find
from viberary_pipeline.sources.same_works.match import READ, RULES, match_works

LIMITS = DuckLimits("2GB", 2)
JUDGED = 100
ANOTHER = "another book with its ISBN"
MOST_BOOKS = 2_000


@dataclass(frozen=True)
class Theirs:
    """A work of Open Library: what it really is, its title, authors, and what its one edition says."""

    truth: str
    title: str
    authors: list[str]
    edition: dict[str, Any] = field(default_factory=dict)
    year: str = ""


def draw(what: str, key: str, of: int) -> int:
    """A number below `of`, the same for the same words."""
    return zlib.crc32(f"{what} {key}".encode()) % of


def isbn10(key: str) -> str:
    """An ISBN with a right check digit, of a group that no publisher has."""
    nine = f"9{draw('isbn', key, 10**8):08}"
    check = -sum(int(digit) * weight for digit, weight in zip(nine, range(10, 1, -1), strict=True)) % 11
    return nine + ("X" if check == 10 else str(check))


def own(book: dict[str, Any], authors: list[str]) -> Theirs:
    """The book's own record, in one of the forms that it may have."""
    key = book["book_id"]
    title = book["title"].partition(" (")[0] if draw("series", key, 2) else book["title"]
    head, _, tail = title.partition(": ")
    form = draw("form", key, 6)
    novel = title if tail else f"{title}: a novel"
    title = {0: title.upper(), 1: novel, 2: head, 3: title.replace(" and ", " & ")}.get(form, title)
    people = authors[:1] if draw("authors", key, 2) else authors
    spelled = draw("spelled", key, 4)
    if spelled == 0 and people and " " in people[0]:
        first, _, last = people[0].rpartition(" ")
        people = [f"{last}, {first}", *people[1:]]
    elif spelled == 1 and people and " " in people[0]:
        people = [f"{people[0][0]}. {people[0].rpartition(' ')[2]}", *people[1:]]
    known = draw("known", key, 3)
    numbers: dict[str, Any] = {0: {"isbn_10": [book["isbn"]]}, 1: {"identifiers": {"goodreads": [key]}}}.get(known, {})
    year = str(int(book["publication_year"]) + draw("year", key, 3) - 1) if draw("dated", key, 3) else ""
    return Theirs("the book", title, people, numbers, year)


def near(book: dict[str, Any], authors: list[str], other: dict[str, Any], their_authors: list[str]) -> Iterator[Theirs]:
    """Works that are easily taken for the book; some have its ISBN."""
    key, title = book["book_id"], book["title"].partition(" (")[0]
    head = title.partition(": ")[0]
    its_isbn = {"isbn_10": [book["isbn"]]}
    year = book["publication_year"]
    kinds = (
        Theirs("same title, another author", title, their_authors),
        Theirs("short title, another author", head, their_authors, {}, year),
        Theirs("study guide", f"{head}: Study Guide", authors),
        Theirs("study guide with its ISBN", f"SparkNotes: {head}", authors, its_isbn),
        Theirs("box set", f"{head} Boxed Set", authors, its_isbn),
        Theirs("two in one", f"{title} / {other['title']}", authors),
        Theirs("volume", f"{head}, Vol. 2", authors),
        Theirs("graphic novel", f"{head}: The Graphic Novel", authors, {}, year),
        Theirs("play", f"{head}: A Play in Three Acts", authors),
        Theirs("another book of the author", other["title"], authors),
        Theirs("another book of the author with its ISBN", other["title"], authors, its_isbn),
        Theirs(ANOTHER, other["title"], their_authors, its_isbn),
        Theirs("same head, another subtitle", f"{head}: {other['title']}", authors, {}, year),
        Theirs("namesake", title, [f"Zz{name.split(' ')[0]} {name.rpartition(' ')[2]}" for name in authors]),
        Theirs("about it", f"Understanding {head}", their_authors),
        Theirs("journal", f"{head} Calendar and Journal", authors, {}, year),
    )
    first = draw("near", key, len(kinds))
    yield from (kinds[(first + 5 * step) % len(kinds)] for step in range(3))


def write(raw: Path, folder: Path) -> dict[str, tuple[str, str]]:
    """UCSD's files with ISBNs and years, and a dump beside them; {Open Library's work: (its book's work, truth)}."""
    with gzip.open(raw / "goodreads_book_authors.json.gz", "rt") as lines:
        names = {author["author_id"]: author["name"] for author in map(json.loads, lines)}
    with gzip.open(raw / "goodreads_books.json.gz", "rt") as lines:
        books = [book for book in map(json.loads, lines) if book["title"] and book["authors"]][:MOST_BOOKS]
    ours, theirs = folder / "ucsd", folder / "dump"
    ours.mkdir()
    theirs.mkdir()
    truth: dict[str, tuple[str, str]] = {}
    files: dict[str, list[str]] = {name: [] for name in ("works", "editions", "authors", "reading-log")}
    for number, book in enumerate(books):
        book["isbn"] = book["isbn"] or isbn10(book["book_id"])
        book["publication_year"] = book["publication_year"] or str(1950 + draw("published", book["book_id"], 60))
        book["work_id"] = book["work_id"] or str(10**8 + number)
    people = {
        book["book_id"]: [names[one["author_id"]] for one in book["authors"] if one["author_id"] in names]
        for book in books
    }
    for number, book in enumerate(books):
        other = books[(number * 7 + 13) % len(books)]
        authors = people[book["book_id"]]
        made = [own(book, authors)] if draw("absent", book["book_id"], 2) else []
        made += near(book, authors, other, people[other["book_id"]])
        for one in made:
            key = len(truth) + 1
            truth[f"OL{key}W"] = (other["work_id"] if one.truth == ANOTHER else book["work_id"], one.truth)
            links = []
            for place, name in enumerate(one.authors):
                files["authors"].append(_line("author", "authors", f"OL{key}{place:02}A", {"name": name}))
                links.append({"author": {"key": f"/authors/OL{key}{place:02}A"}})
            head, colon, tail = one.title.partition(": ")
            titles = {"title": head, "subtitle": tail} if colon and key % 2 else {"title": one.title}
            work = {**titles, "authors": links, "description": "A book.", "first_publish_date": one.year}
            files["works"].append(_line("work", "works", f"OL{key}W", work))
            edition = {**titles, "works": [{"key": f"/works/OL{key}W"}], **one.edition}
            files["editions"].append(_line("edition", "books", f"OL{key}M", edition))
            files["reading-log"].append(f"/works/OL{key}W\t\tWant to Read\t2020-01-01")
    with gzip.open(ours / "goodreads_books.json.gz", "wt") as out:
        out.writelines(json.dumps(book) + "\n" for book in books)
    for name in ("goodreads_book_authors", "goodreads_reviews_dedup"):
        (ours / f"{name}.json.gz").write_bytes((raw / f"{name}.json.gz").read_bytes())
    for name, written in files.items():
        with gzip.open(theirs / f"ol_dump_{name}_2026-10-31.txt.gz", "wt") as out:
            out.writelines(line + "\n" for line in written)
    return truth


def _line(kind: str, place: str, key: str, fields: dict[str, Any]) -> str:
    return f"/type/{kind}\t/{place}/{key}\t1\t2026-10-01T10:00:00.000000\t{json.dumps(fields)}"


def matched(folder: Path) -> dict[str, Any]:
    """The facts of the comparison; its files lie in `folder/same`."""
    location = f"{folder / 'ucsd'},{folder / 'dump'}"

    def read(table: str) -> Path:
        out = folder / "tables" / table
        out.mkdir(parents=True)
        ingest(table, find(table, location), out, LIMITS, reject_ceiling=0.01)
        return out / f"{table}.parquet"

    dump = {table.name: read(table.name) for table in OPENLIBRARY}
    (folder / "joined").mkdir()
    join_dump(dump, folder / "joined", LIMITS, OpenLibraryRules(), {"all_lines": True})
    tables = {table: read(table) for table in READ}
    for table in MADE:
        add_table(table, folder / "joined", folder / "tables" / table, {"lines": 0, "rows": 0})
    (folder / "same").mkdir()
    return match_works(tables, folder / "same", LIMITS)


def names_of_theirs(row: dict[str, Any]) -> tuple[str, str]:
    """Title and author of Open Library's work of a joined pair."""
    return row["open_library_title"], row["open_library_author"]


def measure(raw: Path, judge: Path | None) -> dict[str, Any]:
    """Precision and recall by rule and kind; and the pairs to be judged."""
    with tempfile.TemporaryDirectory() as scratch:
        truth = write(raw, Path(scratch))
        facts = matched(Path(scratch))
        rows = duckdb.execute(
            "FROM read_parquet($path)", {"path": f"{scratch}/same/same_works.parquet"}
        ).to_arrow_table().to_pylist()  # fmt: skip
    right, wrong, kinds = Counter[str](), Counter[str](), Counter[str]()
    for row in rows:
        work, kind = truth[row["open_library_work_id"]]
        one = kind in ("the book", ANOTHER) and work == row["work_id"]
        (right if one else wrong)[row["rule"]] += 1
        kinds[f"{row['rule']}: {kind}"] += not one
    if judge:
        differing = sorted(rows, key=lambda row: (row["title"], row["author"]) == names_of_theirs(row))
        by_rule = {rule: [row for row in differing if row["rule"] == rule] for rule in RULES}
        taken: list[dict[str, Any]] = []
        for place in range(len(rows)):
            taken += [found[place] for found in by_rule.values() if place < len(found)]
        columns = ("rule", "title", "author", "open_library_title", "open_library_author")
        with judge.open("w", newline="") as out:
            table = csv.writer(out, delimiter="\t")
            table.writerow([*columns, "truth", "verdict"])
            for row in taken[:JUDGED]:
                kind = truth[row["open_library_work_id"]][1]
                table.writerow([*(row[name] for name in columns), kind, ""])
    there = sum(kind == "the book" for _, kind in truth.values())
    found = sum(truth[row["open_library_work_id"]] == (row["work_id"], "the book") for row in rows)
    return {
        "books": len({work for work, _ in truth.values()}),
        "records_of_open_library": len(truth),
        "of_them_the_book_itself": there,
        "joined": len(rows),
        "precision": round(right.total() / max(len(rows), 1), 4),
        "recall": round(found / max(there, 1), 4),
        "by_rule": {rule: {"right": right[rule], "wrong": wrong[rule]} for rule in RULES},
        "wrong_kinds": {kind: count for kind, count in kinds.most_common() if count},
        "contradicted": facts["contradicted"],
        "open": facts["open"],
        "conflicts": facts["conflicts"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("raw", type=Path)
    parser.add_argument("--judge", type=Path)
    parser.add_argument("--judged", type=Path)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/same_works.json"))
    given = parser.parse_args()
    report = measure(given.raw, given.judge)
    if given.judged:
        with given.judged.open(newline="") as lines:
            verdicts = Counter(f"{row['rule']}: {row['verdict']}" for row in csv.DictReader(lines, delimiter="\t"))
        report["read_one_by_one"] = dict(sorted(verdicts.items()))
    given.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
