"""Numbers of books: ISBN, ASIN, ids of a catalogue, in one spelling."""

import re
from dataclasses import dataclass
from typing import Self

_LABEL = re.compile(r"\s*(isbn(?:[\s-]*1[03])?|asin|(?:book|work)[\s_-]*id)\b\s*[:#=]?\s*", re.IGNORECASE)
_DASHES = re.compile(r"[-‐-―−]")
_GROUPED = re.compile(r"[0-9Xx\s\-‐-―−]+")
_ISBN = re.compile(r"[0-9]{9}[0-9X]|[0-9]{13}")
_ASIN = re.compile(r"B0[0-9][0-9A-Z]{7}")
_OF_OPEN_LIBRARY = re.compile(
    r"(?:(?:https?://)?(?:www\.)?openlibrary\.org)?/?(?:(?:works|books)/)?(OL[0-9]+[MW])(?:[/?#.].*)?", re.IGNORECASE
)
_ONE_NUMBER = re.compile(r"[0-9A-Z]*[0-9][0-9A-Z]*", re.ASCII)


@dataclass(frozen=True)
class Identifier:
    """A number that a reader typed.

    Attributes:
        text: As typed, without a label.
        key: As the index holds it: `identifier_key`.
        certain: Whether it can be nothing else: shaped like an ISBN or an ASIN, or called so. "1984" is also a title.
    """

    text: str
    key: str
    certain: bool

    @classmethod
    def read(cls, text: str) -> Self | None:
        """From a whole query; None for one that is no number.

        With blanks, only an ISBN whose check digit is right is one: "1984 2001 22" is three numbers.
        """
        label = _LABEL.match(text)
        number = (text[label.end() :] if label else text).strip()
        if of_open_library := _OF_OPEN_LIBRARY.fullmatch(number):  # or the address of its page
            text = of_open_library[1].upper()
            return cls(text, identifier_key(text), certain=True)
        if _GROUPED.fullmatch(number):
            undashed = _DASHES.sub("", number).upper()
            compact = "".join(undashed.split())
            if _ISBN.fullmatch(compact) and (compact == undashed or label or is_isbn(compact)):
                return cls(compact, identifier_key(compact), certain=True)
        if not _ONE_NUMBER.fullmatch(number.upper()):
            return None
        return cls(number, identifier_key(number), certain=bool(label or _ASIN.fullmatch(number.upper())))


def isbn_key(text: str) -> str:
    """The key of what a catalogue has for an ISBN: zeros that a table of numbers cut off are put back."""
    compact = _compact(text)
    padded = compact.zfill(10)
    return identifier_key(padded if compact and len(compact) < 10 and is_isbn(padded) else compact)


def identifier_key(text: str) -> str:
    """Letters in lower case and digits; an ISBN-10 as the ISBN-13 of the same book. A wrong check digit stays."""
    compact = _compact(text)
    if len(compact) == 10 and is_isbn(compact):
        twelve = f"978{compact[:9]}"
        return twelve + str(-_weighted(twelve) % 10)
    return compact.lower()


def is_isbn(compact: str) -> bool:
    """Whether 10 or 13 characters without hyphens are an ISBN with its right check digit (ISO 2108)."""
    if not _ISBN.fullmatch(compact):
        return False
    if len(compact) == 13:
        return compact.startswith(("978", "979")) and _weighted(compact) % 10 == 0
    values = [10 if digit == "X" else int(digit) for digit in compact]
    return sum(value * weight for value, weight in zip(values, range(10, 0, -1), strict=True)) % 11 == 0


def _compact(text: str) -> str:
    return "".join(letter for letter in text.upper() if letter.isascii() and letter.isalnum())


def _weighted(digits: str) -> int:
    return sum(int(digit) * (1, 3)[at % 2] for at, digit in enumerate(digits))
