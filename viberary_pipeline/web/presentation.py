"""How values look on the page. Pure functions, registered as Jinja filters by the app."""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlsplit

from viberary_pipeline.search.books import Book, Edition
from viberary_pipeline.search.language_names import language_name


def shorten(text: str, limit: int = 240) -> str:
    """At most `limit` characters of `text` and an ellipsis, cut between words where there is a gap to cut at.

    Runs of white space become one space. A text without spaces (Chinese, Japanese) is cut at the limit.
    """
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    head = text[: limit + 1]  # one more: a word may end exactly at the limit
    gap = head.rfind(" ")
    # A gap in the first half only: what follows is one long word or a script without spaces.
    head = head[:gap] if gap >= limit // 2 else head[:limit]
    return head.rstrip(" ,;:.–—-") + "…"


def safe_link(link: str) -> str | None:
    """`link` if a browser would open it as a web page, else None: no `javascript:`, no relative address."""
    try:
        parts = urlsplit(link)
    except ValueError:  # an unclosed IPv6 bracket
        return None
    return link if parts.scheme in ("http", "https") and parts.netloc else None


def counted(number: int, noun: str) -> str:
    """The number with thousands separators, and the noun in the form that goes with it: "1,204 reviews"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


# What the catalogue calls a part in a book, and what a page says before the names.
_ROLES = {
    "translator": "translated by",
    "illustrator": "illustrated by",
    "editor": "edited by",
    "narrator": "read by",
    "introduction": "introduction by",
    "foreword": "foreword by",
    "preface": "preface by",
    "afterword": "afterword by",
    "photographer": "photographs by",
    "contributor": "with",
}


def credited(book: Book) -> list[tuple[str, list[str]]]:
    """[(phrase, names)] of those who made a book: who leads it, the others who wrote it, then by their parts."""
    people = book.contributors or [(name.strip(), "") for name in book.author.split(",") if name.strip()]
    parts: dict[str, list[str]] = {}
    for place, (name, role) in enumerate(people):
        phrase = _ROLES.get(role.casefold(), f"{role}:") if role else "with" if place else "by"
        parts.setdefault(phrase, []).append(name)
    return list(parts.items())


def shown_year(number: int) -> str:
    """A year as people write it: "1984", "720 BC"."""
    return str(number) if number > 0 else f"{-number} BC"


def edition_facts(edition: Edition) -> str:
    """What is known of an edition beside its title: "1998, French, Paperback, Pygmalion, ISBN 9782857045649"."""
    known = (
        shown_year(edition.year) if edition.year else "",
        language_name(edition.language),
        edition.format,
        edition.publisher,
        f"ISBN {edition.isbn}" if edition.isbn else "",
    )
    return ", ".join(filter(None, known))


def host(link: str) -> str:
    """The site that a link leads to: "goodreads.com"."""
    return (urlsplit(link).hostname or "").removeprefix("www.")


def in_words(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def day(moment: str) -> str:
    """The day of an ISO 8601 time: "26 November 2026"."""
    then = datetime.fromisoformat(moment)
    return f"{then.day} {then:%B %Y}"


FILTERS = {
    "counted": counted,
    "credited": credited,
    "day": day,
    "edition_facts": edition_facts,
    "host": host,
    "in_words": in_words,
    "language_name": language_name,
    "safe_link": safe_link,
    "shorten": shorten,
    "year": shown_year,
}
"""By the names that templates use."""
