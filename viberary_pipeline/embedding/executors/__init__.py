"""Executors: where the embedding worker runs.

`local` is a child process of this machine, `ec2` one GPU machine per job, `batch` an array job of AWS Batch.
`base.py` has their protocol and `run_job`, which submits, polls, and cancels whatever happens; `choice.py` maps the
settings to one. AWS is separable: without it only `local` runs, and nothing else in the package imports EC2's or
Batch's modules. A new executor implements `Executor` and is named in `choice.py`, in `Settings.executor` and in the
command line's `--executor`. Prices in `ec2_machine.py` may be updated freely. No row of the table of cost safety in
docs/design.md may be weakened: each ends a machine alone.
"""

from viberary_pipeline.embedding.executors.base import Executor, JobStatus, Limits, Submission, run_job
from viberary_pipeline.embedding.executors.local import LocalExecutor

__all__ = ["Executor", "JobStatus", "Limits", "LocalExecutor", "Submission", "run_job"]
