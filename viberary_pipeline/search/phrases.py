"""What phrases of a query say, before the catalogue is asked: no Redis, no settings. The phrases are in phrases.toml.

"books by X" and "books like X" only propose names: whether the catalogue holds them, `reading` finds out.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Self

from viberary_pipeline.name_keys import words_of

_TOKEN = re.compile(r"[\w'-]*\w[\w'-]*|[^\w\s]")
_MINUS = re.compile(r"""(?<!\S)-(?:"([^"]+)"|([^\W\d_][\w'-]*))""")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)]*\s+|\n+")
_LONGEST_ITEM = 3  # words of one thing that is not wanted
_MOST_STARTS, _MOST_ENDS = 4, 6  # of names after "like"


@dataclass(frozen=True)
class Excluded:
    """What is not wanted: as it was typed, and the words that leave a work out (any of these phrases)."""

    typed: str
    phrases: tuple[str, ...]


@dataclass(frozen=True)
class Name:
    """What may be a name, and the characters of the text that hold it."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Phrases:
    """A query taken apart.

    Attributes:
        wish: The query without what is not wanted.
        excluded: What is not wanted.
        author: Whose works are asked for; "" for nobody's.
        surname: Whether a part of the author's name is enough.
        like: Names in `wish` that may be what it starts from, longest first; empty where it starts from none.
        like_start: Where the phrase begins that they follow.
    """

    wish: str
    excluded: tuple[Excluded, ...] = ()
    author: str = ""
    surname: bool = False
    like: tuple[Name, ...] = ()
    like_start: int = 0

    @classmethod
    def read(cls, text: str) -> Self:
        """Any text."""
        wish, excluded = _without_negations(text.replace("’", "'"))
        author, surname = _author_of(wish)
        start, names = (0, ()) if author else _names_after_like(wish)
        return cls(wish, excluded, author, surname, names, start)

    def __bool__(self) -> bool:
        """Whether the query says more than its plain words."""
        return bool(self.excluded or self.author or self.like)


def remainder(text: str) -> str:
    """What is left of a wish once its names are cut out; "" where it says nothing."""
    text = text.strip(" ,;:.!?-–—\"'“”")
    fillers = re.compile(f"(?:{'|'.join(_rules()['like']['fillers'])})(?!\\w)[ ,;:.!?-]*", re.IGNORECASE)
    while match := fillers.match(text):
        text = text[match.end() :]
    return re.sub(r"[\s,;]+please\W*$", "", text, flags=re.IGNORECASE).strip(" ,;:.!?-–—")


def joined(text: str) -> int | None:
    """How many characters join two names at the beginning of `text`: " and ", ", "; None where none do."""
    match = re.match(rf"\s*(?:,|&|/|(?:,\s*)?\b(?:{'|'.join(_rules()['like']['joints'])})\b)\s*", text, re.IGNORECASE)
    return match.end() if match else None


def about_the_book(text: str) -> str:
    """A long request without what it says of the reader: "I read this in middle school", "thanks in advance".

    A short text, and one of which nothing else would be left, stays as it is.
    """
    rules = _rules()["reader"]
    if len(text.split()) < rules["least_words"]:
        return text
    sentences, words = _of_readers("sentences"), _of_readers("words")
    others = [words.sub(" ", s) for s in _SENTENCE_END.split(text) if not sentences.search(s)]
    return " ".join(word for sentence in others if len(words_of(sentence)) > 3 for word in sentence.split()) or text


def _without_negations(text: str) -> tuple[str, tuple[Excluded, ...]]:
    """The text without what is not wanted, and that."""
    rules = _rules()["negation"]
    if len(text.split()) > rules["most_words"]:
        return text, ()
    cut = [(*match.span(), [next(filter(None, match.groups()))]) for match in _MINUS.finditer(text)]
    for match in _negators().finditer(text):
        if (not cut or match.start() >= cut[-1][1]) and (found := _not_wanted(text, match)):
            cut.append((match.start(), *found))
    if not cut:
        return text, ()
    left, at = [], 0
    for start, end, _ in sorted(cut):
        left.append(text[at:start])
        at = max(at, end)
    wish = re.sub(r"\s+([,;.])", r"\1", " ".join(" ".join([*left, text[at:]]).split()))
    wish = re.sub(r"^(?:but|and|please|,|;|\.|\s)+\b|(?:\b(?:but|and|with|that|which)|[,;:\s–—-])+$", "", wish)
    items = dict.fromkeys(" ".join(item.split()) for *_, items in sorted(cut) for item in items)
    return wish, tuple(Excluded(item, _phrases_of(item)) for item in items)


def _not_wanted(text: str, match: re.Match[str]) -> tuple[int, list[str]] | None:
    """Where the negation that begins with a negator ends, and what it leaves out; None where it is none."""
    rules = _rules()["negation"]
    before = _TOKEN.findall(text[: match.start()].lower())
    if before and before[-1] in rules["unless_after"]:
        return None
    tokens = list(_TOKEN.finditer(text, match.end()))
    if not tokens or tokens[0][0].lower() in rules["unless_before"] or _negators().match(text, tokens[0].start()):
        return None
    items: list[str] = []
    end = at = 0
    while item := _item(tokens, at):
        first, after, whole = item
        if tokens[first][0].lower() in rules["unless_before"]:
            break
        follows = tokens[after][0].lower() if after < len(tokens) else ""
        # "no vampires and lots of humour": what follows "and" is not wanted only where the clause ends with it.
        if items and tokens[at - 1][0].lower() in rules["joints"] and (follows[:1].isalnum() or not whole):
            break
        if items and tokens[at - 1][0] == "," and not _ends_in_alternative(tokens, at):
            break
        items.append(text[tokens[first].start() : tokens[after - 1].end()])
        end = tokens[after - 1].end()
        if follows not in (",", *rules["alternatives"], *rules["joints"]):
            break
        at = after + 1
    if not items:
        return None
    rest = _TOKEN.search(text, end)
    opens = not any(map(str.isalnum, text[: match.start()]))
    if opens and rest and rest[0][0].isalnum() and rest[0].lower() not in rules["resumes"]:
        return None
    return end, items


def _item(tokens: list[re.Match[str]], at: int) -> tuple[int, int, bool] | None:
    """The first token of one thing that is not wanted, the one after its last, and whether it was taken whole."""
    rules = _rules()["negation"]
    while at < len(tokens) and tokens[at][0].lower() in rules["fillers"]:
        at += 1
    after = at
    stops = {*rules["ends"], *rules["alternatives"], *rules["joints"]}
    while after < len(tokens) and tokens[after][0][0].isalnum() and tokens[after][0].lower() not in stops:
        if _negators().match(f"{tokens[after][0]} "):
            break
        after += 1
    if after == at:
        return None
    whole = after - at <= _LONGEST_ITEM
    return at, after if whole else at + 1, whole


def _ends_in_alternative(tokens: list[re.Match[str]], at: int) -> bool:
    """Whether short items and commas lead to an "or": "sex, violence or swearing"."""
    rules = _rules()["negation"]
    while item := _item(tokens, at):
        _, after, whole = item
        if not whole or after >= len(tokens):
            return False
        if tokens[after][0].lower() in rules["alternatives"]:
            return True
        if tokens[after][0] != ",":
            return False
        at = after + 1
        if at < len(tokens) and tokens[at][0].lower() in rules["alternatives"]:
            return True
    return False


def _phrases_of(item: str) -> tuple[str, ...]:
    kin: dict[str, list[str]] = _rules()["negation"]["kin"]
    return (item, *kin.get(" ".join(words_of(item)), ()))


def _author_of(text: str) -> tuple[str, bool]:
    """The author that the whole text asks for, and whether a surname is enough."""
    asked = text.strip(" ?!.")
    for name, surname in (("patterns", True), ("whole_names", False)):
        for pattern in _author_patterns(name):
            if match := pattern.fullmatch(asked):
                return match["x"].strip(), surname
    return "", False


def _names_after_like(text: str) -> tuple[int, tuple[Name, ...]]:
    """Where "books like" begins, and what may be the names that follow, by where they begin, longest first."""
    anywhere, first = _like_openings()
    match = first.match(text) or anywhere.search(text)
    if match is None:
        return 0, ()
    ends = re.compile(rf"\s*(?:[,;:.!?&()]|\b(?:{'|'.join(_rules()['like']['ends'])})\b)", re.IGNORECASE)
    names: list[Name] = []
    starts = [match.end()]
    for start in starts:
        cuts = {len(text), *(end.start() for end in ends.finditer(text, start))}
        for end in sorted(sorted(cuts)[:_MOST_ENDS], reverse=True):
            name = text[start:end].strip(" \"'“”")
            if name and words_of(name):
                names.append(Name(name, start, end))
            gap = joined(text[end:])
            if gap and end + gap < len(text) and end + gap not in starts and len(starts) < _MOST_STARTS:
                starts.append(end + gap)
    return match.start(), tuple(sorted(names, key=lambda name: (name.start, -name.end)))


@cache
def _rules() -> dict[str, Any]:
    return tomllib.loads(files("viberary_pipeline.search").joinpath("phrases.toml").read_text(encoding="utf-8"))


@cache
def _of_readers(name: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in _rules()["reader"][name]), re.IGNORECASE)


@cache
def _negators() -> re.Pattern[str]:
    longest_first = sorted(_rules()["negation"]["negators"], key=len, reverse=True)
    return re.compile(rf"(?<![\w'-])(?:{'|'.join(longest_first)})\s+(?=\S)", re.IGNORECASE)


@cache
def _author_patterns(name: str) -> list[re.Pattern[str]]:
    return [re.compile(p.replace("X", "(?P<x>.+)"), re.IGNORECASE) for p in _rules()["author"][name]]


@cache
def _like_openings() -> tuple[re.Pattern[str], re.Pattern[str]]:
    rules = _rules()["like"]
    return tuple(  # type: ignore[return-value]
        re.compile(rf"{where}(?:{'|'.join(rules[name])})\s+(?=\S)", re.IGNORECASE)
        for name, where in (("openings", r"(?<![\w'-])"), ("first", r"\s*"))
    )
