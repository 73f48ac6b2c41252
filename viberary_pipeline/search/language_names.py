"""Languages as people spell them: "English", "eng", "en-US", "français" and "Deutsch" to the subtags of the index.

The names are data (`languages.toml`), because a machine that only searches has neither langcodes nor duckdb.
"""

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from viberary_pipeline.name_keys import key_of, words_of
from viberary_pipeline.redis_contract import UNKNOWN_LANGUAGE

_CODE = re.compile("[a-z]{2,3}")
_TAG = re.compile(r"([a-z]{2,3})(?:[-_.@][a-z0-9_.@-]*)?")
_NAMES = {
    UNKNOWN_LANGUAGE: "Unknown",
    "io": "Ido",
    "lo": "Lao",
    "tw": "Twi",
    "ht": "Haitian Creole",
    "cu": "Church Slavic",
    "nb": "Norwegian Bokmål",
    "nn": "Norwegian Nynorsk",
    "lu": "Luba-Katanga",
    "nqo": "N’Ko",
    "vai": "Vai",
}
_PREFIXES = "old middle ancient classical western eastern northern southern central upper lower scottish swiss high low"
_JOINED = re.compile(rf"({'|'.join(_PREFIXES.split())})(?=\w{{4}})")
_BRACKETED = re.compile(r"\s*\([^()]*\)")


def language_subtag(typed: str) -> str | None:
    """The primary subtag of BCP 47 that a code or a name stands for; None where it is the name of no language.

    Case, accents, a region ("en-US", "British English", "Chinese (Taiwan)") and blanks do not matter. "und" and
    "unknown" are `UNKNOWN_LANGUAGE`.
    """
    text, (codes, names) = typed.strip().lower(), _subtags()
    if (tag := _TAG.fullmatch(text)) and tag[1] in codes:
        return codes[tag[1]]
    words = words_of(_BRACKETED.sub("", text))
    return names.get(key_of(text)) or names.get("".join(words)) or (names.get(words[-1]) if len(words) > 1 else None)


def language_name(subtag: str) -> str:
    """What English calls a language; the subtag itself where only its code is known."""
    joined = _names().get(subtag)
    return _NAMES.get(subtag) or (_JOINED.sub(r"\1 ", joined).title() if joined else subtag)


@cache
def _names() -> dict[str, str]:
    """{subtag: its first name that is no code, in English}, for those that have one in Latin letters."""
    found = {}
    for subtag, spellings in _data()["names"].items():
        name = next((name for name in spellings.split() if not _CODE.fullmatch(name)), "")
        if name.isascii() and name:
            found[subtag] = name
    return found


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(files("viberary_pipeline.search").joinpath("languages.toml").read_text(encoding="utf-8"))


@cache
def _subtags() -> tuple[dict[str, str], dict[str, str]]:
    """{code: subtag} and {key of a name: subtag}."""
    data = _data()
    codes = {code: code for code in (UNKNOWN_LANGUAGE, *data["others"]["codes"].split())}
    names = {"unknown": UNKNOWN_LANGUAGE}
    for subtag, spellings in data["names"].items():
        for spelling in (subtag, *spellings.split()):
            (codes if _CODE.fullmatch(spelling) else names)[spelling] = subtag
    return codes, names
