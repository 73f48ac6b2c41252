"""What each section of the page shows, worked out of the inputs; `templates/report.html` escapes every value."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from viberary_pipeline.quality.baseline import Profile
from viberary_pipeline.quality.bounds import TABLES
from viberary_pipeline.quality.distributions import DISTRIBUTIONS, TOKENS, Distribution
from viberary_pipeline.quality.drift import distance, fill_rates, reject_share
from viberary_pipeline.quality.profile import shares
from viberary_pipeline.quality.report.inputs import ReportInputs, TableInput
from viberary_pipeline.quality.report.kept_plots import KeptPlots
from viberary_pipeline.quality.report.plots import shown_shares, svg
from viberary_pipeline.quality.report.summary import figures, verdict, why_not_compared
from viberary_pipeline.quality.results import BADGES, badge_of_all
from viberary_pipeline.sources.licences import licences_of

# The sections that show distributions: heading, what to know, and (table, distribution).
_SECTIONS: tuple[tuple[str, str, str, tuple[tuple[str, str], ...]], ...] = (
    (
        "languages",
        "Languages",
        "The language that the file gives counts; where it gives none, it is detected from title and description.",
        (
            ("books", "languages"),
            ("books", "languages_given"),
            ("books", "languages_detected"),
            ("documents", "languages"),
        ),
    ),
    (
        "works",
        "Works and their editions",
        "All editions of a work become one document.",
        (
            ("books", "editions_per_work"),
            ("books", "authors_per_book"),
            ("books", "years"),
            ("books", "pages"),
            ("documents", "genres"),
            ("documents", "shelves_per_work"),
        ),
    ),
    (
        "reviews",
        "Reviews",
        "They say how a book feels; most books have few, a few have most of them.",
        (("reviews", "reviews_per_book"), ("documents", "reviews_per_work"), ("reviews", "years")),
    ),
    (
        "ratings",
        "Ratings",
        "Goodreads counts from 1 to 5 stars; 0 in the files means not rated and counts for nothing here.",
        (("books", "ratings"), ("authors", "ratings"), ("reviews", "ratings")),
    ),
    (
        "lengths",
        "Length of the texts",
        "",
        (("books", "description_length"), ("reviews", "text_length"), ("documents", "text_length")),
    ),
)


def page_values(inputs: ReportInputs, folder: Path) -> dict[str, Any]:
    """The values of the page; `folder` is where it will lie, which its links start from."""
    read = inputs.read
    checks = [_checks(inputs, table, folder) for table in TABLES if table in inputs.tables]
    checks.sort(key=lambda check: BADGES.index(check["badge"]) if check["badge"] else 0)
    documents = inputs.tables.get("documents")
    return {
        "inputs": inputs,
        "verdict": verdict(inputs),
        "figures": figures(inputs),
        "read": read,
        "some_not_read": any(entry.facts.get("not_read") for entry in read.values()),
        "absent": [table for table in TABLES if table not in inputs.tables],
        "rejects": [_rejects(table, entry) for table, entry in read.items() if sum(entry.facts["rejected"].values())],
        "changes": [
            (table, kind, what, count)
            for table, entry in read.items()
            for kind in ("nulled", "repaired")
            for what, count in sorted(entry.facts.get(kind, {}).items(), key=lambda item: -item[1])
            if count
        ],
        "fills": [
            _fill(table, entry.profile, inputs.baseline(table))
            for table in TABLES
            if (entry := inputs.tables.get(table)) and entry.profile and entry.profile["rows"]
        ],
        "sections": [
            (anchor, heading, about, plots)
            for anchor, heading, about, shown in _SECTIONS
            if (plots := [plot for table, name in shown if (plot := _plot(inputs, table, name))])
        ],
        "tokens": _tokens(inputs.tokens, inputs.plots) if inputs.tokens and inputs.tokens["documents"] else None,
        "documents": documents,
        "licences": licences_of(inputs.source, inputs.licence),
        "joined": _joined(inputs.joined) if inputs.joined else (),
        "both": _same(inputs.same) if inputs.same else (),
        "drift": _drift(inputs),
        "checks": checks,
        "docs": os.path.relpath(folder.parent / "docs" / "index.html", folder)
        if any(c["href"] for c in checks)
        else "",
    }


def _rejects(table: str, entry: TableInput) -> dict[str, Any]:
    """The rejects of one table by reason, with examples where they were kept."""
    examples: dict[str, Any] = {}
    if entry.rejects is not None:
        import duckdb

        from viberary_pipeline.duck import sql

        with duckdb.connect(config={"memory_limit": "1GB", "threads": 1}) as connection:
            connection.read_parquet(str(entry.rejects)).create_view("rejects")
            examples = {
                reason: rows for reason, _, rows in connection.execute(sql("quality", "profile_rejects")).fetchall()
            }
    reasons = sorted(entry.facts["rejected"].items(), key=lambda item: (-item[1], item[0]))
    return {
        "table": table,
        "lines": entry.facts["lines"],
        "rejected": sum(count for _, count in reasons),
        "reasons": [(reason, count, examples.get(reason) or []) for reason, count in reasons if count],
    }


def _fill(table: str, profile: Profile, baseline: Profile | None) -> dict[str, Any]:
    new, old = fill_rates(profile), fill_rates(baseline) if baseline else {}
    return {
        "table": table,
        "compared": bool(old),
        "columns": [(column, rate, profile["fill"][column], old.get(column)) for column, rate in new.items()],
    }


def _plot(inputs: ReportInputs, table: str, name: str) -> dict[str, Any] | None:
    """One distribution with its plot and the table under it; None where there is nothing to show."""
    entry = inputs.tables.get(table)
    shape = next(shape for shape in DISTRIBUTIONS[table] if shape.name == name)
    if entry is None or entry.profile is None or name not in entry.profile["distributions"]:
        return None
    baseline = inputs.baseline(table)
    earlier = baseline["distributions"].get(name) if baseline else None
    return _drawn(inputs.plots, shape, table, entry.profile["distributions"][name], earlier)


def _drawn(
    plots: KeptPlots,
    shape: Distribution,
    table: str,
    measured: Mapping[str, Any],
    baseline: Mapping[str, Any] | None,
    limit: int | None = None,
) -> dict[str, Any] | None:
    bins = shown_shares(shape, measured, baseline)
    image = plots(["svg", repr(shape), bins, limit], lambda: svg(shape, measured, baseline, limit=limit))
    if not image:
        return None
    return {
        "title": shape.title,
        "table": table,
        "about": shape.about,
        "svg": image,
        "bins": bins,
        "compared": baseline is not None,
        "quantiles": measured["quantiles"],
    }


# What the kinds of the join's counts are called; a kind without a name stands as it is.
_JOINED = {
    "few_readers": "works left out: too few readers",
    "without_title": "works left out: no title",
    "without_text": "works left out: no description, no first sentence, too few telling subjects",
    "given": "editions of the work that they name",
    "moved": "editions whose work was merged into another",
    "none": "editions that name no work",
    "lost": "editions whose work is deleted, unknown, or merged in a circle",
    "work alone": "works without an edition",
    "machine": "subjects that a program left: dropped",
    "silent": "subjects that say nothing of a book: dropped",
    "heading": "subjects that are headings: split",
    "plain": "subjects kept as they are, or in their one spelling",
}


def _joined(facts: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    """The counts of the join of Open Library's tables: (what, how many, of how many)."""
    works, kept = facts["works"], facts["works"] - sum(facts["works_left_out"].values())
    rows = [("works looked at", works, works), ("works kept", kept, works)]
    for group in ("works_left_out", "edition_links", "subjects"):
        total = works if group == "works_left_out" else sum(facts[group].values())
        rows += [(_JOINED.get(kind, kind), count, total) for kind, count in facts[group].items()]
    rows += [("works kept that have a description", facts["described"], kept)]
    rows += [("redirects that lead in a circle", facts["redirects_in_a_circle"], facts["redirects"])]
    return [*rows, *((f"{table}: deleted records", count, count) for table, count in facts["deleted"].items())]


# What the rules that join two sources' works are called.
_RULES = {
    "goodreads": "joined: an edition names Goodreads' id of the other's",
    "isbn": "joined: two editions have one ISBN",
    "title and author": "joined: one title and one author, and no other work has both",
}


def _same(facts: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    """The counts of the comparison of two sources: (what, how many, of how many)."""
    theirs, joined = facts["works"].get("openlibrary", 0), facts["rows"]
    return [
        ("works of Open Library", theirs, theirs),
        ("works of UCSD", facts["works"].get("ucsd", 0), 0),
        *((_RULES[rule], count, theirs) for rule, count in facts["joined"].items()),
        ("works of Open Library alone", theirs - joined, theirs),
        ("editions that both have", facts["editions"], 0),
        ("not joined: a number in common, and names that disagree", facts["contradicted"], 0),
        ("not joined: one title and author, and several works that have them", facts["open"], 0),
        ("not joined: one of the two works has a better candidate", facts["conflicts"], 0),
    ]


def _tokens(tokens: Mapping[str, Any], plots: KeptPlots) -> dict[str, Any]:
    return {**tokens, "plot": _drawn(plots, TOKENS, "documents", tokens, None, limit=tokens["max_tokens"])}


_LEAST_MOVED = 0.001
"""A share that moved less is shown as unmoved."""


def _drift(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Per table that can be compared: rows and reject share in both builds, and how far each distribution moved.

    `same`: nothing of that is different. The documents come first, since readers search them.
    """
    compared = []
    for table in reversed(TABLES):
        entry, baseline = inputs.tables.get(table), inputs.baseline(table)
        if entry is None or entry.profile is None or baseline is None:
            continue
        current = entry.profile
        moved = [
            (shape.title, distance(new, old))
            for shape in DISTRIBUTIONS[table]
            if (new := shares(current["distributions"][shape.name]))
            and (old := shares(baseline["distributions"].get(shape.name, {"bins": [], "without": 0})))
        ]
        moved = [(title, by) for title, by in moved if by >= _LEAST_MOVED]
        rates, earlier = fill_rates(current), fill_rates(baseline)
        changes = [(column, earlier[column], rate) for column, rate in rates.items() if column in earlier]
        changes = [change for change in changes if abs(change[2] - change[1]) >= _LEAST_MOVED]
        rows, rejects = (baseline["rows"], current["rows"]), (reject_share(baseline), reject_share(current))
        compared.append(
            {
                "table": table,
                "rows": rows,
                "rejects": rejects,
                "moved": sorted(moved, key=lambda item: -item[1]),
                "fill": sorted(changes, key=lambda change: change[2] - change[1])[:5],
                "same": not moved and not changes and rows[0] == rows[1] and rejects[0] == rejects[1],
            }
        )
    return compared


def _checks(inputs: ReportInputs, table: str, folder: Path) -> dict[str, Any]:
    """The results of a table's expectations, with a link that works from the page's folder, served or as a file."""
    entry = inputs.tables[table]
    counts = {badge: sum(result.badge == badge for result in entry.results) for badge in BADGES}
    return {
        "table": table,
        "counts": counts,
        "badge": badge_of_all(counts),
        "failed": sorted(
            (result for result in entry.results if result.outcome == "failed"), key=lambda result: result.severity
        ),
        "uncompared": [
            replace(result, observed=why_not_compared(inputs, table, result))
            for result in entry.results
            if result.outcome == "not compared"
        ],
        "href": os.path.relpath(entry.page, folder) if entry.page and entry.page.is_file() else "",
    }
