"""What a run says of itself while it goes on: tags, by which the Dagster UI lists and filters runs."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterUserCodeProcessError
from dagster._utils.error import SerializableErrorInfo

from viberary_pipeline.errors import GateRefused, ViberaryError
from viberary_pipeline.history.records import Verdict
from viberary_pipeline.notifications import Message, tell
from viberary_pipeline.resources.dagster_store import PROCESS, forget_untouched, this_process
from viberary_pipeline.settings import Settings

log = logging.getLogger(__name__)


def first_tags(settings: Settings) -> dict[str, str]:
    """The tags that are known when a run begins."""
    return {
        "source": settings.source,
        "encoder": settings.encoder,
        PROCESS: this_process(),
    }


class RunReporter:
    """Tags one run with `source`, `encoder`, `build` and `verdict`.

    The verdict is `published`, `unchanged`, `refused` (by a gate), `failed` or `interrupted`. Runs that come to none,
    such as those of single stages, have no such tag.
    """

    def __init__(self, settings: Settings, instance: dg.DagsterInstance | None, run_id: str) -> None:
        self._settings, self._instance, self._run_id = settings, instance, run_id
        self.tags: dict[str, str] = {}
        self.failure, self.documents = "", ""
        self.verdict: Verdict = "under way"
        self._tag(first_tags(settings))

    def made(self, stage: str, facts: Mapping[str, Any]) -> None:
        """A stage has ended well; `facts` are the metadata of its asset."""
        if stage == "search_index":
            self._tag({"build": str(facts["build"])})
            self.documents = f"{facts['documents']:,}"
        elif stage == "published_index":
            self._tag({"build": str(facts["build"]), "verdict": "published" if facts["switched"] else "unchanged"})

    def failed(self, stage: str, error: BaseException) -> None:
        """A stage was stopped by that. Where several are, the first counts."""
        if self.failure:
            return
        refused = isinstance(error, GateRefused)  # its message names the check
        self.failure = str(error) if refused else f"{stage}: {error}"
        self.verdict = "refused" if refused else "failed" if isinstance(error, Exception) else "interrupted"
        self._tag({"verdict": self.verdict})

    def close(self) -> None:
        """Send what people are to be told of the run, now that it is over."""
        if self.failure and self._instance is not None:
            try:
                forget_untouched(self._instance, self._run_id)
            except Exception as error:  # of a store that is full, or of another version
                log.warning("Assets that this run did not come to look failed: %s", str(error).partition("\n")[0])
        if (message := run_message(self._run_id, self.tags, self.failure, self.documents)) is not None:
            report = f"{self._settings.report.url.rstrip('/')}/report/latest.html"
            tell(self._settings, replace(message, facts={**message.facts, "report": report}))

    def _tag(self, tags: Mapping[str, str]) -> None:
        self.tags |= tags
        if self._instance is None:
            return
        try:
            if self._instance.has_run(self._run_id):
                self._instance.add_run_tags(self._run_id, tags)
        except Exception as error:  # a full disk: what stopped the stage must still be told
            log.warning("The run cannot be tagged: %s", str(error).partition("\n")[0])


def run_message(run_id: str, tags: Mapping[str, str], failure: str, documents: str = "") -> Message | None:
    """What a run that is over has to say; None for a verdict that nobody waits for (`unchanged`, `interrupted`).

    Args:
        run_id: Dagster's id.
        tags: The run's.
        failure: What stopped it; its first line becomes the title.
        documents: How many works the build holds.
    """
    build = tags.get("build", "")
    first, _, rest = failure.partition("\n")
    facts = {name: tags[name] for name in ("build", "source", "encoder") if tags.get(name)}
    facts |= {"host": tags.get(PROCESS, "").partition("/")[0], "run": run_id}
    match tags.get("verdict"):
        case "published":
            title = f"viberary: build {build} is live" + (f", {documents} works" if documents else "")
            return Message("publish", run_id, title, facts=facts)
        case "refused":
            return Message("refused", run_id, f"viberary: a gate refused the build: {first}", rest, facts)
        case "failed":
            return Message("failure", run_id, f"viberary: the build failed: {first}", rest, facts)
    return None


def in_its_words(error: Exception) -> Exception:
    """What to raise to Dagster for an exception: one of ours is shown as its message alone, others as they are.

    Dagster shows any exception below its own, with the frames of both; but one that is already a record of an error, as
    it comes from another process, it takes as it is.
    """
    if not isinstance(error, ViberaryError):
        return error
    return DagsterUserCodeProcessError.from_error_info(SerializableErrorInfo(str(error), [], type(error).__name__))


def untouched_is_no_error(log: Any) -> None:
    """Let the run's log say as information, not as an error, that a stage does not run because one before it failed."""

    def lower(record: logging.LogRecord) -> bool:
        if str(getattr(record, "dagster_meta", {}).get("orig_message")).startswith("Dependencies for step"):
            record.levelno, record.levelname = logging.INFO, "INFO"
        return True

    # Dagster offers no way in; where a version of it keeps its handlers elsewhere, the lines stay red.
    for handler in getattr(getattr(log, "_dagster_handler", None), "_handlers", ()):
        handler.addFilter(lower)
