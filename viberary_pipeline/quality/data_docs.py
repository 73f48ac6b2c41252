"""Data Docs as this project shows them: Great Expectations builds the site, with our pages.

The pages that Great Expectations brings load styles, scripts, icons and a logo from seven public hosts, and draw the
index with JavaScript: without a network the index is empty. They also know two outcomes only. Its site builder takes
other renderers (result to values) and views (values to HTML) by module and class name; these are ours. Their pages are
static and ask nothing of any other machine.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from viberary_pipeline.quality.results import BADGES, badge_of_all, result_of

TEMPLATES = Path(__file__).with_name("templates")
SITE = "viberary"


def site_config(docs: Path) -> dict[str, Any]:
    """The `data_docs_sites` entry that builds our pages under `docs`."""

    def ours(page: str) -> dict[str, Any]:
        names = {"renderer": f"{page}Renderer", "view": f"{page}View"}
        return {part: {"module_name": __name__, "class_name": name} for part, name in names.items()}

    return {
        "class_name": "SiteBuilder",
        "site_name": "Viberary",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": literal(docs)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder", **ours("Index")},
        "site_section_builders": {
            "expectations": "None",  # the bounds are on every result page
            "profiling": "None",
            # The filter: else it hides runs named like "profiling".
            "validations": {**ours("Result"), "run_name_filter": {"matches_regex": "."}},
        },
    }


def literal(path: Path) -> str:
    """A path in the configuration of Great Expectations, where a bare "$" begins a variable."""
    return str(path).replace("$", r"\$")


def page_path(docs: Path, key: Sequence[str]) -> Path:
    """Where the site keeps the page of a result (suite, run name, run time, batch)."""
    *folders, name = key
    return docs.joinpath("validations", *folders, f"{name}.html")


class ResultRenderer:
    """One validation result to the values of its page."""

    def render(self, result: Any) -> dict[str, Any]:
        """The values that `templates/result.html` shows, from an ExpectationSuiteValidationResult."""
        run = result.meta["run_id"]
        run = run if isinstance(run, Mapping) else run.to_json_dict()
        time = run["run_time"]
        when = time if isinstance(time, datetime) else datetime.fromisoformat(str(time))
        checks = sorted(map(result_of, result.results), key=lambda check: BADGES.index(check.badge))
        counts = {badge: sum(check.badge == badge for check in checks) for badge in BADGES}
        return {
            "suite": result.suite_name.replace("_", " "),
            "run_name": run["run_name"],
            "time": when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            "row_count": next((entry.expectation_config.meta["row_count"] for entry in result.results), 0),
            "columns": {
                entry.expectation_config.meta["name"]: entry.expectation_config.kwargs.get("column", "")
                for entry in result.results
            },
            "checks": checks,
            "counts": counts,
            "status": badge_of_all(counts),
        }


class IndexRenderer:
    """The site's results to the values of the index page: newest first, and the newest of each suite."""

    def __init__(self, data_context: Any) -> None:
        self._context = data_context  # Great Expectations passes what the constructor names

    def render(self, links: Mapping[str, Any]) -> dict[str, Any]:
        """The values that `templates/index.html` shows, from the links that the index builder collected."""
        history = []
        for link in links.get("validations_links", ()):
            result = self._context.get_validation_result(
                link["expectation_suite_name"],
                run_id=link["run_id"],
                batch_identifier=link["batch_identifier"],
            )
            try:
                history.append({**ResultRenderer().render(result), "href": link["filepath"]})
            except (KeyError, TypeError):
                continue  # another version stored it; it goes when newer results push it out
        newest: dict[str, Any] = {}
        for entry in history:  # the index builder gives the newest first
            newest.setdefault(entry["suite"], entry)
        return {"history": history, "newest": [newest[suite] for suite in sorted(newest)]}


class ResultView:
    """The page of one validation result."""

    template = "result.html"

    def render(self, values: Mapping[str, Any], **_: object) -> str:
        """The HTML of one page. Every value is escaped: names and examples come from the data."""
        return environment(TEMPLATES).get_template(self.template).render(values)


class IndexView(ResultView):
    """The index page."""

    template = "index.html"


def environment(*folders: Path) -> Any:
    """The Jinja environment of all pages: whatever is not safe is escaped, whatever is missing is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
