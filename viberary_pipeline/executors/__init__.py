"""Executors: where the embedding worker runs."""

from viberary_pipeline.errors import SettingsError
from viberary_pipeline.executors.base import Executor, JobStatus, Submission, run_job
from viberary_pipeline.executors.local import LocalExecutor

__all__ = ["Executor", "JobStatus", "LocalExecutor", "Submission", "executor_for", "run_job"]


def executor_for(name: str) -> Executor:
    """The executor that VIBERARY_EXECUTOR names. Raises `SettingsError` for one that this version has not."""
    if name == LocalExecutor.name:
        return LocalExecutor()
    raise SettingsError(
        f"The executor {name} is not in this version",
        expected=LocalExecutor.name,
        found=name,
        todo="set VIBERARY_EXECUTOR or --executor to local",
    )
