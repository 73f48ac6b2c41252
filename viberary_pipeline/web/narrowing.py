"""The filters of a search as chips that a link removes, and which of them leaves no book."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from viberary_pipeline.redis_contract import UNKNOWN_LANGUAGE
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.language_names import language_name

_MOST_CHOICES = 3  # fit in a line of a phone
_RARE_SHARE = 100  # a language of fewer than one work in so many is in the list of the form alone
_YEARS = re.compile(r"(\d*)(-?)(\d*)")


@dataclass(frozen=True)
class Chip:
    """One thing by which a search is narrowed: what it says, and the fields of the form without it."""

    label: str
    without: Mapping[str, str]


def set_fields(typed: Mapping[str, str], filters: Filters) -> dict[str, str]:
    """The fields of the form that narrow something, languages by their subtags: what an address carries."""
    narrows = {
        "language": filters.languages,
        "min_reviews": filters.min_reviews,
        "years": filters.years != (None, None),
        "genre": filters.genre,
    }
    fields = {**typed, "language": ",".join(filters.languages)}
    return {name: value for name, value in fields.items() if narrows[name]}


def chips(fields: Mapping[str, str], counted: str = "review") -> list[Chip]:
    """The chips of `set_fields`: one for each language, one for each other field.

    `counted` is what the library counts (`Readiness.counted`).
    """
    languages = fields.get("language", "").split(",")
    found = []
    for name, value in fields.items():
        rest = {other: kept for other, kept in fields.items() if other != name}
        if name == "language":
            for language in languages:
                others = ",".join(other for other in languages if other != language)
                found.append(Chip(language_label(language), {**rest, **({"language": others} if others else {})}))
        else:
            label = reviews_label(value, counted) if name == "min_reviews" else LABELS[name](value)
            found.append(Chip(label, rest))
    return found


def language_choices(languages: Mapping[str, int]) -> list[str]:
    """The languages between which a reader may switch, the most frequent first; none where all books have one.

    Args:
        languages: Works by BCP 47 primary subtag, the most frequent first.
    """
    known = {language: works for language, works in languages.items() if language != UNKNOWN_LANGUAGE}
    common = [language for language, works in known.items() if works * _RARE_SHARE >= sum(known.values())]
    return common[:_MOST_CHOICES] if len(common) > 1 else []


def reason_for_nothing(narrowing: list[Chip], finds: Callable[[Mapping[str, str]], bool]) -> Chip | None:
    """The chip without which there are books; where no single one is the reason, all of them as one.

    `finds` says whether a search narrowed by such fields has a result.
    """
    alone = next((chip for chip in narrowing if finds(chip.without)), None)
    if alone or len(narrowing) < 2:
        return alone
    return Chip(", ".join(chip.label for chip in narrowing), {}) if finds({}) else None


def language_label(value: str) -> str:
    """ "English or French" for "en,fr"."""
    return " or ".join(map(language_name, filter(None, value.split(","))))


def years_label(value: str) -> str:
    """ "1990s" for "1990-1999", "before 1900" for "-1899", "from 1990" for "1990-", "1990 to 1994" for "1990-1994"."""
    match = _YEARS.fullmatch(value.strip())
    first, dash, last = match.groups() if match else (value, "", "")
    if first and last:
        return f"{first}s" if first.endswith("0") and int(last) == int(first) + 9 else f"{first} to {last}"
    if dash:
        return f"from {first}" if first else f"before {int(last) + 1}" if last else ""
    return first


def reviews_label(value: str, counted: str = "review") -> str:
    """ "at least 1,000 reviews" for "1000"."""
    return f"at least {int(value):,} {counted}s" if value.isdecimal() else value


LABELS: Mapping[str, Callable[[str], str]] = {
    "language": language_label,
    "min_reviews": reviews_label,
    "years": years_label,
    "genre": str,
}
"""How a value of each field is said."""
