"""Titles and authors' names as people type them: keys that are equal where the names are, volumes, copies."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache

KEY_SEPARATOR = "|"
"""Between the keys of a title in their TAG field; a key holds letters and digits alone."""

FIRST_IDEOGRAPH = "\u2e80"
"""From this sign on, words are not parted by blanks, and one letter more or less is another name."""

LONGEST_KEY = 120

_ARTICLES = {"a", "an", "the"}
_BRACKETED = re.compile(r"\s*[(\[]([^()\[\]]*)[)\]]")  # a series, "(Earthsea, #1)", or an edition, "(Illustrated)"
_SUBTITLE = re.compile(r"\s*(?::|;|\s[-–—]|, or\b).*$", re.DOTALL)
_PARTICLE_WORDS = "al bin da de del della den der di dos du el ibn la le mac mc o san st ten ter van von"
SURNAME_PARTICLES = frozenset(_PARTICLE_WORDS.split())
"""Words that begin a surname of several words: "le guin"."""

# Of Latin, Greek, Cyrillic, Hebrew and Arabic; marks of other scripts make other letters.
_ACCENTS = re.compile("[\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0640]")
_MARKS = "“”–—…"
_APOSTROPHES = re.compile("['`´‘’ʹʻʼʾʿ′＇]")
# Letters that Unicode does not take apart, and spellings of one letter in Arabic and Persian. After casefold.
_LETTERS = str.maketrans(
    {
        **dict(zip("øłđðħıŧɨʉɓɗɖƙŋɔɛəƒ", "olddhitiubddknoeef", strict=True)),
        "æ": "ae",
        "œ": "oe",
        "þ": "th",
        "ĳ": "ij",
        **dict(zip("ٱىةیک", "ايهيك", strict=True)),
    }
)
# In scripts of India and South East Asia vowels are marks, which Python does not take for parts of a word.
_WORD = re.compile(r"(?:[^\W_]|[\u0900-\u0963\u0971-\u0dff\u0e31-\u0e4e\u0e80-\u0eff\u0f71-\u0fbc\u102b-\u109d])+")

_VOLUME_WORDS = (
    "volume vol volumen book bk part pt number no nr issue episode novel instalment installment entry band bd teil "
    "buch tome tomo livre libro том книга часть"
)
_VOLUME_WORD = frozenset(_VOLUME_WORDS.split())
_SERIES_WORD = frozenset(["series", "saga", "trilogy", "cycle", "chronicles", "quartet", "books", "novels", "sequence"])
_AROUND_SERIES = _VOLUME_WORD | _ARTICLES | frozenset({"of", "in", "from"})
_CARDINALS = "one two three four five six seven eight nine ten eleven twelve"
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
_ROMANS = "i ii iii iv v vi vii viii ix x xi xii"
_NUMBER_OF = {
    word: str(number)
    for words in (_CARDINALS, _ORDINALS, _ROMANS)
    for number, word in enumerate(words.split(), start=1)
}
_LONG_ROMANS = frozenset(word for word in _ROMANS.split() if len(word) > 1)
_DIGITS = re.compile(r"(\d{1,3})(?:st|nd|rd|th)?", re.ASCII)
_NUMBER = r"(\d+(?:\s*[-–.]\s*\d+)?|" + "|".join(sorted(_NUMBER_OF, key=len, reverse=True)) + r")\b"
_VOLUME = re.compile(
    rf"(?:#|\b(?:{'|'.join(_VOLUME_WORDS.split())})\b\.?)\s*{_NUMBER}|第?\s*(\d+)\s*[巻卷册冊권]", re.IGNORECASE
)
_AFTER_SERIES = " \t,:;.–—-"


# Letters small, all other signs as blanks, apostrophes left out.
_ASCII_WORDS = str.maketrans(
    {chr(code): chr(code).lower() if chr(code).isalnum() else " " for code in range(128)} | {"'": None, "`": None}
)


def words_of(text: str) -> list[str]:
    """The words of a text without case and accents: "Les Misérables!" gives les, miserables."""
    if not text.isascii():
        for mark in _MARKS:  # in nearly all texts there is nothing else outside ASCII
            text = text.replace(mark, " ")
        text = _APOSTROPHES.sub("", text)
    if text.isascii():  # what follows takes ten times as long
        return text.translate(_ASCII_WORDS).split()
    text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold())).translate(_LETTERS).casefold()
    return _WORD.findall(unicodedata.normalize("NFC", text))


def key_of(text: str) -> str:
    """Letters and digits alone: "Sci-Fi" and "sci fi" are the same."""
    return "".join(words_of(text))[:LONGEST_KEY]


def title_keys(title: str) -> list[str]:
    """The keys of a title as it may be asked for, whole first: without its series, without its subtitle.

    Each with and without a leading article, and with "and" for "&"; none empty, each once.
    """
    return list(dict.fromkeys([*whole_title_keys(title), *_keys_of(_SUBTITLE.sub("", shown_title(title)))]))


def whole_title_keys(title: str) -> list[str]:
    """Those of the whole title, to which a series and a leading article do not belong, but a subtitle does."""
    return list(dict.fromkeys([*_keys_of(title), *_keys_of(shown_title(title))]))


def shown_title(title: str) -> str:
    """A title without what stands in brackets, a series or an edition; the whole of it where nothing else is there."""
    return _BRACKETED.sub("", title).strip() or title


def _keys_of(text: str) -> list[str]:
    written = (text, text.replace("&", " and ")) if "&" in text else (text,)
    variants = (
        v for words in map(words_of, written) for v in (words, words[1:] if words and words[0] in _ARTICLES else words)
    )
    return [key for words in variants if (key := "".join(words)[:LONGEST_KEY])]


def author_keys(shown: str) -> list[str]:
    """The keys of all names in the author field of a document: whole, without initials, with initials alone.

    A single word is no key unless it is the whole name: "winter" asks for a season before "J. Winter". Those with
    initials alone are `initials_key`s: of the first one, of the first two, and so on.
    """
    keys: dict[str, None] = {}
    for name in map(words_of, authors_of(shown)):
        rest = [word for word in name if len(word) > 1]
        for variant in (name, rest if len(rest) > 1 else name):
            keys["".join(variant)[:LONGEST_KEY]] = None
        surname = _surname_at(name)
        initials = "".join(word[0] for word in name[:surname])
        for most in range(1, len(initials) + 1):
            keys[initials_key(initials[:most], name[surname:])] = None
    keys.pop("", None)
    return list(keys)


def initials_key(initials: str, surname: Sequence[str]) -> str:
    """The key of a name of which the given names are initials: a "1" keeps it apart from words, as in "a skew"."""
    return f"1{initials}{''.join(surname)}"[:LONGEST_KEY]


def surname_of(name: str) -> str:
    """The key of a person's surname, with its particles: "leguin"."""
    words = words_of(name)
    return "".join(words[_surname_at(words) :])


def author_words(name: str) -> list[str]:
    """The words of a person's name, and those that readers join: jrr, leguin, saintexupery."""
    words = words_of(name)
    joined = ["".join(words_of(part)) for part in name.split() if "-" in part]
    initials = [word for word in words if len(word) == 1]
    if len(initials) > 1:
        joined.append("".join(initials))
    if (surname := _surname_at(words)) < len(words) - 1:
        joined.append("".join(words[surname:]))
    return list(dict.fromkeys([*words, *joined]))


def _surname_at(name: Sequence[str]) -> int:
    """Where the surname begins: "le guin" after the first name, else the last word."""
    return next((at for at, word in enumerate(name[1:-1], start=1) if word in SURNAME_PARTICLES), max(0, len(name) - 1))


def authors_of(shown: str) -> list[str]:
    """The names in the author field of a document, without their parts in it, "(Translator)"."""
    return [name.strip() for name in _BRACKETED.sub("", shown).split(",") if name.strip()]


def volumes_of(title: str) -> list[tuple[str, str]]:
    """[(series, number)] that a title names: "Saga, Vol. 2" is ("Saga", "2"), "(Earthsea, #1)" is ("Earthsea", "1").

    The series is "" where it is that of the title itself: "Saga (Part 2 of 3)".
    """
    parts = [part for group in _BRACKETED.findall(title) for part in group.split(";")]
    found = [(part, match) for part in (_BRACKETED.sub("", title), *parts) if (match := _VOLUME.search(part))]
    return [(part[: m.start()].strip(_AFTER_SERIES), _canonical_number(m[1] or m[2])) for part, m in found]


def volume_keys(titles: Sequence[str], series: Sequence[str] = ()) -> list[str]:
    """The keys of a work as a volume of a series: its number, "v", and the name of the series.

    Args:
        titles: Of its editions.
        series: Names of its series. They join where all titles agree on one number.
    """
    volumes = [(name or _BRACKETED.sub("", title), number) for title in titles for name, number in volumes_of(title)]
    numbers = {number for _, number in volumes}
    if len(numbers) == 1:
        volumes += [(name, number) for number in numbers for name in series]
    return list(dict.fromkeys(key for name, number in volumes if (key := _volume_key(words_of(name), number))))


def asked_volumes(words: Sequence[str]) -> list[str]:
    """The keys of the volumes that a query may ask for: "dune 3", "the second earthsea book", "wheel of time book 4".

    A number in words counts beside a word such as "book", or a series of several words: "first love" is a mood.
    """
    keys: dict[str, None] = {}
    for at, word in enumerate(words):
        digits = _DIGITS.fullmatch(word)
        number = str(int(digits[1])) if digits else _NUMBER_OF.get(word)
        rest = [*words[:at], *words[at + 1 :]]
        if number and (digits or word in _LONG_ROMANS or len(rest) > 1 or not _VOLUME_WORD.isdisjoint(rest)):
            keys[_volume_key(rest, number)] = None
    keys.pop("", None)
    return list(keys)


def _volume_key(series: Sequence[str], number: str) -> str:
    """Without "series", "book" and the like around the name; "" where no name is left."""
    name = list(series)
    for around in (_AROUND_SERIES, _SERIES_WORD | _AROUND_SERIES):
        first = next((at for at, word in enumerate(name) if word not in around), len(name))
        last = next((at for at in range(len(name), first, -1) if name[at - 1] not in around), first)
        name = name[first:last] or name  # a series may be called "Saga"
    return "" if _AROUND_SERIES.issuperset(name) else f"{number}v{''.join(name)}"[:LONGEST_KEY]


def _canonical_number(text: str) -> str:
    """ "3" for "03" and "three", "2to3" for "2-3", "2p5" for "2.5"."""
    if word := _NUMBER_OF.get(text.casefold()):
        return word
    return re.sub(
        r"\d+", lambda m: str(int(m[0])), re.sub(r"\s*[-–]\s*", "to", text).replace(" ", "").replace(".", "p")
    )


class Copies:
    """Tells works that look like one to a reader: one title, one author, whatever edition the brackets name.

    Volumes are no copies of each other ("Saga (Part 1 of 2)"), nor is a title with a subtitle one of the title without
    ("Fables", "Fables: Legends in Exile"). Works without an author have no copies.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], list[Mapping[str, str]]] = {}

    def add(self, title: str, author: str) -> bool:
        """Remember a work; whether it is a copy of one that was added before."""
        by, key, volumes = _identity(title, author)
        if not by or not key:
            return False
        seen = self._seen.setdefault((by, key), [])
        copy = any(_same_volume(volumes, other) for other in seen)
        seen.append(volumes)
        return copy


@lru_cache(maxsize=50_000)
def _identity(title: str, author: str) -> tuple[str, str, Mapping[str, str]]:
    """The keys of the first author and of the title; the numbers of volumes by the series' keys, "" for its own."""
    key = key_of(shown_title(title))
    volumes = {"" if (series := key_of(name)) in ("", key) else series: number for name, number in volumes_of(title)}
    return key_of(author.split(",", 1)[0]), key, volumes


def _same_volume(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return one.get("") == other.get("") and all(one[name] == other[name] for name in one.keys() & other.keys())
