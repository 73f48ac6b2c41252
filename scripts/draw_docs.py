"""Draws docs/images/flow.svg and docs/images/packages.svg from the code: `make reference`.

The flow is the graph of the Dagster assets; the packages are those of the import contract in pyproject.toml, with
arrows where one really imports from another. A test compares both files with what this script draws.
"""

import ast
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
PACKAGE = "viberary_pipeline"

_FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"
_TITLE, _LINE, _PAD, _GAP = 17, 16, 10, 46


@dataclass(frozen=True)
class Box:
    """A box of a picture: its title, the lines below it, its colours."""

    title: str
    lines: Sequence[str] = ()
    fill: str = "#eef2f7"
    edge: str = "#8295ad"

    @property
    def width(self) -> float:
        return max(len(self.title) * 8.4, *(len(line) * 6.7 for line in self.lines), 90) + 2 * _PAD

    @property
    def height(self) -> float:
        return _TITLE + len(self.lines) * _LINE + 2 * _PAD


_DATA, _VECTORS, _INDEX, _REPORT = (
    {"fill": fill, "edge": edge}
    for fill, edge in (("#e6f0fb", "#5b8dc7"), ("#efe9fa", "#8a6fc2"), ("#e4f4ea", "#4f9d70"), ("#fdf1dd", "#c9963f"))
)
# The assets of one kind share a box; what a box shows of the others is one line on what they leave behind.
FLOW = {
    "raw files": Box("raw files", ["one asset per input file:", "found and fingerprinted"], **_DATA),
    "tables": Box(
        "books, authors, reviews, works, genres, series",
        ["typed Parquet; every line is a row or a reject;", "works that two sources have (same_works)"],
        **_DATA,
    ),
    "raw_ol": Box("raw files of Open Library", ["the monthly dump"], **_DATA),
    "ol": Box("tables of Open Library", ["typed Parquet, then joined (openlibrary)"], **_DATA),
    "documents": Box("documents", ["one row per work: its text,", "and what the page shows"], **_DATA),
    "data_quality_report": Box("data_quality_report", ["what came in, what was left out,", "what changed"], **_REPORT),
    "query_encoder": Box("query_encoder", ["one ONNX file, for the page"], **_VECTORS),
    "embeddings": Box("embeddings", ["a vector for each text;", "known texts are not embedded again"], **_VECTORS),
    "search_index": Box("search_index", ["a new index in Redis,", "and its gates"], **_INDEX),
    "evaluation_report": Box(
        "evaluation_report", ["what it finds, beside the live build;", "worse is refused"], **_REPORT
    ),
    "published_index": Box("published_index", ["one atomic switch;", "the build before stays for rollback"], **_INDEX),
}
GROUPS = {
    "Entrances": ("cli", "library", "run"),
    "Dagster": ("definitions", "jobs", "checks", "assets", "resources"),
    "The page": ("web",),
    "Catalogues to try": ("sample", "synth"),
    "Settings and history": ("settings", "history"),
    "Training": ("tuning", "worker"),
    "Judging": ("evaluation", "quality"),
    "Search and index": ("search", "index", "redis_contract", "redis_server"),
    "Encoders and vectors": ("encoders", "vectors", "embedding"),
    "Data": ("sources", "documents", "fetch", "duck"),
    "Ground": (
        *("errors", "storage", "origin", "artifacts", "code_digest", "home_lock", "notifications", "identifiers"),
        *("name_keys", "query_lines", "ranking_metrics", "machine", "owner", "typed_json", "words"),
    ),
}
_COLOURS = {
    "Dagster": _REPORT,
    "Data": _DATA,
    "Catalogues to try": _DATA,
    "Encoders and vectors": _VECTORS,
    "Training": _VECTORS,
    "Search and index": _INDEX,
    "The page": _INDEX,
}
_ABOUT = {
    "Entrances": "the command, the Python library, a run of the job",
    "Dagster": "assets, checks, jobs: the only packages, with run, that import Dagster",
    "The page": "Flask: pages, JSON, metrics",
    "Catalogues to try": "the bundled one, a made-up one",
    "Settings and history": "read once; a record of every build",
    "Training": "encoders tuned on a catalogue and on requests",
    "Judging": "checks of the data, judged queries",
    "Search and index": "a reader's words to ranked works; build, gate, publish",
    "Encoders and vectors": "texts to vectors, here or on a GPU; ONNX",
    "Data": "files to typed tables to documents",
    "Ground": "errors, files, artifacts, and small things that many packages need",
}


def box_of(asset: str) -> str:
    """The box of FLOW that an asset belongs to; "" for those that no build makes."""
    from viberary_pipeline.sources.table_specs import TABLES

    if asset.startswith("raw_"):
        return "raw_ol" if asset.startswith("raw_ol_") else "raw files"
    if asset.startswith("ol_") or asset == "openlibrary":
        return "ol"
    if asset == "same_works":
        return "tables"
    return "tables" if asset in TABLES else asset


def flow_edges() -> set[tuple[str, str]]:
    """(box, box that reads it), from the dependencies of the assets that a build makes."""
    from viberary_pipeline.assets import BUILD_ASSETS

    return {
        (box_of(above.to_user_string()), box_of(key.to_user_string()))
        for asset in BUILD_ASSETS
        for key, depends in asset.asset_deps.items()
        for above in depends
        if box_of(above.to_user_string()) != box_of(key.to_user_string())
    }


def packages() -> list[str]:
    """Those of the import contract in pyproject.toml."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ][0]
    return [name.strip() for layer in contract["layers"] for name in layer.split("|")]


def package_edges() -> set[tuple[str, str]]:
    """(group, group that it imports from), from the import statements of the modules."""
    group_of = {name: group for group, names in GROUPS.items() for name in names}
    edges = set()
    for path in (ROOT / PACKAGE).rglob("*.py"):
        if path.name == "__main__.py":  # a program of its own, as the command line is
            continue
        name = path.relative_to(ROOT / PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{PACKAGE}."):
                imported = str(node.module).split(".")[1]
                if name in group_of and group_of[name] != group_of[imported]:
                    edges.add((group_of[name], group_of[imported]))
    return edges


def reduced(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The edges without those that a longer way says already. Expects no circle."""
    below: dict[str, set[str]] = {}
    for a, b in edges:
        below.setdefault(a, set()).add(b)

    def reaches(a: str, b: str) -> bool:
        return b in below.get(a, ()) or any(reaches(c, b) for c in below.get(a, ()))

    return {(a, b) for a, b in edges if not any(c != b and reaches(c, b) for c in below[a])}


def drawn(title: str, rows: Sequence[Sequence[str]], boxes: Mapping[str, Box], edges: set[tuple[str, str]]) -> str:
    """An SVG of boxes in rows ("" is a gap), with an arrow for each edge."""
    boxes = {"": Box(""), **boxes}  # "" keeps a place free
    width = max(sum(boxes[name].width for name in row) + 34 * (len(row) - 1) for row in rows) + 40
    places: dict[str, tuple[float, float]] = {}
    y = 20.0
    for row in rows:
        total = sum(boxes[name].width for name in row)
        space = (width - total) / (len(row) + 1)
        x = space
        for name in row:
            if name:
                places[name] = (x, y)
            x += boxes[name].width + space
        y += max(boxes[name].height for name in row) + _GAP
    height = y - _GAP + 20
    out = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:.0f} {height:.0f}' role='img' {_FONT}>",
        f"<title>{escape(title)}</title>",
        "<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' markerHeight='7' orient='auto'>"
        "<path d='M0 0 L8 4 L0 8 z' fill='#5c6773'/></marker></defs>",
        f"<rect width='{width:.0f}' height='{height:.0f}' rx='8' fill='#ffffff'/>",
    ]
    for a, b in sorted(edges):
        (ax, ay), (bx, by) = places[a], places[b]
        x1, y1 = ax + boxes[a].width / 2, ay + boxes[a].height
        x2, y2 = bx + boxes[b].width / 2, by - 2
        x2 += max(-boxes[b].width / 3, min(boxes[b].width / 3, (x1 - x2) / 4))
        start = max(y1, y2 - _GAP + 2)  # a long arrow goes straight down past the rows between, then bends
        bend = (y2 - start) / 2
        out.append(
            f"<path d='M{x1:.0f} {y1:.0f} V{start:.0f} C{x1:.0f} {start + bend:.0f} {x2:.0f} {y2 - bend:.0f} "
            f"{x2:.0f} {y2:.0f}' fill='none' stroke='#5c6773' stroke-width='1.3' marker-end='url(#tip)'/>"
        )
    for name, (x, y) in places.items():
        box = boxes[name]
        out.append(
            f"<rect x='{x:.0f}' y='{y:.0f}' width='{box.width:.0f}' height='{box.height:.0f}' rx='6' "
            f"fill='{box.fill}' stroke='{box.edge}'/>"
        )
        middle = x + box.width / 2
        out.append(
            f"<text x='{middle:.0f}' y='{y + _PAD + 13:.0f}' text-anchor='middle' font-size='14' font-weight='600' "
            f"fill='#1b2733'>{escape(box.title)}</text>"
        )
        out += [
            f"<text x='{middle:.0f}' y='{y + _PAD + 13 + (i + 1) * _LINE:.0f}' text-anchor='middle' font-size='12' "
            f"fill='#3d4a57'>{escape(line)}</text>"
            for i, line in enumerate(box.lines)
        ]
    return "\n".join([*out, "</svg>"]) + "\n"


def flow() -> str:
    """docs/images/flow.svg."""
    rows = [
        ["raw_ol"],
        ["raw files", "ol"],
        ["tables", "query_encoder"],
        ["documents"],
        ["data_quality_report", "embeddings"],
        ["search_index"],
        ["evaluation_report"],
        ["published_index"],
    ]
    return drawn("The flow of a build", rows, FLOW, reduced(flow_edges()))


def package_picture() -> str:
    """docs/images/packages.svg."""
    boxes = {
        group: Box(group, [_ABOUT[group], *_wrapped(names)], **_COLOURS.get(group, {}))
        for group, names in GROUPS.items()
    }
    rows = [
        ["Entrances"],
        ["Dagster"],
        ["The page", "Training", "Catalogues to try"],
        ["Settings and history", "", ""],
        ["Judging"],
        ["Search and index"],
        ["Encoders and vectors"],
        ["Data"],
        ["Ground"],
    ]
    return drawn("The packages, and which imports from which", rows, boxes, reduced(package_edges()))


def _wrapped(names: Sequence[str], width: int = 62) -> list[str]:
    lines = [""]
    for name in names:
        joined = f"{lines[-1]}, {name}" if lines[-1] else name
        if len(joined) > width:
            lines.append(name)
        else:
            lines[-1] = joined
    return lines


PICTURES = {"flow.svg": flow, "packages.svg": package_picture}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (IMAGES / name).write_text(draw(), encoding="utf-8")
        print(IMAGES / name)
