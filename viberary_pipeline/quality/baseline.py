"""The baseline: what the live build was made of, for the next build to be compared with.

Kept under VIBERARY_HOME::

    quality/baseline_given.json    {"format", "build", "source", "profiles": {table: profile}, "tables": {table: key}}
    quality/baseline_sample.json   the same of the bundled sample, which is only compared with itself
    quality/baseline_openlibrary.json   the same of Open Library's dumps
    quality/baseline_both.json          the same of both sources together
    quality/profiles/{build}.json  the same of the last few published builds, so that a rollback finds its own

Imports no DuckDB: a web machine, which has none, can roll back as well.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from viberary_pipeline.artifacts import digest
from viberary_pipeline.errors import QualityError
from viberary_pipeline.storage import keep_newest, write_atomically

Source = Literal["sample", "given", "openlibrary", "both"]
Profile = Mapping[str, Any]

FORMAT = 1
"""Raised whenever older profiles can no longer be compared with new ones."""

KEEP_PROFILES = 10
"""Published builds whose profiles are kept."""


@dataclass(frozen=True)
class Baseline:
    """A published build.

    Args:
        build: Its name.
        source: What it is of: the bundled sample, Open Library's dump, that and UCSD's files, or any other.
        profiles: The profile of each table.
        tables: The artifact key of each table.
    """

    build: str
    source: Source
    profiles: Mapping[str, Profile]
    tables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """What a build is compared with: a baseline or, where there is none, the reason."""

    baseline: Baseline | None = None
    reason: str = ""

    @property
    def digest(self) -> str:
        """Names what the comparison depends on: the profiles or, where there are none, the reason."""
        return digest(self.baseline.profiles) if self.baseline else self.reason

    def profile(self, table: str) -> Profile | None:
        """The table's profile in the baseline."""
        return self.baseline.profiles.get(table) if self.baseline else None

    def holds(self, tables: Mapping[str, str]) -> bool:
        """Whether the baseline was made of these very tables ({table: artifact key}): nothing to compare again."""
        return self.baseline is not None and all(self.baseline.tables.get(table) == tables[table] for table in tables)


NO_EARLIER_BUILD = Comparison(reason="no earlier build")


def load_baseline(home: Path, source: Source) -> Comparison:
    """What a build from `source` is compared with: the last one published from the same kind of source.

    Everyone begins with the sample, which is not a small version of the catalogue that comes next. Building the sample
    later does not replace the catalogue's baseline either.

    Raises:
        QualityError: the file exists and cannot be read. A damaged baseline must not pass as a missing one.
    """
    path = _baseline_file(home, source)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.get("format") != FORMAT:
            return Comparison(reason="the live build was measured by another version")
        return Comparison(
            Baseline(str(values["build"]), values["source"], dict(values["profiles"]), dict(values.get("tables", {})))
        )
    except FileNotFoundError:
        return NO_EARLIER_BUILD
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise QualityError(
            "The baseline cannot be read, so this build cannot be compared with the live one",
            expected=f"{path} as the last publish wrote it",
            found=f"{type(error).__name__}: {error}",
            todo=f"restore it from {path.parent / 'profiles'}, or remove it to build without a comparison",
        ) from error


def save_baseline(home: Path, baseline: Baseline) -> None:
    """Make a build that was just published the baseline of the next one."""
    text = json.dumps({"format": FORMAT, **asdict(baseline)}, ensure_ascii=False)
    kept = _profile_file(home, baseline.build)
    write_atomically(kept, text)
    write_atomically(_baseline_file(home, baseline.source), text)
    keep_newest(kept.parent.glob("*.json"), KEEP_PROFILES, kept)


def restore_baseline(home: Path, build: str) -> bool:
    """After a rollback to `build`, make it the baseline again. False, and nothing changes, if its profiles are gone."""
    try:
        text = _profile_file(home, build).read_text(encoding="utf-8")
        source: Source = json.loads(text)["source"]
    except (OSError, ValueError, KeyError):
        return False
    write_atomically(_baseline_file(home, source), text)
    return True


def _baseline_file(home: Path, source: Source) -> Path:
    return home / "quality" / f"baseline_{source}.json"


def _profile_file(home: Path, build: str) -> Path:
    return home / "quality" / "profiles" / f"{build}.json"
