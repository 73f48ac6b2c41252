"""The top of the page: the verdict in one sentence, and the key figures."""

from collections import Counter
from collections.abc import Sequence

from viberary_pipeline.quality.baseline import NO_EARLIER_BUILD
from viberary_pipeline.quality.bounds import TABLES
from viberary_pipeline.quality.report import text
from viberary_pipeline.quality.report.inputs import ReportInputs
from viberary_pipeline.quality.results import Badge, ExpectationResult


def verdict(inputs: ReportInputs) -> tuple[Badge, str]:
    """The verdict as a badge and in one sentence, which also says what was not compared and why."""
    badge, sentence = _judged(inputs)
    reasons = Counter(
        why_not_compared(inputs, table, result)
        for table, entry in inputs.tables.items()
        for result in entry.results
        if result.badge == "not compared"
    )
    if not reasons:
        return badge, sentence
    counted = [f"{reason} ({count})" for reason, count in reasons.most_common()]
    why = next(iter(reasons)) if len(reasons) == 1 else ", ".join(counted)
    total = sum(reasons.values())
    were = "1 expectation was" if total == 1 else f"{total} expectations were"
    return "not compared" if badge == "passed" else badge, f"{sentence} {were} not compared: {why}."


def why_not_compared(inputs: ReportInputs, table: str, result: ExpectationResult) -> str:
    """Why an expectation was not compared. A table that the live build was made of keeps its first validation."""
    if result.observed == NO_EARLIER_BUILD.reason and inputs.baseline(table):
        return "the live build has the very same table"
    return result.observed


def _judged(inputs: ReportInputs) -> tuple[Badge, str]:
    results = [(table, result) for table, entry in inputs.tables.items() for result in entry.results]
    errors = [f"{table}: {why}" for table, why in inputs.failed.items()]
    errors += [result.sentence(table) for table, result in results if result.badge == "error"]
    accepted = [f"{table}.{result.name}" for table, result in results if result.accepted]
    warnings = sum(result.badge == "warning" for _, result in results)
    unchecked = [table for table in TABLES if table not in inputs.tables or not inputs.tables[table].results]
    if errors:
        return "error", f"Refused, no index is built. {'. '.join(errors[:4])}.{_more(len(errors) - 4)}"
    if unchecked:
        return (
            "warning",
            f"Not finished: {_list(unchecked)} {'is' if len(unchecked) == 1 else 'are'} missing or not checked.",
        )
    if accepted:
        return "warning", f"Fit to be indexed, because its drift was accepted beforehand: {_list(accepted)}."
    if warnings:
        many = f"{warnings} warnings are" if warnings > 1 else "one warning is"
        return "warning", f"Fit to be indexed; {many} worth a look."
    if any(result.badge == "not compared" for _, result in results):
        return "passed", "Fit to be indexed: no expectation failed."
    return "passed", "Fit to be indexed: every expectation is met."


def _more(count: int) -> str:
    return f" {count} more failed." if count > 0 else ""


def _list(names: Sequence[str]) -> str:
    shown = [*names[:4], f"{len(names) - 4} more"] if len(names) > 5 else list(names)
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def figures(inputs: ReportInputs) -> list[tuple[str, str, str]]:
    """The key figures as (name, value, note)."""
    shown = []
    for table in ("documents", "books", "authors", "reviews"):
        if entry := inputs.tables.get(table):
            baseline = inputs.baseline(table)
            note = ""
            if baseline and baseline["rows"]:
                change = entry.facts["rows"] / baseline["rows"] - 1
                note = f"{change:+.1%} against the live build" if change else "as many as in the live build"
            what = "documents, one per work" if table == "documents" else table
            shown.append((what, text.short(entry.facts["rows"]), note))
    read = [entry.facts for entry in inputs.read.values()]
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
