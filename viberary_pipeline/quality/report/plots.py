"""The plots: bars of shares, the live build as strokes behind them, in one style.

In the page they are SVG whose colours are the page's own (CSS variables), so that they follow light and dark; in the
Dagster UI they are PNG on white. Labels come from the data: they are never read as mathematics or markup.
"""

import base64
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from viberary_pipeline.quality.distributions import DISTRIBUTIONS, Bins, Distribution
from viberary_pipeline.quality.profile import OTHER
from viberary_pipeline.quality.report.kept_plots import KeptPlots
from viberary_pipeline.quality.report.text import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_BARS = 15
WITHOUT = "unknown"

_WIDTH = 4.6  # inches: about as wide as a phone's page, so that the text is never scaled down much

_FITTING = 55  # characters that fit side by side below an axis


@dataclass(frozen=True)
class _Colours:
    ink: str
    soft: str
    line: str
    bar: str
    live: str
    mark: str


_PAPER = _Colours("#1f2328", "#59636e", "#d1d9e0", "#3b6ea8", "#d97706", "#a40e26")
# Stand-ins that the SVG carries until each becomes the page's variable of that name.
_PAGE = _Colours("#010101", "#010102", "#010103", "#010104", "#010105", "#010106")


def shown_bins(shape: Distribution, measured: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The bins that plots and tables show: of categories the most frequent, the rest together, then the rows without a
    value; of numbers those from the first that is not empty to the last."""
    bins = [(str(label), int(count)) for label, count in measured["bins"]]
    if shape.bins:
        filled = [i for i, (_, count) in enumerate(bins) if count]
        bins = bins[filled[0] : filled[-1] + 1] if filled else []
    else:
        rest = sum(count for label, count in bins[MOST_BARS:]) + sum(
            c for label, c in bins[:MOST_BARS] if label == OTHER
        )
        bins = [(label, count) for label, count in bins[:MOST_BARS] if label != OTHER]
        bins += [(OTHER, rest)] if rest else []
    return [*bins, (WITHOUT, measured["without"])] if measured["without"] else bins


def shown_shares(
    shape: Distribution, measured: Mapping[str, Any], baseline: Mapping[str, Any] | None
) -> list[tuple[str, int, float, float | None]]:
    """The shown bins as (label, rows, share, share in the live build), shares 0 to 1."""
    bins = shown_bins(shape, measured)
    total = sum(count for _, count in bins) or 1
    if baseline is None:
        return [(label, count, count / total, None) for label, count in bins]
    counts = {str(label): int(count) for label, count in baseline["bins"]}
    rows_before = sum(counts.values()) + baseline["without"]
    named = {label for label, _ in bins} - {OTHER, WITHOUT}
    earlier = {label: counts.get(label, 0) for label in named}
    earlier[WITHOUT] = baseline["without"]
    earlier[OTHER] = rows_before - baseline["without"] - sum(counts.get(label, 0) for label in named)
    return [
        (label, count, count / total, earlier[label] / rows_before if rows_before else None) for label, count in bins
    ]


def svg(
    shape: Distribution,
    measured: Mapping[str, Any],
    baseline: Mapping[str, Any] | None = None,
    *,
    limit: int | None = None,
) -> str:
    """One distribution as an SVG element for the page; '' where there is nothing to draw."""
    buffer = io.StringIO()
    with _style():
        figure = _figure(shape, shown_shares(shape, measured, baseline), _PAGE, limit)
        if figure is None:
            return ""
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r'\s(id|xmlns:xlink)="[^"]*"', "", text)  # nothing refers to them, and ids must be unique in a page
    width, height = (round(inches * 96) for inches in figure.get_size_inches())
    text = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', rf'<svg viewBox="\1" width="{width}" height="{height}">', text, count=1
    )
    for name, stand_in in vars(_PAGE).items():
        text = text.replace(stand_in, f"var(--{name})")
    return text


def png(shape: Distribution, measured: Mapping[str, Any]) -> bytes:
    """One distribution as a PNG on white; b'' where there is nothing to draw."""
    from PIL import Image  # comes with matplotlib

    buffer = io.BytesIO()
    with _style():
        figure = _figure(shape, shown_shares(shape, measured, None), _PAPER, None, title=shape.title)
        if figure is None:
            return b""
        figure.savefig(buffer, format="png", dpi=100, facecolor="white")
    small = io.BytesIO()
    # Dagster keeps them in its database: 32 colours are a quarter of the size and look the same.
    Image.open(buffer).convert("RGB").quantize(32).save(small, format="png", optimize=True)
    return small.getvalue()


def plots_markdown(table: str, profile: Mapping[str, Any], kept: KeptPlots) -> str:
    """The plots of a table as Markdown images with the PNG in them, for the Dagster UI."""

    def image(shape: Distribution) -> str:
        measured = profile["distributions"][shape.name]
        shown = ["png", repr(shape), shown_shares(shape, measured, None)]
        return kept(shown, lambda: base64.b64encode(png(shape, measured)).decode())

    images = ((shape.title, image(shape)) for shape in DISTRIBUTIONS[table])
    return "\n".join(f"![{title}](data:image/png;base64,{data})" for title, data in images if data)


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib

    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    settings: Any = {
        "text.parse_math": False,
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box in a PNG; in the page, the reader's font
        try:
            yield
        finally:
            log.setLevel(level)


def _figure(
    shape: Distribution,
    rows: Sequence[tuple[str, int, float, float | None]],
    colours: _Colours,
    limit: int | None,
    *,
    title: str = "",
) -> "Figure | None":
    from matplotlib.figure import Figure

    if not rows:
        return None
    labels = [visible(label)[:24] for label, *_ in rows]
    now = [100 * share for _, _, share, _ in rows]
    live = [None if share is None else 100 * share for *_, share in rows]
    flat = not shape.bins
    height = 0.7 + 0.2 * len(rows) if flat else 2.5
    figure = Figure(figsize=(_WIDTH, height + (0.25 if title else 0)), layout="constrained")
    axes = figure.add_subplot()
    places = list(range(len(rows)))
    strokes = [(place, share) for place, share in zip(places, live, strict=True) if share is not None]
    stroke: dict[str, Any] = {"color": colours.live, "linewidth": 1.8, "solid_capstyle": "butt", "clip_on": False}
    if flat:
        axes.barh(places, now, height=0.62, color=colours.bar, clip_on=False)
        for place, share in strokes:
            axes.plot([share, share], [place - 0.42, place + 0.42], **stroke)
        axes.set_yticks(places, labels)
        axes.invert_yaxis()
        room = max([*now, *(s for _, s in strokes)], default=1) or 1
        axes.set_xlim(0, room * 1.16)
        for place, share in zip(places, now, strict=True):
            edge = max(share, live[place] or 0)
            axes.text(edge + room * 0.015, place, _percent(share), va="center", color=colours.soft, fontsize=8)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
    else:
        axes.bar(places, now, width=0.72, color=colours.bar, clip_on=False)
        for place, share in strokes:
            axes.plot([place - 0.45, place + 0.45], [share, share], **stroke)
        crowded = max(len(label) for label in labels) * len(labels) > _FITTING
        axes.set_xticks(places, labels, rotation=60 if crowded else 0, ha="right" if crowded else "center")
        if crowded:
            axes.tick_params(axis="x", pad=1)
            for tick in axes.get_xticklabels():
                tick.set_rotation_mode("anchor")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}%")
        axes.yaxis.set_major_locator(_few_ticks())
        axes.grid(axis="y", color=colours.line, linewidth=0.8, clip_on=False)
        axes.set_ylim(0, max([*now, *(s for _, s in strokes)], default=1) * 1.04 or 1)
        axes.spines["left"].set_visible(False)
    if limit is not None and shape.bins:
        _draw_limit(axes, shape.bins, labels, limit, colours)
    if title:
        axes.set_title(title, loc="left", fontsize=10, color=colours.ink)
    axes.spines[["left", "bottom"]].set_color(colours.line)
    axes.tick_params(length=0, labelcolor=colours.ink, bottom=False, left=False)
    return figure


def _draw_limit(axes: Any, bins: Bins, labels: Sequence[str], limit: int, colours: _Colours) -> None:
    """Where the encoder cuts: within its bin as far along as the limit lies."""
    place = next((i for i in reversed(range(len(bins.edges))) if bins.edges[i] <= limit), 0)
    if bins.labels[place] not in labels:
        return
    following = bins.edges[place + 1] if place + 1 < len(bins.edges) else None
    along = (limit + 1 - bins.edges[place]) / (following - bins.edges[place]) if following else 0.5
    x = labels.index(bins.labels[place]) - 0.5 + along
    axes.plot([x, x], axes.get_ylim(), color=colours.mark, linewidth=1.4, clip_on=False)
    axes.annotate(
        f"cut at {limit}",
        (x, axes.get_ylim()[1]),
        (0, 2),  # above the axes: within, a bar may stand behind it
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=8,
        color=colours.mark,
    )


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=5)


def _percent(share: float) -> str:
    return f"{share:.0f}%" if share >= 10 else f"{share:.1f}%" if share >= 0.05 else "<0.1%" if share else "0%"
