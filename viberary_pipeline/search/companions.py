"""Recognises by their titles study guides ("SparkNotes") and collections ("Boxed Set").

The titles are data (`companions.toml`), in several languages.
"""

import re
import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import accumulate
from typing import Any, Literal

from viberary_pipeline.name_keys import authors_of, key_of, title_keys, words_of

Kind = Literal["guide", "collection", ""]

_KINDS: tuple[Kind, ...] = ("guide", "collection")
_LEAST_LETTERS = 4  # of a title that another holds: "It" is in many
_SERIES = re.compile(r"\(([^()#]*?),? #[^()]*\)\s*$")


@dataclass(frozen=True)
class Companion:
    """What a title says of its book. `certain`: also where the work itself is not in sight."""

    kind: Kind
    certain: bool = True

    @property
    def is_certain(self) -> bool:
        """Whether the book accompanies works, whatever stands beside it."""
        return bool(self.kind) and self.certain


@dataclass(frozen=True)
class AskedFor:
    """That a query wants a companion, and the other words of the query, as the index folds names."""

    kind: Kind
    words: tuple[str, ...]


@lru_cache(maxsize=50_000)
def companion_of(title: str, author: str) -> Companion:
    """What a work is by its title and author; the kind is "" for a work itself."""
    if any(key_of(name) in _publishers() for name in authors_of(author)):
        return Companion("guide")
    lowered, uncertain = title.lower(), Companion("")
    for kind, has, pattern, certain in _patterns():
        if has in lowered and pattern.search(lowered):
            if certain:
                return Companion(kind)
            uncertain = uncertain if uncertain.kind else Companion(kind, certain=False)
    return uncertain


def accompanies(title: str, author: str, others: Collection[str]) -> Kind:
    """The kind of companion that a work is, among works with these titles; "" for a work itself.

    Args:
        title: The work's.
        author: Its author field.
        others: Titles of works that are in sight.
    """
    companion = companion_of(title, author)
    if companion.certain or any(_is_about(title, other) for other in others if other != title):
        return companion.kind
    return ""


def asked_for(text: str) -> AskedFor | None:
    """The companion that a query asks for, "dune study guide"; None where it asks for none."""
    for kind in _KINDS:
        pattern = _asked(kind)
        if pattern.search(text):
            words = words_of(pattern.sub(" ", text.lower()))
            fillers = _data()["asked_for"]["fillers"]
            return AskedFor(kind, tuple(word for word in words if word not in fillers))
    return None


@lru_cache(maxsize=50_000)
def _is_about(title: str, other: str) -> bool:
    """Whether a title holds that of another work, or names the series that the other says it is of."""
    words, short = words_of(title), min(title_keys(other), key=len, default="")
    held = len(short) >= _LEAST_LETTERS and short != "".join(words) and _holds(words, short)
    series, own = _SERIES.search(other), _SERIES.search(title)
    return held or bool(series and own and key_of(series[1]) == key_of(own[1]))


def _holds(words: Sequence[str], key: str) -> bool:
    """Whether words side by side make the key; a single word only where it is the first or the last."""
    several = any(key in list(accumulate(words[at:]))[1:] for at in range(len(words)))
    return several or key in (words[0], words[-1])


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(files("viberary_pipeline.search").joinpath("companions.toml").read_text(encoding="utf-8"))


@cache
def _patterns() -> list[tuple[Kind, str, re.Pattern[str], bool]]:
    """Kind, what the title must hold, pattern, whether it is certain."""
    return [
        (kind, rule["has"], re.compile(rule["is"]), not rule.get("beside_its_work", False))
        for kind in _KINDS
        for rule in _data()[kind]
    ]


@cache
def _publishers() -> frozenset[str]:
    return frozenset(map(key_of, _data()["publishers"]["guide"]))


@cache
def _asked(kind: Kind) -> re.Pattern[str]:
    return re.compile(_data()["asked_for"][kind], re.IGNORECASE)
