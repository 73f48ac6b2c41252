"""The bundled works as records of Open Library: what UCSD's records of them say, in the shape of its monthly dumps.

Works, editions and authors are lines of five columns, separated by tabs: type, key, revision, last_modified, JSON.
Ratings and the reading log have four: work, edition or nothing, rating or shelf, date. Open Library has neither
reviews nor counts of shelves, so they are absent; a book's shelves are the subjects of its work, among machine tags.

Open Library's own records take many forms, and so do these. A hash of its key decides which form a record has:
description as text or as an object, four spellings of an author's key, dates as people write them, authors on the
editions alone, works and authors under a key that now redirects. Whoever reads all forms gets UCSD's documents.
Formats: https://openlibrary.org/developers/dumps.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import accumulate, groupby, pairwise
from operator import itemgetter
from typing import Any

from viberary_pipeline.sample import records
from viberary_pipeline.sample.records import Record, chance, hash64
from viberary_pipeline.sample.works import Work

DATE = "2026-10-31"
TABLES = ("works", "editions", "authors", "ratings", "reading-log", "redirects")
FILES = {table: f"ol_dump_{table}_{DATE}.txt.gz" for table in TABLES}

TYPES = {"works": "/type/work", "editions": "/type/edition", "authors": "/type/author", "redirects": "/type/redirect"}
_FOREVER = datetime(2026, 10, 1)
_SINCE = datetime(2008, 4, 1)
_MARC = {"en-US": "eng", "en-GB": "eng", "nl": "dut"}  # all other codes of the sample are MARC's
_MACHINE_TAGS = (
    "Accessible book",
    "Protected DAISY",
    "In library",
    "Large type books",
    "Reading Level-Grade 9",
    "Overdrive",
    "nyt:mass-market-paperback=2011-03-06",
    "New York Times bestseller",
)
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
_SHELVES = ("Want to Read", "Want to Read", "Want to Read", "Already Read", "Already Read", "Currently Reading")


# The numbers lie beyond those that Open Library has given so far, so that no link shows another book.


def work_key(work: Work) -> str:
    """/works/OL9…W, of the work's number in the TOML."""
    return f"/works/OL{900_000_000 + work.id}W"


def edition_key(book_id: str) -> str:
    """/books/OL9…M, of UCSD's id of the same edition."""
    return f"/books/OL{book_id}M"


def author_key(author_id: str) -> str:
    """/authors/OL9…A, of UCSD's id of the same author."""
    return f"/authors/OL9{author_id}A"


def clean_lines(works: Sequence[Work]) -> dict[str, list[str]]:
    """The lines of each file for the works, without line ends."""
    books = records.books(works, private_shelves=("",))
    of_work = {key: list(group) for key, group in groupby(books, key=itemgetter("work_id"))}
    lines: dict[str, list[str]] = {table: [] for table in TABLES}
    for work in works:
        editions = of_work[records.work_id(work)]
        lines["works"].append(record_line("works", _work(work, editions)))
        lines["editions"] += [record_line("editions", _edition(work, book)) for book in editions]
        lines["ratings"] += _ratings(work, editions)
        lines["reading-log"] += _reading_log(work, editions)
    lines["authors"] = [record_line("authors", _author(author)) for author in records.authors(works)]
    lines["redirects"] = [record_line("redirects", redirect) for redirect in _redirects(works)]
    return lines


def dirty_lines(table: str, dirt: Iterable[dict[str, Any]]) -> list[str]:
    """The lines of the dirt declared for a file: `columns` as they are, `json` with the columns of its record."""
    return [
        "\t".join(item["columns"]) if "columns" in item else record_line(table, json.loads(item["json"]))
        for item in dirt
    ]


def record_line(table: str, fields: Record) -> str:
    """One line of works, editions, authors or redirects: the five columns, of which the JSON repeats four."""
    key = fields["key"]
    revision = 1 + hash64("revision", key) % 9
    created = _moment("created", key, _SINCE)
    modified = _moment("modified", key, created)
    record = {
        **fields,
        "type": {"key": TYPES[table]},
        "latest_revision": revision,
        "revision": revision,
        "created": {"type": "/type/datetime", "value": created.isoformat()},
        "last_modified": {"type": "/type/datetime", "value": modified.isoformat()},
    }
    return "\t".join((TYPES[table], key, str(revision), modified.isoformat(), json.dumps(record)))


def _moment(what: str, key: str, since: datetime) -> datetime:
    microseconds = hash64(what, key) % int((_FOREVER - since).total_seconds() * 1_000_000)
    return since + timedelta(microseconds=microseconds or 1)


def _work(work: Work, editions: Sequence[Record]) -> Record:
    key = work_key(work)
    record: Record = {"key": key, **_title(editions[0]["title"])}
    if chance("authors on editions", key) >= 0.06:
        people = _authors(editions[0])
        record["authors"] = [_credit(key, place, person) for place, person in enumerate(people)]
    text = work.editions[0].description
    record["description"] = {"type": "/type/text", "value": text} if chance("object", key) < 0.5 else text
    record["subjects"] = _subjects(work)
    years = [int(book["publication_year"]) for book in editions if book["publication_year"]]
    if years and chance("first date", key) < 0.85:
        record["first_publish_date"] = _free_text(key, min(years))
    if chance("no cover", key) < 0.3:
        record["covers"] = [-1]
    return record


def _title(title: str) -> Record:
    """'SPQR: A History' is title and subtitle in Open Library."""
    head, colon, tail = title.partition(": ")
    return {"title": head, "subtitle": tail} if colon and not head.endswith(" ") else {"title": title}


def _authors(book: Record) -> list[str]:
    """The keys of its authors: those without a role, else the first person."""
    return [author_key(link["author_id"]) for link in _author_links(book)]


def _author_links(book: Record) -> list[Record]:
    return [link for link in book["authors"] if not link["role"]] or book["authors"][:1]


def _credit(key: str, place: int, person: str) -> Any:
    """An author of a work, in one of the forms that the dumps hold."""
    person = _old_key(person) if _has_moved(person) else person
    role = {"key": "/type/author_role"}
    forms: tuple[Any, ...] = (
        {"author": {"key": person}, "type": role},
        {"type": role, "author": {"key": person}},
        {"type": "/type/author_role", "author": {"key": person}},
        {"author": {"key": person.replace("/authors/", "/a/")}},
        {"author": person},
        {"key": person},
        person,
    )
    return forms[hash64("credit", key, place) % len(forms)]


def _subjects(work: Work) -> list[str]:
    key = work_key(work)
    subjects = [kind[0].upper() + kind[1:] for kind in work.kinds]
    tags = [tag for tag in _MACHINE_TAGS if chance("tag", tag, key) < 0.15]
    tags += [f"series:{work.series}"] if work.series and chance("series tag", key) < 0.3 else []
    for tag in tags:
        subjects.insert(hash64("place", tag, key) % (len(subjects) + 1), tag)
    return subjects


def _free_text(key: str, year: int, month: int = 0, day: int = 0) -> str:
    """A date as people write it, of which the year can be told."""
    name = _MONTHS[month - 1]
    dated = (f"{name} {day}, {year}", f"{day} {name} {year}", f"{year}-{month:02}-{day:02}", f"{name} {year}",
             f"{name[:3]} {day}, {year}")  # fmt: skip
    plain = (*(f"{year}",) * 6, f"c. {year}", f"c{year}", f"[{year}]", f"{year}?")
    forms = dated if month and day else plain
    return forms[hash64("date", key) % len(forms)]


def _edition(work: Work, book: Record) -> Record:
    own, key = work_key(work), edition_key(book["book_id"])
    under = _old_key(own) if _has_moved(own) and chance("under the old key", key) < 0.5 else own
    people = {records.author_id(credit.name): credit.name for edition in work.editions for credit in edition.authors}
    helpers = [
        {"name": people[link["author_id"]], "role": link["role"]}
        for link in book["authors"]
        if link not in _author_links(book)
    ]
    day, month = (int(book[field] or 0) for field in ("publication_day", "publication_month"))
    year = book["publication_year"]
    described = book["description"] and book["description"] != work.editions[0].description
    language = _MARC.get(book["language_code"], book["language_code"])
    goodreads = chance("goodreads", key) < 0.6
    fields: Record = {
        "key": key,
        **_title(book["title"]),
        "works": [{"key": under}],
        "authors": [{"key": person} for person in _authors(book)],
        "contributors": helpers,
        "languages": [{"key": f"/languages/{language}"}] if language else [],
        "isbn_10": [book["isbn"]] if book["isbn"] else [],
        "isbn_13": [book["isbn13"]] if book["isbn13"] else [],
        "identifiers": {"goodreads": [book["book_id"]]} if goodreads else {},
        "publish_date": _free_text(key, int(year), month, day) if year else "",
        "publishers": [book["publisher"]] if book["publisher"] else [],
        "number_of_pages": int(book["num_pages"] or 0),
        "series": [work.series] if work.series else [],
        "physical_format": book["format"],
        "edition_name": book["edition_information"],
        "description": {"type": "/type/text", "value": book["description"]} if described else "",
    }
    return {name: value for name, value in fields.items() if value}


def _author(author: Record) -> Record:
    key, name = author_key(author["author_id"]), author["name"]
    record = {"key": key, "name": name}
    if chance("personal name", key) < 0.4:
        record["personal_name"] = name
    return record


def _readers(work: Work) -> int:
    """How many people rated a work: Open Library's readers are few, and like the same books."""
    return 1 + round(sum(edition.ratings_count for edition in work.editions) ** 0.5 / 50)


def _ratings(work: Work, editions: Sequence[Record]) -> list[str]:
    """One line per rating. Their mean is the work's, as nearly as whole stars allow."""
    sums = [round(readers * work.rating) for readers in range(_readers(work) + 1)]
    return [
        _reading(work, editions, "rating", place, str(after - before))
        for place, (before, after) in enumerate(pairwise(sums))
    ]


def _reading_log(work: Work, editions: Sequence[Record]) -> list[str]:
    """One line per reader and work."""
    return [
        _reading(work, editions, "log", place, _SHELVES[hash64("shelf", work.id, place) % len(_SHELVES)])
        for place in range(3 * _readers(work))
    ]


def _reading(work: Work, editions: Sequence[Record], what: str, place: int, value: str) -> str:
    """The four columns: editions are named as often as they are rated, one in five lines names none."""
    key = work_key(work)
    draw = chance(what, key, place)
    under = _old_key(key) if _has_moved(key) and place % 3 == 0 else key
    counts = list(accumulate(edition.ratings_count for edition in work.editions))
    nth = next(nth for nth, count in enumerate(counts) if draw * counts[-1] < count)
    edition = edition_key(editions[nth]["book_id"]) if chance(what, "edition", key, place) < 0.8 else ""
    day = datetime(2018, 1, 1) + timedelta(days=hash64(what, "day", key, place) % 3200)
    return "\t".join((under, edition, value, f"{day:%Y-%m-%d}"))


def _has_moved(key: str) -> bool:
    """Whether some lines name a work or an author by a key of before a merge."""
    return chance("moved", key) < 0.08


def _old_key(key: str) -> str:
    """Another number under the same letters: OL9… becomes OL8…."""
    return key.replace("/OL9", "/OL8", 1)


def _redirects(works: Iterable[Work]) -> Iterator[Record]:
    """Where old keys lead: every other one by way of a third key."""
    keys = [work_key(work) for work in works]
    keys += [author_key(author["author_id"]) for author in records.authors(works)]
    for key in filter(_has_moved, keys):
        between = [key.replace("/OL9", "/OL7", 1)] if chance("twice", key) < 0.5 else []
        for old, new in pairwise([_old_key(key), *between, key]):
            yield {"key": old, "location": new}
