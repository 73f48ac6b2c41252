"""The executor that the settings name, and where its jobs lie."""

from viberary_pipeline.embedding.executors.base import Executor, Limits
from viberary_pipeline.embedding.executors.batch import BatchExecutor
from viberary_pipeline.embedding.executors.ec2 import Ec2Executor
from viberary_pipeline.embedding.executors.local import LocalExecutor
from viberary_pipeline.embedding.options import BatchSettings, Ec2Settings, EmbeddingSettings
from viberary_pipeline.errors import SettingsError
from viberary_pipeline.storage import Bucket, Place


def check_executor(embedding: EmbeddingSettings, ec2: Ec2Settings, batch: BatchSettings) -> None:
    """Refuse, before any work, an executor whose settings are not whole.

    Raises:
        SettingsError: the message names the variables.
    """
    on_ec2, on_batch = embedding.executor == "ec2", embedding.executor == "batch"
    elsewhere = embedding.executor != "local"
    problems = {
        "VIBERARY_JOBS (s3://bucket/prefix)": elsewhere and not embedding.jobs,
        "either VIBERARY_EC2_IMAGE or VIBERARY_EC2_WHEEL": on_ec2 and bool(ec2.image) == bool(ec2.wheel),
        "VIBERARY_EC2_INSTANCE_PROFILE": on_ec2 and not ec2.instance_profile,
        "VIBERARY_BATCH_QUEUE": on_batch and not batch.queue,
        "VIBERARY_BATCH_DEFINITION": on_batch and not batch.definition,
        "VIBERARY_DTYPE other than int8: that is for this machine's CPU": embedding.dtype == "int8"
        and (elsewhere or embedding.device != "cpu"),
    }
    if missing := [name for name, is_missing in problems.items() if is_missing]:
        raise SettingsError(
            f"The executor {embedding.executor} cannot be used as it is set",
            expected="; ".join(missing),
            found="not set so",
            todo="set these (docs/operations.md, A GPU in AWS), or use VIBERARY_EXECUTOR=local",
        )


def executor_for(embedding: EmbeddingSettings, ec2: Ec2Settings, batch: BatchSettings) -> Executor:
    """The executor that VIBERARY_EXECUTOR names. Raises `SettingsError` where its settings are not whole."""
    check_executor(embedding, ec2, batch)
    if embedding.executor == "ec2":
        return Ec2Executor(ec2)
    return BatchExecutor(batch) if embedding.executor == "batch" else LocalExecutor()


def jobs_place(embedding: EmbeddingSettings) -> Place | None:
    """Where jobs lie that other machines are to reach; None for those of this machine."""
    return Bucket(embedding.jobs) if embedding.executor != "local" and embedding.jobs else None


def limits_of(embedding: EmbeddingSettings) -> Limits:
    """How long a build waits."""
    return Limits(deadline=embedding.deadline_minutes * 60, stall=embedding.stall_minutes * 60)
