"""Works as records of the UCSD Book Graph: the same fields, in the same order, with the same types.

Every scalar of a book and of an author is a string, and "" where missing; of a review, rating, n_votes and
n_comments are integers. Everything that is not in the TOML (ids, dates, shelves, which fields are empty)
follows from SHA-256 over ids and names, so that it never changes and a new work changes nobody else's.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from viberary_pipeline.sample.works import Edition, Review, Work

Record = dict[str, Any]

EMPTY_SHARE = {"isbn13": 0.331, "num_pages": 0.324, "publisher": 0.277, "publication_year": 0.254}
"""Which share of UCSD's books lacks these fields. A work's first edition keeps its year."""

NO_COVER = "https://s.gr-assets.com/assets/nophoto/book/111x148-bcc042a9c91a29c1d680899eff700a03.png"
SIMILAR_BOOKS = 8

WORK_ID_BASE = 50_000_000
"""A work's id is this and its number in the TOML."""

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LAST_YEAR = 2025


def book_record(**fields: Any) -> Record:
    """A book with `fields`; link and url follow from book_id, all others are empty.

    Raises:
        KeyError: a name that UCSD's books do not have.
    """
    address = f"https://www.goodreads.com/book/show/{fields['book_id']}" if fields.get("book_id") else ""
    record: Record = {
        "isbn": "",
        "text_reviews_count": "",
        "series": [],
        "country_code": "US",
        "language_code": "",
        "popular_shelves": [],
        "asin": "",
        "is_ebook": "false",
        "average_rating": "",
        "kindle_asin": "",
        "similar_books": [],
        "description": "",
        "format": "",
        "link": address,
        "authors": [],
        "publisher": "",
        "num_pages": "",
        "publication_day": "",
        "isbn13": "",
        "publication_month": "",
        "edition_information": "",
        "publication_year": "",
        "url": address,
        "image_url": NO_COVER,
        "book_id": "",
        "ratings_count": "",
        "work_id": "",
        "title": "",
        "title_without_series": fields.get("title", ""),
    }
    return _filled(record, fields)


def author_record(**fields: Any) -> Record:
    """An author with `fields`; all others empty. Raises KeyError for a name that is none."""
    names = ("average_rating", "author_id", "text_reviews_count", "name", "ratings_count")
    return _filled(dict.fromkeys(names, ""), fields)


def review_record(**fields: Any) -> Record:
    """A review with `fields`; all others empty. Raises KeyError for a name that is none."""
    record: Record = dict.fromkeys(("user_id", "book_id", "review_id"), "")
    record |= {"rating": 0, "review_text": ""}
    record |= dict.fromkeys(("date_added", "date_updated", "read_at", "started_at"), "")
    return _filled(record | {"n_votes": 0, "n_comments": 0}, fields)


def _filled(record: Record, fields: Record) -> Record:
    if unknown := fields.keys() - record.keys():
        raise KeyError(f"no such field: {', '.join(sorted(unknown))}")
    return record | fields


def hash64(*parts: object) -> int:
    """64 bits that depend on the parts alone."""
    return int.from_bytes(hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()[:8], "big")


def chance(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone."""
    return hash64(*parts) / 2**64


def _hex_id(*parts: object) -> str:
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]


def book_id(work: Work, number: int) -> str:
    """Beyond the ids that Goodreads has given so far, so that no link shows another book."""
    return str(900_000_000 + work.id * 100 + number)


def work_id(work: Work) -> str:
    """Eight digits, so that no work has the id of a book."""
    return str(WORK_ID_BASE + work.id)


def author_id(name: str) -> str:
    """Eight digits from the name: a name is a person here."""
    return str(10_000_000 + hash64("author", name) % 90_000_000)


def series_id(name: str) -> str:
    """Six digits from the name."""
    return str(100_000 + hash64("series", name) % 900_000)


def review_id(work: Work, review: Review) -> str:
    """32 hex digits from the work and the text."""
    return _hex_id("review", work.id, review.text)


def user_id(work: Work, review: Review) -> str:
    """32 hex digits: one for each named reviewer, and one for each review without."""
    return _hex_id("user", review.reviewer) if review.reviewer else _hex_id("user", work.id, review.text)


def isbn13(number: int) -> str:
    """The ISBN-13 of an eight-digit number: prefix 978, group 0, check digit by ISO 2108."""
    body = f"9780{number % 10**8:08d}"
    total = sum(int(digit) * (3 if position % 2 else 1) for position, digit in enumerate(body))
    return body + str(-total % 10)


def isbn10(number: int) -> str:
    """The ISBN-10 of an eight-digit number: group 0, check digit modulo 11 ('X' for ten)."""
    body = f"0{number % 10**8:08d}"
    check = -sum(int(digit) * weight for digit, weight in zip(body, range(10, 1, -1), strict=True)) % 11
    return body + ("X" if check == 10 else str(check))


def books(works: Sequence[Work], private_shelves: Sequence[str]) -> list[Record]:
    """One record per edition, work by work."""
    return [
        _book(work, number, edition, similar, private_shelves)
        for work, similar in zip(works, _similar(works), strict=True)
        for number, edition in enumerate(work.editions)
    ]


def _book(work: Work, number: int, edition: Edition, similar: list[str], private_shelves: Sequence[str]) -> Record:
    own = book_id(work, number)
    rating = work.rating if number == 0 else work.rating + (chance("rating", own) - 0.5) / 10

    def unless_empty(field: str, value: object) -> str:
        return "" if value is None or chance(field, own) < EMPTY_SHARE[field] else str(value)

    year = str(edition.year or "") if number == 0 else unless_empty("publication_year", edition.year)
    has_date = chance("day", own) < 0.6
    thirteen = unless_empty("isbn13", isbn13(int(own)))
    return book_record(
        isbn=isbn10(int(own)) if thirteen else "",
        text_reviews_count=str(edition.text_reviews_count),
        series=[series_id(work.series)] if work.series else [],
        language_code=edition.language,
        popular_shelves=_shelves(work, own, edition.ratings_count, private_shelves),
        is_ebook="true" if edition.format == "ebook" else "false",
        average_rating=f"{rating:.2f}",
        similar_books=similar,
        description=edition.description,
        format=edition.format,
        authors=[{"author_id": author_id(credit.name), "role": credit.role} for credit in edition.authors],
        publisher=unless_empty("publisher", edition.publisher),
        num_pages=unless_empty("num_pages", edition.pages),
        publication_day=str(1 + hash64("day", own) % 28) if has_date else "",
        isbn13=thirteen,
        publication_month=str(1 + hash64("month", own) % 12) if has_date else "",
        edition_information=edition.edition_information,
        publication_year=year,
        book_id=own,
        ratings_count=str(edition.ratings_count),
        work_id=work_id(work),
        title=edition.title,
    )


def _shelves(work: Work, own: str, ratings: int, private_shelves: Sequence[str]) -> list[dict[str, str]]:
    """What readers filed the book under: to-read on top, then its kinds, last what only the owner knows."""
    counts = {
        "to-read": 20 + ratings * 3 // 5,
        "currently-reading": 6 + ratings // 25,
        "favorites": 5 + ratings // 60,
    }
    for place, kind in enumerate(work.kinds):
        name = re.sub(r"[^\w&]+", "-", kind.lower().replace("'", "")).strip("-")
        counts[name] = 12 - place + ratings // (6 + 4 * place)
    for nth in range(2):
        counts[private_shelves[hash64("shelf", nth, own) % len(private_shelves)]] = 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"count": str(count), "name": name} for name, count in ranked]


def _similar(works: Sequence[Work]) -> list[list[str]]:
    """For each work, the first editions of those that share most kinds with it; then by id."""
    shared: list[list[tuple[int, int, str]]] = []
    for work in works:
        kinds = set(work.kinds)
        others = ((len(kinds.intersection(other.kinds)), other) for other in works if other.id != work.id)
        shared.append(sorted((-common, other.id, book_id(other, 0)) for common, other in others if common))
    return [[book for _, _, book in ranked[:SIMILAR_BOOKS]] for ranked in shared]


def authors(works: Iterable[Work]) -> list[Record]:
    """One record per name, in the order of author_id; counts and mean over the editions with that name."""
    ratings: Counter[str] = Counter()
    texts: Counter[str] = Counter()
    points: Counter[str] = Counter()
    for work in works:
        for edition in work.editions:
            for name in {credit.name for credit in edition.authors}:
                ratings[name] += edition.ratings_count
                texts[name] += edition.text_reviews_count
                points[name] += round(work.rating * 100) * edition.ratings_count
    return [
        author_record(
            average_rating=f"{points[name] / 100 / ratings[name]:.2f}",
            author_id=author_id(name),
            text_reviews_count=str(texts[name]),
            name=name,
            ratings_count=str(ratings[name]),
        )
        for name in sorted(ratings, key=lambda name: (author_id(name), name))
    ]


def reviews(works: Iterable[Work]) -> list[Record]:
    """One record per review, work by work; three of four are of a work's first edition."""
    return [_review(work, review) for work in works for review in work.reviews]


def _review(work: Work, review: Review) -> Record:
    own = review_id(work, review)
    number = 0
    if len(work.editions) > 1 and chance("edition", own) >= 0.75:
        number = 1 + hash64("which edition", own) % (len(work.editions) - 1)
    published = max(edition.year or 0 for edition in work.editions)
    begin = datetime(max(2008, published + 1), 1, 1)
    seconds = int((datetime(_LAST_YEAR, 12, 1) - begin).total_seconds())
    added = begin + timedelta(seconds=hash64("added", own) % seconds)
    updated = added + timedelta(seconds=hash64("updated", own) % (30 * 86400))
    midnight = added.replace(hour=0, minute=0, second=0)
    read = started = None
    if chance("has read", own) < 0.6:
        read = midnight - timedelta(days=hash64("read", own) % 5)
        if chance("has started", own) < 0.6:
            started = read - timedelta(days=1 + hash64("started", own) % 20)
    return review_record(
        user_id=user_id(work, review),
        book_id=book_id(work, number),
        review_id=own,
        rating=review.rating,
        review_text=review.text,
        date_added=_date(added),
        date_updated=_date(updated),
        read_at=_date(read) if read else "",
        started_at=_date(started) if started else "",
        n_votes=review.votes,
        n_comments=hash64("comments", own) % (1 + review.votes // 5),
    )


def _date(moment: datetime) -> str:
    """Like 'Sun Jul 30 07:44:10 -0700 2017', whatever the locale."""
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day} {month} {moment:%d %H:%M:%S} -0700 {moment.year}"
