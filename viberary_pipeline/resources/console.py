"""The console logger: one readable line for each message of a stage, on standard error."""

import logging
import sys

import dagster as dg


class _StageLines(logging.Formatter):
    """`  books               918 books from 918 lines, 0 rejected`."""

    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", {})
        step = str(meta.get("step_key") or "")
        message = str(meta.get("orig_message") or record.getMessage())
        level = "" if record.levelno < logging.WARNING else f"{record.levelname}: "
        return f"  {step:<19} {level}{message}"


class _StagesOnly(logging.Filter):
    """What stages say; not Dagster's own start, stop and skip of every step (a failure is told at the end)."""

    def filter(self, record: logging.LogRecord) -> bool:
        meta = getattr(record, "dagster_meta", {})
        return meta.get("dagster_event") is None and not str(meta.get("orig_message")).startswith("Dependencies for")


@dg.logger(None, description="One line per message of a stage, on standard error.")
def stage_console(context: dg.InitLoggerContext) -> logging.Logger:
    """A logger that people read while a build runs; the run's full log is in the Dagster UI."""
    logger = logging.Logger("viberary", level=logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_StageLines())
    handler.addFilter(_StagesOnly())
    logger.addHandler(handler)
    return logger
