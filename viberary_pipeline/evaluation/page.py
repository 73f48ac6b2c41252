"""The evaluation's page: one HTML file that needs no network, in the style of the data-quality report."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from viberary_pipeline.evaluation.systems import THIS
from viberary_pipeline.index.gate_result import in_words as gate_in_words
from viberary_pipeline.storage import keep_newest, write_atomically

LATEST = "latest.html"
_KEEP = 10
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 460, 220, 46, 34


def write_report(home: Path, result: Mapping[str, Any], data: Path | None = None) -> Path:
    """Write `quality/evaluation/{build}.html`, make it the latest, keep the last ten; returns its path. `data` is the
    page on the data that the build is made of."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    quality = Path(__file__).parents[1] / "quality"
    environment = Environment(
        loader=FileSystemLoader(
            [Path(__file__).with_name("templates"), quality / "report" / "templates", quality / "templates"]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    points = result["ef_runtime"]
    charts = {}
    if points:
        floor = math.floor(10 * min(p["recall"] for p in points) - 1e-9) / 10
        charts = {
            "recall": line_chart([(p["ef_runtime"], p["recall"]) for p in points], "recall@10", max(floor, 0.0)),
            "latency": line_chart([(p["ef_runtime"], p["p50_ms"]) for p in points], "ms, median"),
        }
    page = environment.get_template("evaluation.html").render(
        result=result,
        charts=charts,
        this=THIS,
        words={name: in_words(name, result) for name in result["sets"]},
        about={name: _ABOUT.get(name, _ABOUT_FILES) for name in result["sets"]},
        left_out=left_out(result),
        worst=_worst(result["queries"]),
        verdict=_verdict(result["gate"]),
        data=f"../{data.parent.name}/{data.name}" if data else "",
    )
    out = home / "quality" / "evaluation" / f"{result['build']}.html"
    write_atomically(out, page)
    write_atomically(out.with_name(LATEST), page)
    keep_newest((path for path in out.parent.glob("*.html") if path.name != LATEST), _KEEP, out)
    return out


_ABOUT = {
    "golden": "Asked: vibes, as a reader might type them. Wanted: books of the bundled sample, graded by hand.",
    "known items": "Asked: a book that is there, by its title, its title with a typo, its author, both, or a sentence "
    "of its description. Wanted: that book.",
    "similar books": "Asked: books like one book. Wanted: those that the source calls similar to it. These labels are "
    "noisy: they compare two builds, and are no mark.",
    "shelves": "Asked: the name of a shelf. Wanted: the books on it. These labels are noisy: they compare two builds, "
    "and are no mark.",
}
_ABOUT_FILES = "Asked: the requests of a list of yours. Wanted: the works that its judgements name."


def _verdict(gate: Mapping[str, Any]) -> tuple[str, str]:
    """The class and the words of the page's verdict."""
    said = gate_in_words(gate).split(": ", 1)[1]
    return {
        "passed": ("passed", f"Fit to be published: {said}."),
        "failed": ("error", f"Refused: {said}."),
        "not compared": ("not-compared", f"Not compared: {said}. The figures below are this build's alone."),
    }[gate["outcome"]]


def line_chart(points: Sequence[tuple[float, float]], y_name: str, floor: float = 0.0) -> str:
    """Points (EF_RUNTIME, figure) joined by a line, as an SVG element.

    Both axes are true: x is logarithmic, y goes from `floor` in even steps.
    """
    xs, ys = zip(*points, strict=True)
    ticks = _ticks(floor, max(ys))
    top, first, last = ticks[-1], math.log(min(xs)), math.log(max(xs))

    def x_at(value: float) -> float:
        share = (math.log(value) - first) / ((last - first) or 1)
        return round(_LEFT + share * (_WIDTH - _LEFT - 20), 1)

    def y_at(value: float) -> float:
        return round(_HEIGHT - _BOTTOM - (value - floor) / (top - floor) * (_HEIGHT - _BOTTOM - 24), 1)

    label = 'font-size="11" fill="var(--soft)"'
    drawn = []
    for tick in ticks:
        y = y_at(tick)
        drawn.append(f'<path d="M{_LEFT} {y}H{_WIDTH - 20}" stroke="var(--line)"/>')
        drawn.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end" {label}>{tick:g}</text>')
    line = " ".join(f"{x_at(x)},{y_at(y)}" for x, y in points)
    drawn.append(f'<polyline points="{line}" fill="none" stroke="var(--bar)" stroke-width="2"/>')
    for x, y in points:
        drawn.append(f'<circle cx="{x_at(x)}" cy="{y_at(y)}" r="3.5" fill="var(--bar)"/>')
        drawn.append(f'<text x="{x_at(x)}" y="{_HEIGHT - 16}" text-anchor="middle" {label}>{x:g}</text>')
    drawn.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 2}" text-anchor="middle" {label}>EF_RUNTIME</text>')
    drawn.append(f'<text x="2" y="10" {label}>{y_name}</text>')
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}">{"".join(drawn)}</svg>'


def _ticks(low: float, high: float) -> list[float]:
    """Two to six round values in even steps from `low` to `high` or just beyond."""
    span = (high - low) or 1.0
    unit = 10 ** math.floor(math.log10(span / 4))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor * 5 >= span)
    count = math.ceil(round(span / step, 6))
    return [round(low + step * number, 10) for number in range(count + 1)]


# With five requests, all of them go one way by chance once in 16 times: more often than the 5 % of the intervals.
_LEAST_QUERIES = 6


def in_words(name: str, result: Mapping[str, Any]) -> list[str]:
    """What the figures of a set say, for a reader who knows no metric."""
    judged = result["sets"][name]
    lines = []
    if ours := judged["systems"].get(THIS):
        asked = "request" if judged["queries"] == 1 else "requests"
        first_ten, first_three = (round(ours[metric][0] * judged["queries"]) for metric in ("success@10", "top3"))
        lines.append(
            f"Of {judged['queries']:,} {asked}, {first_ten:,} had a right book among the first ten, "
            f"{first_three:,} among the first three."
        )
    for other, found in judged["compared"].items():
        mean, low, high = found["ndcg@10"]
        if found["queries"] < _LEAST_QUERIES:
            verdict = f"Too few requests to compare with {other}"
        elif low > 0 or high < 0:
            verdict = f"{'Better' if low > 0 else 'Worse'} than {other}, by more than chance explains"
        else:
            verdict = f"No difference to {other} that these requests can show"
        lines.append(
            f"{verdict}: nDCG@10 {mean:+.3f} ({low:+.3f} to {high:+.3f}), "
            f"better for {found['better']:,} of {found['queries']:,}, worse for {found['worse']:,}."
        )
    return lines


def left_out(result: Mapping[str, Any]) -> list[str]:
    """What was not measured, and why: queries of files without an answer here, and systems that are missing."""
    lines = [
        f"{name}: {of['left_out']:,} of {of['queries']:,} requests left out, without a right answer in this catalogue; "
        f"it lacks {of['missing']:,} of the {of['works']:,} works judged."
        for name, of in result["files"].items()
        if of["missing"] or of["left_out"]
    ]
    return lines + [f"{system}: not measured ({why})." for system, why in result["not_measured"].items()]


def table_lines(result: Mapping[str, Any]) -> list[str]:
    """The figures of each set and system as lines for a terminal."""
    lines = []
    for name, judged in result["sets"].items():
        lines.append(f"{name} ({judged['queries']} queries)")
        lines.append(f"  {'':<24} {'nDCG@10':>22} {'MRR@10':>8} {'R@100':>8} {'top 3':>7} {'top 10':>7}")
        for system, figures in judged["systems"].items():
            mean, low, high = figures["ndcg@10"]
            rest = [figures[metric][0] for metric in ("mrr@10", "recall@100", "top3", "success@10")]
            lines.append(
                f"  {system:<24} {mean:>6.3f} ({low:.3f} to {high:.3f}) {rest[0]:>8.3f} {rest[1]:>8.3f} "
                f"{rest[2]:>7.1%} {rest[3]:>7.1%}"
            )
        if len(judged["kinds"]) > 1:
            for kind, of_kind in judged["kinds"].items():
                figures = of_kind["systems"][THIS]
                lines.append(
                    f"    {kind:<24} nDCG@10 {figures['ndcg@10']:.3f}, top 3 {figures['top3']:.1%} "
                    f"({of_kind['queries']})"
                )
        lines += [f"  {line}" for line in in_words(name, result)]
    return lines + left_out(result)


def _worst(queries: Sequence[Mapping[str, Any]], most: int = 25) -> list[Mapping[str, Any]]:
    """The queries that this build answers worst: where to look first."""
    return sorted(queries, key=lambda query: query["systems"].get(THIS, {}).get("ndcg@10", 1.0))[:most]
