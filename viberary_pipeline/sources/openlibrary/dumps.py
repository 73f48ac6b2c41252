"""What the files of Open Library's dumps are called, and which of those present are read: all of one date.

`ol_dump_works_2026-11-01.txt.gz`; `ol_dump_works_latest.txt.gz` is what the site's address of the newest is called.
`ol_dump_2026-11-01.txt.gz` holds the records of all types; it is read where the files of single types are not there.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from viberary_pipeline.errors import RawDataError
from viberary_pipeline.sources.openlibrary.tables import OPENLIBRARY

_NAME = re.compile(
    r"ol_dump(?:_(?P<what>works|editions|authors|redirects|ratings|reading-log))?"
    r"(?:_(?P<date>[0-9]{4}-[0-9]{2}(?:-[0-9]{2})?|latest))?\.txt(?P<packed>\.gz)?"
)
REQUIRED = ("ol_works", "ol_editions", "ol_authors")
ALL = "ol_records"
"""What `table_of` says of a file with the records of all types."""
_FOLDERS = {"ol_works": b"works", "ol_editions": b"books", "ol_authors": b"authors"}
MIXED = "VIBERARY_OPENLIBRARY_MIXED_DATES"


@dataclass(frozen=True)
class Dump:
    """The files to read, {table: name}; and what is to be said of the others."""

    names: Mapping[str, str]
    notes: tuple[str, ...] = ()


def table_of(name: str) -> str | None:
    """The table that a file of that name holds, or `ALL`; None for any other file."""
    match = _NAME.fullmatch(name)
    return "ol_" + (match["what"] or "records").replace("-", "_") if match else None


def other_records(name: str, table: str) -> re.Pattern[bytes] | None:
    """What records of other tables begin with, where a file of that name holds those of all; None where it does not.

    A line without a type and a key is a reject of the works.
    """
    if table_of(name) != ALL:
        return None
    ours = _FOLDERS[table]
    return re.compile(rb"/type/\w+\t/(?!%s/)" % ours if ours == b"works" else rb"(?!/type/\w+\t/%s/)" % ours)


def accepted(table: str) -> str:
    """The names that are looked for, for people."""
    return f"ol_dump_{table.removeprefix('ol_').replace('_', '-')}_DATE.txt.gz (or .txt)"


def choose_dump(present: Iterable[str], *, named: str | None = None, mixed: bool = False) -> Dump:
    """Which of the names `present` are read: those of one date, the newest of which works, editions and authors are
    there. A required table that there is no file of is left to the caller.

    Args:
        present: File names of one folder.
        named: One of them whose date is wanted.
        mixed: Read the newest of each table, whatever its date.

    Raises:
        RawDataError: only files of several dates together are a dump.
    """
    dates: dict[str, dict[str, str]] = {}
    ours = sorted(name for name in present if table_of(name))
    for name in ours:  # 'x.txt' before 'x.txt.gz', which is the one that is read
        if match := _NAME.fullmatch(name):
            dates.setdefault(match["date"] or "", {})[str(table_of(name))] = name
    for tables in dates.values():
        if name_of_all := tables.pop(ALL, None):
            # Of single types all or none, so that each record is read once.
            apart = tables.keys() >= {*REQUIRED}
            tables |= {} if apart else dict.fromkeys(REQUIRED, name_of_all)
            if not apart:
                tables.pop("ol_redirects", None)
    newest_first = sorted(dates, reverse=True)
    newest = {table: name for date in reversed(newest_first) for table, name in dates[date].items()}
    if mixed and not named:
        return Dump(newest, _passed_over(ours, newest.values()))
    wanted = _date(named) if named else next((d for d in newest_first if dates[d].keys() >= {*REQUIRED}), None)
    chosen = dates.get(wanted, {}) if wanted is not None else {}
    elsewhere = sorted(newest.keys() - chosen.keys())
    if elsewhere and not named and (chosen or newest.keys() >= {*REQUIRED}):
        raise RawDataError(
            "The files of Open Library are of different dates",
            expected="all of one date: "
            + ", ".join(accepted(table.name) for table in OPENLIBRARY if table.name in newest),
            found=", ".join(ours),
            todo="download the files that are missing of the newest date, or remove those of other dates; with "
            f"{MIXED}=1 "
            "the newest file of each kind is read, whatever its date",
        )
    return Dump(chosen or newest, _passed_over(ours, (chosen or newest).values()))


def _date(name: str) -> str:
    match = _NAME.fullmatch(name)
    return (match["date"] or "") if match else ""


def _passed_over(ours: Iterable[str], read: Iterable[str]) -> tuple[str, ...]:
    other = sorted({*ours} - {*read})
    return (f"{', '.join(sorted(read))} are read, and not {', '.join(other)}",) if other else ()
