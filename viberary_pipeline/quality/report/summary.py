"""The top of the page: the verdict in one sentence, and the key figures."""

from collections.abc import Sequence

from viberary_pipeline.quality.bounds import TABLES
from viberary_pipeline.quality.report import text
from viberary_pipeline.quality.report.inputs import READ_TABLES, ReportInputs


def verdict(inputs: ReportInputs) -> tuple[str, str]:
    """The outcome (as Data Docs name it), and the verdict in one sentence."""
    missed = [
        (table, result) for table, entry in inputs.tables.items() for result in entry.results if not result["success"]
    ]
    errors = [f"{table}.{result['name']}" for table, result in missed if result["severity"] == "ERROR"]
    accepted = [f"{table}.{result['name']}" for table, result in missed if result.get("accepted")]
    unchecked = [table for table in TABLES if table not in inputs.tables or not inputs.tables[table].results]
    if errors:
        return "error", f"Refused: {_list(errors)} {'is' if len(errors) == 1 else 'are'} missed, and no index is built."
    if unchecked:
        return (
            "warning",
            f"Not finished: {_list(unchecked)} {'is' if len(unchecked) == 1 else 'are'} not there or not checked.",
        )
    if accepted:
        return "warning", f"Fit to be indexed, because its drift was accepted beforehand: {_list(accepted)}."
    if missed:
        many = f"{len(missed)} warnings are" if len(missed) > 1 else "one warning is"
        return "warning", f"Fit to be indexed; {many} worth a look."
    return "passed", "Fit to be indexed: every expectation is met."


def _list(names: Sequence[str]) -> str:
    shown = [*names[:4], f"{len(names) - 4} more"] if len(names) > 5 else list(names)
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def figures(inputs: ReportInputs) -> list[tuple[str, str, str]]:
    """The key figures: what, how many, and what to say below."""
    shown = []
    for table in ("documents", "books", "authors", "reviews"):
        if entry := inputs.tables.get(table):
            last = inputs.before(table)
            note = ""
            if last and last["rows"]:
                change = entry.facts["rows"] / last["rows"] - 1
                note = f"{change:+.1%} against last time" if change else "as many as last time"
            what = "documents, one per work" if table == "documents" else table
            shown.append((what, text.short(entry.facts["rows"]), note))
    read = [entry.facts for table, entry in inputs.tables.items() if table in READ_TABLES]
    lines, rejected = (sum(n) for n in ([f["lines"] for f in read], [sum(f["rejected"].values()) for f in read]))
    if lines:
        shown.append(
            ("lines left out", text.short(rejected), f"{text.percent(rejected / lines)} of {text.short(lines)}")
        )
    if (documents := inputs.tables.get("documents")) and documents.facts["rows"]:
        thin = documents.facts.get("thin", 0)
        share = text.percent(thin / documents.facts["rows"])
        shown.append(("thin documents", text.short(thin), f"{share}: little but a title and an author"))
    return shown
