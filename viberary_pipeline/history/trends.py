"""The page of trends, quality/trends.html: figures over all builds, and each build with what changed and its pages.

One file that needs no network, in the clothes of the data-quality report; its plots take the page's colours.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from viberary_pipeline.errors import ViberaryError
from viberary_pipeline.history.diff import changes
from viberary_pipeline.history.records import FAILED, History, RunRecord
from viberary_pipeline.history.words import QUALITY, change_lines, minute
from viberary_pipeline.index.gate_result import in_words
from viberary_pipeline.redis_contract import BuildRecord
from viberary_pipeline.storage import write_atomically

log = logging.getLogger(__name__)

PAGE = "trends.html"
MOST_RUNS = 60
_OPEN_RUNS = 12
_BADGES = {
    **dict.fromkeys(("published", "unchanged"), "passed"),
    **dict.fromkeys(("refused", "failed"), "error"),
    **dict.fromkeys(("killed", "interrupted", "rolled back"), "warning"),
}
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 360, 150, 56, 12, 16, 22
_LINES = ("var(--bar)", "var(--live)", "var(--mark)", "var(--soft)")
_DASHES = ("", "5 3", "2 3", "8 3 2 3")

Figure = Callable[[RunRecord], float | None]


def write_trends(home: Path, records: Sequence[RunRecord]) -> Path:
    """Write the page of these records (the newest first); returns its path."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    package = Path(__file__).parents[1]
    folders = [
        Path(__file__).with_name("templates"),
        package / "quality/report/templates",
        package / "quality/templates",
    ]
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = list(records[:MOST_RUNS])
    quality = home / "quality"
    page = environment.get_template("trends.html").render(
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        total=len(records),
        plots=[plot for plot in (_plot(shown[::-1], *spec) for spec in _specs(shown)) if plot],
        fills=_fills(shown[::-1]),
        runs=[_run(quality, shown, number) for number in range(len(shown))],
        open_runs=_OPEN_RUNS,
    )
    write_atomically(quality / PAGE, page)
    return quality / PAGE


def record_rollback(home: Path, record: BuildRecord, *, keep: int) -> None:
    """Note that readers are answered by an earlier build again. A home that cannot be written goes without."""
    try:
        history, now = History(home), datetime.now(UTC).isoformat(timespec="seconds")
        run = history.begin(
            verdict="rolled back", build=record.build, job="rollback", started=now, ended=now, source=record.source
        )
        history.finish(run, keep=keep)
        write_trends(home, history.all())
    except (OSError, ViberaryError) as error:
        log.warning("the history does not say that it was rolled back: %s", error)


def _specs(records: Sequence[RunRecord]) -> list[tuple[str, str, str, dict[str, Figure]]]:
    """(heading, what it is, form of its figures, {series: figure}) of each plot."""
    sets = list(dict.fromkeys(name for record in reversed(records) for name in record.quality))[: len(_LINES)]

    def rows(table: str) -> Figure:
        return lambda record: record.rows.get(table)

    def quality(name: str) -> Figure:
        return lambda record: record.quality.get(name, {}).get(QUALITY)

    def gate(name: str) -> Figure:
        return lambda record: record.gate_figure(name)

    def seconds(*stages: str) -> Figure:
        def of(record: RunRecord) -> float | None:
            if record.verdict in FAILED or not record.seconds:  # those of half a build compare with nothing
                return None
            return sum(record.seconds.get(stage, 0.0) for stage in stages) if stages else record.total_seconds

        return of

    return [
        ("Documents", "one per work", "{:,.0f}", {"documents": rows("documents")}),
        *((table.capitalize(), "rows of the table", "{:,.0f}", {table: rows(table)}) for table in ("books", "reviews")),
        ("Left out", "share of the lines read", "{:.2%}", {"left out": lambda record: record.rejected_share}),
        ("Search quality", "nDCG@10 of the judged queries, 0 to 1", "{:.3f}", {name: quality(name) for name in sets}),
        (
            "Recall of the index",
            "share of the true ten nearest that it finds",
            "{:.2%}",
            {"recall": gate("recall_at_10")},
        ),
        ("Latency of the index", "ms that 95 of 100 queries stay below", "{:.2f}", {"p95": gate("latency_p95_ms")}),
        (
            "Seconds of a build",
            "of all stages, and of two of them",
            "{:,.0f}",
            {
                "all": seconds(),
                "embedding": seconds("embeddings"),
                "indexing": seconds("search_index"),
            },
        ),
    ]


def _plot(
    records: Sequence[RunRecord], heading: str, about: str, form: str, figures: Mapping[str, Figure]
) -> dict[str, Any] | None:
    """One plot over the runs, the oldest first; None where no run has a figure."""
    series = {name: [figure(record) for record in records] for name, figure in figures.items()}
    series = {name: values for name, values in series.items() if any(value is not None for value in values)}
    if not series:
        return None
    failed = {record.number: record.verdict for record in records if record.verdict in FAILED}
    latest = {name: next(value for value in reversed(values) if value is not None) for name, values in series.items()}
    return {
        "heading": heading,
        "about": about,
        "svg": line_plot(series, [record.number for record in records], form, failed),
        "latest": [
            (name, form.format(value), _LINES[at], _DASHES[at]) for at, (name, value) in enumerate(latest.items())
        ],
    }


def line_plot(
    series: Mapping[str, Sequence[float | None]],
    numbers: Sequence[int],
    form: str,
    failed: Mapping[int, str] = MappingProxyType({}),
) -> str:
    """Lines over the runs as an SVG element: a gap where a run has no figure, each point's figure on hovering.

    A few figures far beyond all others, such as the seconds of the first build, do not flatten the rest: they are cut
    off at the top, with a triangle and the figure.

    Args:
        series: {name: a figure per run}, at most four, at least one figure in all.
        numbers: Of the runs, below the axis.
        form: Of the figures, as `str.format` takes it.
        failed: {number: verdict} of runs that are marked on the axis.
    """
    values = [value for line in series.values() for value in line if value is not None]
    low, high = min(values), _usual_high(series)
    # From 0 where the figures reach down to it anyway; else near them, or nothing could be seen.
    margin = 0.15 * ((high - low) or abs(high) or 1)
    floor = 0.0 if 0 <= low < 0.5 * high or low == high == 0 else low - margin
    ceiling = high + (margin if low == high else 0.08 * (high - floor))
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(numbers) - 1, 1)

    def x(at: int) -> float:
        return round(_LEFT + at * step, 1) if len(numbers) > 1 else (_LEFT + _WIDTH - _RIGHT) / 2

    def y(value: float) -> float:
        share = min(1.0, (value - floor) / (ceiling - floor))
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP), 1)

    label = 'font-size="11" fill="var(--soft)"'
    drawn = []
    for bound in dict.fromkeys((low, high)):
        drawn.append(f'<path d="M{_LEFT} {y(bound)}H{_WIDTH - _RIGHT}" stroke="var(--line)"/>')
        drawn.append(f'<text x="{_LEFT - 5}" y="{y(bound) + 4}" text-anchor="end" {label}>{_short(bound, form)}</text>')
    every = max(1, -(-len(numbers) // 8))
    drawn += [
        f'<text x="{x(at)}" y="{_HEIGHT - 5}" text-anchor="middle" {label}>#{numbers[at]}</text>'
        for at in range(len(numbers) - 1, -1, -every)
    ]
    drawn += [
        f'<path d="M{x(at)} {_HEIGHT - _BOTTOM}v5" stroke="var(--mark)" stroke-width="3"><title>#{number} '
        f"{_escaped(failed[number])}</title></path>"
        for at, number in enumerate(numbers)
        if number in failed
    ]
    radius = 3 if len(numbers) <= 30 else 2
    for (name, line), colour, dash in zip(series.items(), _LINES, _DASHES, strict=False):
        path, joined = "", False
        for at, value in enumerate(line):
            path += f"{'L' if joined else 'M'}{x(at)} {y(value)}" if value is not None else ""
            joined = value is not None
        drawn.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash or "none"}"/>'
        )
        drawn += [
            (
                f'<circle cx="{x(at)}" cy="{y(value)}" r="{radius}" fill="{colour}">'
                if value <= ceiling
                else f'<path d="M{x(at)} {_TOP - 3}l4 7h-8z" fill="{colour}">'
            )
            + f"<title>#{numbers[at]} {_escaped(name)}: {form.format(value)}</title>"
            + ("</circle>" if value <= ceiling else "</path>")
            for at, value in enumerate(line)
            if value is not None
        ]
    for at, top in enumerate(_tops(series)):
        if top is not None and top > ceiling:
            anchor = "start" if at < len(numbers) / 2 else "end"
            drawn.append(f'<text x="{x(at)}" y="{_TOP - 6}" text-anchor="{anchor}" {label}>{_short(top, form)}</text>')
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}">{"".join(drawn)}</svg>'


def _tops(series: Mapping[str, Sequence[float | None]]) -> list[float | None]:
    """The highest figure of each run."""
    runs = zip(*series.values(), strict=True)
    return [max((value for value in run if value is not None), default=None) for run in runs]


def _usual_high(series: Mapping[str, Sequence[float | None]]) -> float:
    """The highest figure, without those of one run in ten if the highest is more than twice as high as the rest."""
    tops = sorted(top for top in _tops(series) if top is not None)
    usual = tops[-1 - len(tops) // 10]
    return usual if tops[-1] > 2 * usual > 0 else tops[-1]


def _short(value: float, form: str) -> str:
    """A figure beside an axis: 2957280 as 2.957M."""
    if value < 10_000:
        return form.format(value)
    return f"{value / 1e6:.4g}M" if value >= 1e6 else f"{value / 1e3:.4g}k"


def sparkline(values: Sequence[float | None]) -> str:
    """Shares, 0 to 1, as a small line without axes, from 0 (below) to 1."""
    known = [(at, value) for at, value in enumerate(values) if value is not None]
    step = 96 / max(len(values) - 1, 1)
    points = [(round(2 + at * step, 1), round(18 - 16 * value, 1)) for at, value in known]
    x, y = points[-1]
    line = "".join(f"{'L' if number else 'M'}{a} {b}" for number, (a, b) in enumerate(points))
    return (
        f'<svg viewBox="0 0 100 20" width="100" height="20" aria-hidden="true"><path d="{line}" fill="none" '
        f'stroke="var(--bar)" stroke-width="1.5"/><circle cx="{x}" cy="{y}" r="2" fill="var(--bar)"/></svg>'
    )


def _fills(records: Sequence[RunRecord]) -> dict[str, list[dict[str, Any]]]:
    """{table: its columns}, with the latest share and the change since the run before, what fell most first; the runs
    are given the oldest first."""
    tables: dict[str, list[dict[str, Any]]] = {}
    latest = next((record for record in reversed(records) if record.fill), None)
    for table, columns in sorted(latest.fill.items(), key=lambda item: item[0] != "documents") if latest else ():
        rows = []
        for column in columns:
            values = [record.fill.get(table, {}).get(column) for record in records]
            known = [value for value in values if value is not None]
            change = known[-1] - known[-2] if len(known) > 1 else 0.0
            rows.append({"column": column, "svg": sparkline(values), "now": known[-1], "change": change})
        tables[table] = sorted(rows, key=lambda row: (row["change"], row["now"], row["column"]))
    return tables


def _run(quality: Path, records: Sequence[RunRecord], at: int) -> dict[str, Any]:
    """One run as the page shows it; `records` are the newest first."""
    record = records[at]
    before = next((one for one in records[at + 1 :] if one.verdict == "published"), None) if record.rows else None
    pages = {name: page for name, page in record.pages.items() if (quality / page).is_file()}
    named = {"report": "Data quality", "evaluation": "Search quality"}
    first = next((one for one in records if one.build == record.build), None)
    report = record.pages.get("report", "")
    first_on_report = next((one for one in records if one.pages.get("report") == report), None) if report else None
    facts = [
        *(
            (name, f"{record.rows[name]:,}")
            for name in ("documents", "books", "authors", "reviews")
            if name in record.rows
        ),
        *(
            [("embedded", f"{record.embedded:,}"), ("vectors known", f"{record.reused:,}")]
            if record.embedded or record.reused
            else []
        ),
        *(
            (f"nDCG@10 {name}", f"{figures[QUALITY]:.3f}")
            for name, figures in record.quality.items()
            if QUALITY in figures
        ),
        *([("seconds", f"{record.total_seconds:,.1f}")] if record.seconds else []),
        *([("cost", f"{record.cost['estimated_usd']} USD")] if "estimated_usd" in record.cost else []),
    ]
    return {
        "record": record,
        "when": minute(record.started),
        "badge": _BADGES.get(record.verdict, "not-compared"),
        # Where the pages of a build link to: the newest run of it.
        "anchor": record.build if first is record and record.build else f"run-{record.number}",
        "report_anchor": Path(report).stem if first_on_report is record else "",
        "pages": [(named[name], page) for name, page in pages.items() if name in named],
        "facts": facts,
        "checks": record.checks,
        "gates": [(gate["outcome"], in_words(gate)) for gate in record.gates],
        "before": before,
        "changes": list(change_lines(_reached(changes(before, record)))) if before else [],
    }


def _reached(changed: Mapping[str, Mapping[str, list[Any]]]) -> dict[str, dict[str, list[Any]]]:
    """What `changes` found, without what the newer run did not get to."""
    always = ("settings", "versions", "encoder")
    return {
        part: {name: pair for name, pair in of_part.items() if part in always or pair[1] is not None}
        for part, of_part in changed.items()
    }


def _escaped(text: str) -> str:
    from markupsafe import escape

    return str(escape(text))
