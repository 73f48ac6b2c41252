"""The page itself: written whole, kept under VIBERARY_HOME/quality/report, linked to Data Docs beside it."""

from pathlib import Path

from viberary_pipeline.quality import data_docs
from viberary_pipeline.quality.report import text
from viberary_pipeline.quality.report.inputs import ReportInputs
from viberary_pipeline.quality.report.sections import page_values
from viberary_pipeline.quality.report.summary import verdict
from viberary_pipeline.storage import keep_newest, write_atomically

KEEP_REPORTS = 10
LATEST = "latest.html"


def write_report(out: Path, inputs: ReportInputs) -> Path:
    """Write the page, whole or not at all; returns its path. Links to Data Docs are relative to where it lies."""
    # Data Docs' style sheet and badges are ours too.
    environment = data_docs.environment(Path(__file__).with_name("templates"), data_docs.TEMPLATES)
    environment.filters |= {name: getattr(text, name) for name in ("visible", "number", "short", "percent", "size")}
    # Of a first build that a check refused there is no evaluation, and none will follow.
    evaluated = verdict(inputs)[0] != "error" or (out.parents[1] / "evaluation" / LATEST).is_file()
    values = {**page_values(inputs, out.absolute().parent), "name": out.stem, "evaluated": evaluated}
    page = environment.get_template("report.html").render(values)
    write_atomically(out, page)
    return out


def publish_report(home: Path, name: str, inputs: ReportInputs) -> Path:
    """Write `quality/report/{name}.html`, make it the latest, and remove all but the last reports."""
    page = write_report(home / "quality" / "report" / f"{name}.html", inputs)
    make_latest(page)
    keep_newest((path for path in page.parent.glob("*.html") if path.name != LATEST), KEEP_REPORTS, page)
    return page


def make_latest(page: Path) -> None:
    """Make a report the one that `latest.html` shows."""
    latest, html = page.with_name(LATEST), page.read_text(encoding="utf-8")
    if not latest.exists() or latest.read_text(encoding="utf-8") != html:
        write_atomically(latest, html)
