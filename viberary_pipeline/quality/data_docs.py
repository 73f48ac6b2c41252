"""Data Docs as this project shows them: Great Expectations builds the site, with our pages.

The pages that Great Expectations brings load styles, scripts, icons and a logo from seven public hosts and
draw the index with JavaScript: without a network the index is empty. Its site builder takes other renderers
(result to what is shown) and views (what is shown to HTML) by module and class name; these are ours. Their
pages are static, carry their style in themselves, and ask nothing of any other machine.

Great Expectations makes the objects: it passes those of `data_context`, `custom_styles_directory`, ... that
a constructor names.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from viberary_pipeline.quality.bounds import TABLES

TEMPLATES = Path(__file__).with_name("templates")
SITE = "viberary"


def site_config(docs: Path) -> dict[str, Any]:
    """The `data_docs_sites` entry that builds our pages under `docs`."""
    here = __name__
    return {
        "class_name": "SiteBuilder",
        "site_name": "Viberary",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)},
        "site_index_builder": {
            "class_name": "DefaultSiteIndexBuilder",
            "renderer": {"module_name": here, "class_name": "IndexRenderer"},
            "view": {"module_name": here, "class_name": "IndexView"},
        },
        "site_section_builders": {
            "expectations": "None",  # the bounds are on every result page
            "profiling": "None",
            "validations": {
                "renderer": {"module_name": here, "class_name": "ResultRenderer"},
                "view": {"module_name": here, "class_name": "ResultView"},
                "run_name_filter": {"matches_regex": "."},  # else it hides runs named like "profiling"
            },
        },
    }


def page_path(docs: Path, key: Sequence[str]) -> Path:
    """Where the site keeps the page of a result (suite, run name, run time, batch)."""
    *folders, name = key
    return docs.joinpath("validations", *folders, f"{name}.html")


class ResultRenderer:
    """One validation result to the values of its page."""

    def render(self, result: Any) -> dict[str, Any]:
        """The values that `templates/result.html` shows, from an ExpectationSuiteValidationResult."""
        return _facts(result)


class IndexRenderer:
    """The site's results to the values of the index page: newest first, and the newest of each table."""

    def __init__(self, data_context: Any) -> None:
        self._context = data_context

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
                facts = _facts(result)
            except (KeyError, TypeError):
                continue  # kept by another version; it goes when newer results push it out
            history.append({**facts, "href": link["filepath"]})
        newest: dict[str, Any] = {}
        for facts in history:  # the index builder gives the newest first
            newest.setdefault(facts["table"], facts)
        return {"history": history, "newest": [newest[table] for table in TABLES if table in newest]}


class _View:
    template = ""

    def render(self, facts: Mapping[str, Any], **_: object) -> str:
        """The HTML of one page. Every value is escaped: names and examples come from the data."""
        from jinja2 import Environment, FileSystemLoader, StrictUndefined

        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template(self.template).render(facts)


class IndexView(_View):
    """The index page."""

    template = "index.html"


class ResultView(_View):
    """The page of one validation result."""

    template = "result.html"


def _facts(result: Any) -> dict[str, Any]:
    run = result.meta["run_id"]
    run = run if isinstance(run, Mapping) else run.to_json_dict()
    time = run["run_time"]
    when = time if isinstance(time, datetime) else datetime.fromisoformat(str(time))
    checks = []
    for entry in result.results:
        meta, configuration = entry.expectation_config.meta, entry.expectation_config
        outcome = "passed" if entry.success else {"ERROR": "error", "WARN": "warning"}[meta["severity"]]
        checks.append(
            {
                **meta,
                "outcome": outcome,
                "metric": configuration.kwargs["column"],
                "reason": configuration.notes,
            }
        )
    order = ("error", "warning", "passed")
    counts = {outcome: sum(check["outcome"] == outcome for check in checks) for outcome in order}
    return {
        "table": result.suite_name,
        "run_name": run["run_name"],
        "time": when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "row_count": checks[0]["row_count"] if checks else 0,
        "checks": sorted(checks, key=lambda check: order.index(check["outcome"])),
        "counts": counts,
        "outcome": next((outcome for outcome in order if counts[outcome]), "passed"),
    }
