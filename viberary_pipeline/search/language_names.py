"""Languages as people spell them: "English", "eng", "en-US", "français" and "Deutsch" to the subtags of the index.

The names are data (`languages.toml`), because a machine that only searches has neither langcodes nor duckdb.
"""

import re
import tomllib
from functools import cache
from importlib.resources import files

from viberary_pipeline.name_keys import key_of, words_of
from viberary_pipeline.redis_contract import UNKNOWN_LANGUAGE

_TAG = re.compile(r"([a-z]{2,3})(?:[-_.@][a-z0-9_.@-]*)?")
_BRACKETED = re.compile(r"\s*\([^()]*\)")


def language_subtag(typed: str) -> str | None:
    """The primary subtag of BCP 47 that a code or a name stands for; None where it is the name of no language.

    Case, accents, a region ("en-US", "British English", "Chinese (Taiwan)") and blanks do not matter. "und" and
    "unknown" are `UNKNOWN_LANGUAGE`.
    """
    text, known = typed.strip().lower(), _subtags()
    tag = _TAG.fullmatch(text)
    words = words_of(_BRACKETED.sub("", text))
    if tag and tag[1] in known:
        return known[tag[1]]
    return known.get(key_of(text)) or known.get("".join(words)) or (known.get(words[-1]) if len(words) > 1 else None)


@cache
def _subtags() -> dict[str, str]:
    data = tomllib.loads(files("viberary_pipeline.search").joinpath("languages.toml").read_text(encoding="utf-8"))
    subtags = {code: code for code in data["others"]["codes"].split()}
    for subtag, spellings in data["names"].items():
        subtags |= dict.fromkeys((subtag, *spellings.split()), subtag)
    return subtags | dict.fromkeys((UNKNOWN_LANGUAGE, "unknown"), UNKNOWN_LANGUAGE)
