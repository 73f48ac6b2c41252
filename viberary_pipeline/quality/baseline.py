"""What the live build was made of: the profiles of its tables, for the next build to be compared with.

Kept under VIBERARY_HOME::

    quality/baseline_given.json    {"format", "build", "source", "profiles": {table: profile}} of the one published last
    quality/baseline_sample.json   the same of the bundled sample, which is compared with itself alone
    quality/profiles/{build}.json  the same of the last few published builds, so that a rollback finds its own

Apart from quality/, because a web machine, which has no DuckDB, can roll back as well.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from viberary_pipeline.artifacts import digest
from viberary_pipeline.errors import QualityError
from viberary_pipeline.storage import write_atomically

Source = Literal["sample", "given"]
Profile = Mapping[str, Any]

FORMAT = 1
"""Raised whenever profiles of before can no longer be compared with those of now."""

KEEP_PROFILES = 10
"""Published builds whose profiles are kept."""


@dataclass(frozen=True)
class Baseline:
    """The profiles of a published build, by table; `source` says whether they are of the bundled sample."""

    build: str
    source: Source
    profiles: Mapping[str, Profile]


@dataclass(frozen=True)
class Before:
    """What a build is compared with: a baseline or, where there is none to compare with, why not."""

    baseline: Baseline | None = None
    why_not: str = ""

    @property
    def digest(self) -> str:
        """Names what the comparison depends on; '' where there is none."""
        return digest(self.baseline.profiles) if self.baseline else ""

    def profile(self, table: str) -> Profile | None:
        """The table's profile in the build before."""
        return self.baseline.profiles.get(table) if self.baseline else None


NOTHING_BEFORE = Before(why_not="no build before this one")


def before(home: Path, source: Source) -> Before:
    """What a build from `source` is compared with: the last one published from the same kind of source.

    Everyone begins with the sample, and the sample is not a small version of the catalogue that comes next; nor does
    a build of the sample make one forget the catalogue that came before.

    Raises:
        QualityError: the file is there and cannot be read. Nothing is compared with nothing by accident.
    """
    path = _baseline_file(home, source)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.get("format") != FORMAT:
            return Before(None, "the build before was measured by another version")
        return Before(Baseline(str(values["build"]), values["source"], dict(values["profiles"])))
    except FileNotFoundError:
        return NOTHING_BEFORE
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise QualityError(
            "What the live build was made of cannot be read, so that this one cannot be compared with it",
            expected=f"{path} as the last publish wrote it",
            found=f"{type(error).__name__}: {error}",
            todo=f"put back its copy from {path.parent / 'profiles'}, or remove it, to build without a comparison",
        ) from error


def remember_published(home: Path, build: str, source: Source, profiles: Mapping[str, Profile]) -> None:
    """Make a build that was just published the baseline of the next one."""
    values = {"format": FORMAT, **asdict(Baseline(build, source, dict(profiles)))}
    text = json.dumps(values, ensure_ascii=False)
    kept = _profile_file(home, build)
    write_atomically(kept, text)
    write_atomically(_baseline_file(home, source), text)
    newest_first = sorted(kept.parent.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in newest_first[KEEP_PROFILES:]:
        path.unlink(missing_ok=True)


def restore_baseline(home: Path, build: str) -> bool:
    """After a rollback to `build`: compare with it again. Whether its profiles were kept; else nothing changes."""
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
