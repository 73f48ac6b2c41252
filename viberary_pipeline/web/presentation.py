"""How values look on the page. Pure functions, registered as Jinja filters by the app."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from urllib.parse import urlsplit

from markupsafe import Markup, escape

from viberary_pipeline.name_keys import words_of
from viberary_pipeline.redis_contract import contributors_of
from viberary_pipeline.search.books import Book, Edition
from viberary_pipeline.search.hits import Hit
from viberary_pipeline.search.language_names import language_name
from viberary_pipeline.search.passages import stem
from viberary_pipeline.search.sentences import whole_sentences
from viberary_pipeline.web.narrowing import LABELS

INTERFACE_LANGUAGE = "en"
_LONGEST_NAME = 40
_LONGEST_KEPT = 40  # a word that is remembered: texts without blanks are one word
_LONG_HEADING = 60
_SERIES = re.compile(r"\s*\([^()]*#[^()]*\)\s*$")
_WORDS = re.compile(r"([^\W_](?:[\w'’]*[^\W_])?)")


def shorten(text: str, limit: int = 240) -> str:
    """At most `limit` characters of a title or a query and an ellipsis, cut between words where there is a gap.

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


def first_sentences(text: str, limit: int = 240) -> str:
    """The first sentences of a text that have `limit` characters together: whole ones, the first however long it is."""
    sentences = whole_sentences(text)
    kept = sentences[:1]
    for sentence in sentences[1:]:
        if len(" ".join([*kept, sentence])) > limit:
            break
        kept.append(sentence)
    return " ".join(kept)


def marked(text: str, telling: Collection[str]) -> Markup:
    """The text with those of its words in `<mark>` whose stems (`passages.stem`) a query has."""
    if not telling:
        return escape(text)
    made, plain = list[str](), ""
    for place, part in enumerate(_WORDS.split(text)):  # between words at even places
        if place % 2 and _is_telling(part, telling):
            made.append(f"{escape(plain)}<mark>{escape(part)}</mark>")
            plain = ""
        else:
            plain += part
    return Markup("".join([*made, escape(plain)]))


def _is_telling(part: str, telling: Collection[str]) -> bool:
    stems = _stems_kept(part) if len(part) <= _LONGEST_KEPT else _stems(part)
    return not stems.isdisjoint(telling)


def _stems(part: str) -> frozenset[str]:
    """The stems of what is a word to a reader: "self-made" has two."""
    return frozenset(map(stem, words_of(part)))


_stems_kept = lru_cache(maxsize=20_000)(_stems)  # 10 MB


def long(text: str) -> str:
    """The class by which a heading of many words is set smaller, "" for others."""
    return " long" if len(text) > _LONG_HEADING else ""


def without_series(title: str) -> str:
    """The title without the series behind it: "Dune" of "Dune (Dune Chronicles, #1)"."""
    return _SERIES.sub("", title) or title


def link_name(title: str) -> str:
    """A title in the name of a link, which says more than it."""
    return shorten(without_series(title), _LONGEST_NAME)


def told_apart(hits: Sequence[Hit]) -> list[str]:
    """Of each book of a list what tells its links from those of another book of the same title; "" for most."""
    names = [link_name(hit.title).casefold() for hit in hits]
    leads = [f"by {lead(hit)}" for hit in hits]
    both = list(zip(names, leads, strict=True))
    return [
        "" if names.count(name) == 1 else by if both.count((name, by)) == 1 else f"{by}, number {hit.rank}"
        for hit, (name, by) in zip(hits, both, strict=True)
    ]


def safe_link(link: str) -> str | None:
    """`link` if a browser would open it as a web page, else None: no `javascript:`, no relative address.

    Nor one with a line's end or another control character, which no header can carry.
    """
    try:
        parts = urlsplit(link)
    except ValueError:  # an unclosed IPv6 bracket
        return None
    return link if parts.scheme in ("http", "https") and parts.netloc and link.isprintable() else None


def counted(number: int, noun: str) -> str:
    """The number with thousands separators, and the noun in the form that goes with it: "1,204 reviews"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


# How the catalogue's words for a part in a book begin, and what a page says before the names.
_ROLES = {
    "transl": "translated by",
    "illustr": "illustrated by",
    "edit": "edited by",
    "narrat": "read by",
    "reader": "read by",
    "introduc": "introduction by",
    "foreword": "foreword by",
    "preface": "preface by",
    "afterword": "afterword by",
    "photo": "photographs by",
    "contribut": "with",
}


Credits = list[tuple[str, list[str]]]
"""[(phrase, names)]: "by" or "translated by", and who did it."""


def credited(book: Book | Hit) -> Credits:
    """Those who made a book: who leads it, the others who wrote it, then by their parts."""
    return _credited(tuple(book.contributors or contributors_of(book.author)))


def wrote_and_helped(book: Book | Hit) -> tuple[Credits, Credits]:
    """`credited`, those who wrote the book apart from those who had another part in it."""
    return _wrote_and_helped(tuple(book.contributors or contributors_of(book.author)))


@lru_cache(maxsize=2_000)
def _wrote_and_helped(contributors: tuple[tuple[str, str], ...]) -> tuple[Credits, Credits]:
    people = _credited(contributors)
    wrote = [part for part in people if part[0] in ("by", "with")]
    return wrote, [part for part in people if part not in wrote]


@lru_cache(maxsize=2_000)
def _credited(contributors: tuple[tuple[str, str], ...]) -> Credits:
    parts: dict[str, list[str]] = {}
    for place, (name, role) in enumerate(contributors):
        done = next((phrase for start, phrase in _ROLES.items() if role.casefold().startswith(start)), f"{role}:")
        parts.setdefault(done if role else "with" if place else "by", []).append(name)
    return list(parts.items())


def said(value: str, name: str) -> str:
    """A value of a field that narrows a search, in words."""
    return LABELS[name](value)


def options(counts: Mapping[str, int], name: str, chosen: str) -> Markup:
    """The `<option>`s of a field that narrows a search: each value in words, with how many works have it."""
    return _options(name, tuple(counts.items()), chosen if chosen in counts else "")


@lru_cache(maxsize=256)
def _options(name: str, counts: tuple[tuple[str, int], ...], chosen: str) -> Markup:
    # Nearly every page has the same ones, a hundred or more.
    return Markup("\n").join(
        Markup('<option value="{}"{}>{}</option>').format(
            value, Markup(" selected") if value == chosen else "", f"{said(value, name)} ({works:,})"
        )
        for value, works in counts
    )


def lead(book: Book | Hit) -> str:
    """The first of those who made a book; "" where nobody is known."""
    return next((names[0] for _, names in credited(book)), "")


def year_of(book: Book | Hit) -> str:
    """The year of the work: "1851", "720 BC"; where only editions say theirs, "this edition 1993"; where the source
    doubts it, "about 1900"; "" for unknown."""
    if book.year is None:
        return ""
    whose = {"edition": "this edition ", "earliest edition": "earliest edition ", "work, uncertain": "about "}.get(
        book.year_of, ""
    )
    return f"{whose}{shown_year(book.year)}"


def foreign_language(book: Book | Hit) -> str:
    """The language of a book by name, "" where it is the reader's or unknown."""
    return "" if book.language in (None, "", INTERFACE_LANGUAGE) else language_name(str(book.language))


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
    "first_sentences": first_sentences,
    "foreign_language": foreign_language,
    "host": host,
    "in_words": in_words,
    "language_name": language_name,
    "lead": lead,
    "long": long,
    "link_name": link_name,
    "marked": marked,
    "options": options,
    "safe_link": safe_link,
    "shorten": shorten,
    "said": said,
    "told_apart": told_apart,
    "wrote_and_helped": wrote_and_helped,
    "year": shown_year,
    "year_of": year_of,
}
"""By the names that templates use."""
