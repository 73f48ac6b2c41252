"""Titles and authors' names as people type them: keys that are equal where the names are, and the folding of copies."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

KEY_SEPARATOR = "|"
"""Between the keys of a title in their TAG field; a key holds letters and digits alone."""

_ARTICLES = {"a", "an", "the"}
_BRACKETED = re.compile(r"\s*[(\[][^()\[\]]*[)\]]")  # a series, "(Earthsea, #1)", or an edition, "(Illustrated)"
_SUBTITLE = re.compile(r"\s*(?::|;|\s[-–—]|, or\b).*$", re.DOTALL)
_ACCENTS = re.compile("[\u0300-\u036f]")  # of Latin, Greek and Cyrillic; marks of other scripts make other letters
_WORD = re.compile(r"[^\W_]+")
LONGEST_KEY = 120


def words_of(text: str) -> list[str]:
    """The words of a text without case and accents: "Les Misérables!" gives les, miserables."""
    text = text.replace("’", "'").replace("'", "")
    if not text.isascii():  # most are, and what follows takes ten times as long
        text = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", text)))
    return _WORD.findall(text.casefold())


def key_of(text: str) -> str:
    """Letters and digits alone: "Sci-Fi" and "sci fi" are the same."""
    return "".join(words_of(text))[:LONGEST_KEY]


def title_variants(title: str) -> list[list[str]]:
    """The words of a title as it may be asked for, whole first: without its series, without its subtitle.

    Each with and without a leading article; none empty, each once.
    """
    whole = _BRACKETED.sub("", title) or title
    variants: list[list[str]] = []
    for text in (title, whole, _SUBTITLE.sub("", whole)):
        words = words_of(text)
        for variant in (words, words[1:] if words and words[0] in _ARTICLES else words):
            if variant and variant not in variants:
                variants.append(variant)
    return variants


def is_whole(words: Sequence[str], title: str) -> bool:
    """Whether words are the whole title: its series and a leading article do not count, its subtitle does."""
    whole = words_of(_BRACKETED.sub("", title) or title)
    return list(words) in (whole, whole[1:] if whole and whole[0] in _ARTICLES else whole, words_of(title))


def title_keys(title: str) -> list[str]:
    """The keys of a title's variants, whole first."""
    return list(dict.fromkeys("".join(variant)[:LONGEST_KEY] for variant in title_variants(title)))


def name_variants(author: str) -> list[list[str]]:
    """The words of a person's name as it may be asked for: whole, with initials joined, without initials.

    A single word is no variant unless it is the whole name: "winter" asks for a season before "J. Winter".
    """
    words = words_of(author)
    initials = [word for word in words if len(word) == 1]
    rest = [word for word in words if len(word) > 1]
    variants = [words] if words else []
    if initials and rest:
        joined = ["".join(initials), *rest] if words[: len(initials)] == initials else words
        variants += [variant for variant in (joined, rest) if len(variant) > 1 and variant not in variants]
    return variants


def author_keys(shown: str) -> list[str]:
    """The keys of the variants of all names in the author field of a document."""
    names = (name for author in authors_of(shown) for name in name_variants(author))
    return list(dict.fromkeys("".join(name)[:LONGEST_KEY] for name in names))


def authors_of(shown: str) -> list[str]:
    """The names in the author field of a document, without their parts in it, "(Translator)"."""
    return [name.strip() for name in _BRACKETED.sub("", shown).split(",") if name.strip()]


def spells(asked: Sequence[str], name: Sequence[str], near: Mapping[str, Iterable[str]]) -> bool:
    """Whether the words asked for are those of the name, each as it is or as one of the words `near` it."""
    return len(asked) == len(name) and all(
        word == other or other in near.get(word, ()) for word, other in zip(asked, name, strict=True)
    )


class Copies:
    """Tells works that look like one to a reader: by one author, with titles that differ in subtitle or brackets.

    Two different subtitles are two works ("Star Wars: ..." by one author).
    """

    def __init__(self) -> None:
        self._whole: set[tuple[str, str]] = set()
        self._short: set[tuple[str, str]] = set()

    def add(self, title: str, author: str) -> bool:
        """Remember a work; whether it is a copy of one that was added before."""
        by = key_of(author.split(",", 1)[0])
        text = _BRACKETED.sub("", title) or title
        whole, short = (by, key_of(text)), (by, key_of(_SUBTITLE.sub("", text)))
        # Whole titles are equal, or one is the other without its subtitle.
        copy = whole in self._whole or whole in self._short or short in self._whole
        self._whole.add(whole)
        self._short.add(short)
        return copy
