"""The rules by which subjects become shelves: `subjects.toml`, as the SQL reads it."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any


@cache
def subject_rules() -> Mapping[str, Any]:
    """What `sql/subject_names.sql` and `sql/shelves.sql` read by getvariable().

    Returns:
        RE2 patterns: `subject_machine` finds what programs wrote, `subject_divider` what stands between the parts of a
        heading, `subject_forms` a whole part that makes a heading of a list between commas, `subject_dropped` a whole
        part that says nothing, `subject_adjectives` a whole part that belongs before the one that it follows.
        `subject_spellings` and `subject_spellings_shown`: in parallel, a part and what it becomes. `longest_subject`,
        `most_subjects`, and how many readers a name counts for: `subject_weight`, `place_weight`, `time_weight`.
    """
    rules = tomllib.loads(Path(__file__).with_name("subjects.toml").read_text(encoding="utf-8"))
    spellings = dict(_spellings(rules["spellings"]))
    return {
        "subject_machine": "|".join(rules["machine"]["patterns"]) + f"|^{_any_of(rules['machine']['names'])}$",
        "subject_divider": "|".join(rules["dividers"]),
        "subject_forms": f"^{_any_of(rules['forms'])}$",
        "subject_dropped": f"^{_any_of([*rules['dropped']['names'], *rules['forms']])}$|"
        + "|".join(rules["dropped"]["patterns"]),
        "subject_adjectives": f"^{_any_of(rules['adjectives'])}$",
        "subject_spellings": tuple(spellings),
        "subject_spellings_shown": tuple(spellings.values()),
        "longest_subject": rules["longest"],
        "most_subjects": rules["most"],
        **{f"{kind}_weight": weight for kind, weight in rules["weights"].items()},
    }


def _spellings(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for shown, names in given.items():
        yield from ((name, shown) for name in (shown, *names))


def _any_of(names: Iterable[str]) -> str:
    return f"(?:{'|'.join(map(re.escape, names))})".replace("\\-", "-").replace("\\ ", " ")
