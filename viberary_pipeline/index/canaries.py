"""Canary queries: words whose right answer is known, asked of each new index before readers may.

A TOML file (VIBERARY_GATE_CANARIES)::

    [[canary]]
    query = "hitchhiking through space with a depressed robot"
    title = "The Hitchhiker's Guide to the Galaxy"
    within = 10        # the title must be among so many results; 10 where left out
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from viberary_pipeline.errors import SettingsError

_FIELDS = {"query": str, "title": str, "within": int}


@dataclass(frozen=True)
class Canary:
    """A query, and the title that must be among its first `within` results (upper and lower case aside)."""

    query: str
    title: str
    within: int = 10


def load_canaries(path: Path) -> tuple[Canary, ...]:
    """The canaries of a file. Raises `SettingsError` if it cannot be read, or an entry has another form."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("canary", [])
        for entry in entries:
            wrong = [name for name, value in entry.items() if not isinstance(value, _FIELDS.get(name, ()))]
            if wrong or not {"query", "title"} <= set(entry) or not 1 <= entry.get("within", 10) <= 100:
                raise ValueError(f"the entry {entry}")
        return tuple(Canary(**entry) for entry in entries)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise SettingsError(
            "The canary queries cannot be used",
            expected=f"a TOML file at {path} with [[canary]] entries: query, title, and optionally within (1 to 100)",
            found=f"{type(error).__name__}: {error}",
            todo="correct VIBERARY_GATE_CANARIES or the file",
        ) from error
