"""Model cards: what an encoder of a home was trained on, how, and what it is good for."""

from collections.abc import Mapping
from typing import Any

_LIMITS = """\
It was trained and judged on the works of one catalogue, and on requests in the languages of its training data. On
other catalogues it may be no better than its base: tune it there, or compare the two with `viberary evaluate`."""


def model_card(outcome: Mapping[str, Any], *, licence: str) -> str:
    """The card of an encoder, as Markdown, of what `viberary tune --json` or `viberary distil --json` prints."""
    before = "teacher" if outcome["teacher"] and outcome["space"] else "base"
    lines = [
        f"# {outcome['name']}",
        "",
        f"{outcome['base']} with a low-rank adapter"
        + (f", for queries in the space of {outcome['space']}" if outcome["space"] else "")
        + f". **{outcome['verdict']}**: {outcome['reason']}.",
        "",
        "## Data",
        "",
        f"{outcome['documents']:,} works of a catalogue, of which {outcome['kept_out']:,} were kept out of training.",
        "",
        "| trained on | pairs |",
        "|---|---|",
        *(f"| {kind} | {count:,} |" for kind, count in outcome["pairs"].items()),
        "",
        f"Licence: that of the base ({licence or 'not stated'}); those of the catalogue and of the requests hold for "
        "what is learned from them.",
        "",
        "## Recipe",
        "",
        *(f"- {name}: {value}" for name, value in _flat(outcome["recipe"])),
        *([f"- teacher: {outcome['teacher']}"] if outcome["teacher"] else []),
        "",
        "## Figures",
        "",
        f"Exact cosine over {outcome['documents']:,} works; means with 95 % intervals.",
        "",
        f"| set | queries | figure | {before} | {outcome['name']} | difference |",
        "|---|---|---|---|---|---|",
    ]
    for name, judged in outcome["sets"].items():
        for figure, found in judged.items():
            if figure != "queries":
                cells = " | ".join(_interval(found[part]) for part in ("before", "after", "difference"))
                lines.append(f"| {name} | {judged['queries']:,} | {figure} | {cells} |")
    return "\n".join([*lines, "", "## Limits", "", _LIMITS]) + "\n"


def _interval(values: list[float]) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(*values)


def _flat(recipe: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        pair
        for name, value in recipe.items()
        for pair in (_flat(value) if isinstance(value, Mapping) else [(name, value)])
    ]
