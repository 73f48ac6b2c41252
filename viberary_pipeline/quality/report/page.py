"""The page itself: written whole, kept under VIBERARY_HOME/quality/report, linked to Data Docs beside it."""

from importlib.resources import files
from pathlib import Path

from viberary_pipeline.artifacts import digest
from viberary_pipeline.quality.report import text
from viberary_pipeline.quality.report.inputs import ReportInputs
from viberary_pipeline.quality.report.sections import page_values
from viberary_pipeline.storage import write_atomically

KEEP_REPORTS = 10
LATEST = "latest.html"


def write_report(out: Path, inputs: ReportInputs) -> Path:
    """Write the page, whole or not at all; returns its path. Links to Data Docs are relative to where it lies."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    quality = Path(__file__).parents[1]
    environment = Environment(
        # Data Docs' style sheet and badges are ours too.
        loader=FileSystemLoader([Path(__file__).with_name("templates"), quality / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "visible": text.visible,
        "number": text.number,
        "short": text.short,
        "percent": text.percent,
        "size": text.size,
    }
    page = environment.get_template("report.html").render(page_values(inputs, out.absolute().parent))
    write_atomically(out, page)
    return out


def publish_report(home: Path, name: str, inputs: ReportInputs) -> Path:
    """Write `quality/report/{name}.html`, make it the latest, and remove all but the last reports."""
    page = write_report(home / "quality" / "report" / f"{name}.html", inputs)
    make_latest(page)
    reports = [path for path in page.parent.glob("*.html") if path.name != LATEST]
    for path in sorted(reports, key=lambda path: path.stat().st_mtime_ns, reverse=True)[KEEP_REPORTS:]:
        path.unlink(missing_ok=True)
    return page


def make_latest(page: Path) -> None:
    """Make a report the one that `latest.html` shows."""
    write_atomically(page.with_name(LATEST), page.read_text(encoding="utf-8"))


def code_digest() -> str:
    """A digest of the code and templates that make the page: another version makes it anew."""
    package = files("viberary_pipeline") / "quality"
    folders = [package / "report", package / "report" / "templates", package / "templates"]
    entries = (entry for folder in folders for entry in folder.iterdir())
    sources = [package / "distributions.py", package / "drift.py"]
    sources += [entry for entry in entries if entry.name.endswith((".py", ".html", ".css"))]
    return digest([[entry.name, entry.read_text(encoding="utf-8")] for entry in sources])
