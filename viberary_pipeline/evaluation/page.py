"""The evaluation's page: one HTML file that needs no network, in the clothes of the data-quality report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from viberary_pipeline.evaluation.systems import THIS
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
        charts = {
            "recall": line_chart([(p["ef_runtime"], p["recall"]) for p in points], "EF_RUNTIME", "recall@10"),
            "latency": line_chart([(p["recall"], p["p50_ms"]) for p in points], "recall@10", "ms, median"),
        }
    page = environment.get_template("evaluation.html").render(
        result=result,
        charts=charts,
        this=THIS,
        words={name: in_words(name, result) for name in result["sets"]},
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


def _verdict(gate: Mapping[str, Any]) -> tuple[str, str]:
    """The class and the words of the page's verdict."""
    compared = f"{gate['figure']} (bound {gate['bound']}). {gate['means']}."
    return {
        "passed": ("passed", f"Fit to be published: {compared}"),
        "failed": ("error", f"Refused: {compared}"),
        "not compared": ("warning", f"Not compared: {gate['means']}."),
    }[gate["outcome"]]


def line_chart(points: Sequence[tuple[float, float]], x_name: str, y_name: str) -> str:
    """Points joined by a line as an SVG element; x at even steps (its values double), y from 0 or near its least."""
    lows, highs = min(y for _, y in points), max(y for _, y in points)
    floor = 0.0 if lows < 0.5 * highs else lows - 0.2 * ((highs - lows) or highs)
    step = (_WIDTH - _LEFT - 20) / max(len(points) - 1, 1)

    def at(number: int, y: float) -> tuple[float, float]:
        share = (y - floor) / ((highs - floor) or 1)
        return round(_LEFT + number * step, 1), round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - 20), 1)

    drawn_at = [at(number, y) for number, (_, y) in enumerate(points)]
    label = 'font-size="11" fill="var(--soft)"'
    drawn = [
        f'<polyline points="{" ".join(f"{x},{y}" for x, y in drawn_at)}" fill="none" stroke="var(--bar)" '
        'stroke-width="2"/>'
    ]
    for (x, y), (x_value, y_value) in zip(drawn_at, points, strict=True):
        drawn.append(f'<circle cx="{x}" cy="{y}" r="3.5" fill="var(--bar)"/>')
        drawn.append(f'<text x="{x}" y="{y - 8}" text-anchor="middle" {label}>{y_value:.4g}</text>')
        drawn.append(f'<text x="{x}" y="{_HEIGHT - 16}" text-anchor="middle" {label}>{x_value:g}</text>')
    drawn.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 2}" text-anchor="middle" {label}>{x_name}</text>')
    drawn.append(f'<text x="2" y="12" {label}>{y_name}</text>')
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}">{"".join(drawn)}</svg>'


def in_words(name: str, result: Mapping[str, Any]) -> list[str]:
    """What the figures of a set say, for a reader who knows no metric."""
    judged = result["sets"][name]
    lines = []
    if ours := judged["systems"].get(THIS):
        first_ten, first_three = (round(ours[metric][0] * judged["queries"]) for metric in ("success@10", "top3"))
        lines.append(
            f"Of {judged['queries']:,} requests, {first_ten:,} had a right book among the first ten, "
            f"{first_three:,} among the first three."
        )
    for other, found in judged["compared"].items():
        mean, low, high = found["ndcg@10"]
        if low > 0 or high < 0:
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
