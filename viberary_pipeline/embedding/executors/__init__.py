"""Executors: where the embedding worker runs."""

from viberary_pipeline.embedding.executors.base import Executor, JobStatus, Limits, Submission, run_job
from viberary_pipeline.embedding.executors.local import LocalExecutor

__all__ = ["Executor", "JobStatus", "Limits", "LocalExecutor", "Submission", "run_job"]
