"""The executor that the settings name, and where its jobs lie."""

from typing import Protocol

from viberary_pipeline.embedding.executors.base import Executor
from viberary_pipeline.embedding.executors.batch import BatchExecutor
from viberary_pipeline.embedding.executors.ec2 import Ec2Executor
from viberary_pipeline.embedding.executors.local import LocalExecutor
from viberary_pipeline.embedding.settings import BatchSettings, Ec2Settings, EmbeddingSettings
from viberary_pipeline.errors import SettingsError
from viberary_pipeline.storage import Bucket, Place


class ExecutorSettings(Protocol):
    """What of the settings chooses an executor."""

    @property
    def executor(self) -> str: ...
    @property
    def embedding(self) -> EmbeddingSettings: ...
    @property
    def ec2(self) -> Ec2Settings: ...
    @property
    def batch(self) -> BatchSettings: ...
    @property
    def jobs_uri(self) -> str | None: ...


def check_executor(settings: ExecutorSettings) -> None:
    """Refuse, before any work, an executor whose settings are not whole.

    Raises:
        SettingsError: the message names the variables.
    """
    remote = settings.executor != "local"
    needed = {
        "VIBERARY_EMBEDDING_JOBS (s3://bucket/prefix)": not remote or settings.jobs_uri,
        "VIBERARY_EMBEDDING_DTYPE other than int8, which only this machine's CPU can do": settings.embedding.dtype
        != "int8"
        or (not remote and settings.embedding.device == "cpu"),
    }
    if settings.executor == "ec2":
        needed |= {
            "either VIBERARY_EC2_IMAGE or VIBERARY_EC2_WHEEL": bool(settings.ec2.image) != bool(settings.ec2.wheel),
            "VIBERARY_EC2_INSTANCE_PROFILE": settings.ec2.instance_profile,
        }
    if settings.executor == "batch":
        needed |= {
            "VIBERARY_BATCH_QUEUE": settings.batch.queue,
            "VIBERARY_BATCH_DEFINITION": settings.batch.definition,
        }
    if missing := [name for name, given in needed.items() if not given]:
        raise SettingsError(
            f"The executor {settings.executor} lacks settings",
            expected="; ".join(missing),
            found="they are not set, or not in that form",
            todo="set them (docs/operations.md, A GPU in AWS), or use VIBERARY_EXECUTOR=local",
        )


def executor_for(settings: ExecutorSettings) -> Executor:
    """The executor that VIBERARY_EXECUTOR names. Raises `SettingsError` where its settings are not whole."""
    check_executor(settings)
    deadline = settings.embedding.deadline_minutes
    if settings.executor == "ec2":
        return Ec2Executor(settings.ec2, deadline)
    if settings.executor == "batch":
        return BatchExecutor(settings.batch, deadline)
    return LocalExecutor()


def jobs_place(settings: ExecutorSettings) -> Place | None:
    """Where jobs lie that other machines are to reach; None for those of this machine."""
    return Bucket(settings.jobs_uri) if settings.executor != "local" and settings.jobs_uri else None
