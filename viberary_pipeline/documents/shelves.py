"""The rules by which readers' shelves become words for what a book is like: `shelves.toml`, as the SQL reads it."""

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any


@cache
def shelf_variables() -> dict[str, Any]:
    """What `sql/shelf_*.sql` and the macros of shelves read by getvariable().

    Returns:
        `most_shelves`, `least_readers`, `least_shelf_share`, `rarest_shelf`, `longest_shelf`: as the TOML says. RE2
        patterns: `private_shelves` finds a private name, `shelf_possessives` a possessive that is a word of its own,
        `shelf_fillers` a word at the end that adds nothing.
        `shelf_words` and `shelf_words_spelled`, `shelf_spellings` and `shelf_spellings_shown`: in parallel, a word
        (a name) and its one spelling.
    """
    rules = tomllib.loads(Path(__file__).with_name("shelves.toml").read_text(encoding="utf-8"))
    private = rules["private"]
    spellings = {name: shown for shown, names in rules["spellings"].items() for name in (shown, *names)}
    return {
        "most_shelves": rules["most"],
        "least_readers": rules["least_readers"],
        "least_shelf_share": rules["least_share"],
        "rarest_shelf": rules["rarest"],
        "longest_shelf": rules["longest"],
        "private_shelves": "|".join(
            (f"^{_any_of(private['names'])}$", f"(?:^|-){_any_of(private['words'])}(?:-|$)", *private["patterns"])
        ),
        "shelf_possessives": f"((?:^|-){_any_of(rules['possessives'])})-s(-|$)",
        "shelf_fillers": f"-{_any_of(rules['fillers'])}$",
        "shelf_words": tuple(rules["words"]),
        "shelf_words_spelled": tuple(rules["words"].values()),
        "shelf_spellings": tuple(spellings),
        "shelf_spellings_shown": tuple(spellings.values()),
    }


def _any_of(names: Iterable[str]) -> str:
    return f"(?:{'|'.join(map(re.escape, names))})".replace("\\-", "-")
