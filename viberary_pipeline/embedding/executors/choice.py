"""The executor that the settings name, and where its jobs lie."""

from viberary_pipeline.embedding.executors.base import Executor, Limits
from viberary_pipeline.embedding.executors.batch import BatchExecutor, BatchSettings
from viberary_pipeline.embedding.executors.ec2 import Ec2Executor
from viberary_pipeline.embedding.executors.ec2_machine import Ec2Settings
from viberary_pipeline.embedding.executors.local import LocalExecutor
from viberary_pipeline.errors import SettingsError
from viberary_pipeline.settings import Settings
from viberary_pipeline.storage import Bucket, Place


def check_executor(settings: Settings) -> None:
    """Refuse, before any work, an executor whose settings are not whole.

    Raises:
        SettingsError: the message names the variables.
    """
    missing = []
    if settings.executor != "local" and not settings.jobs:
        missing.append("VIBERARY_JOBS (s3://bucket/prefix)")
    if settings.executor == "ec2":
        if bool(settings.ec2_image) == bool(settings.ec2_wheel):
            missing.append("either VIBERARY_EC2_IMAGE or VIBERARY_EC2_WHEEL")
        if not settings.ec2_instance_profile:
            missing.append("VIBERARY_EC2_INSTANCE_PROFILE")
    if settings.executor == "batch":
        missing += [f"VIBERARY_BATCH_{name.upper()}" for name in ("queue", "definition") if not _batch(settings, name)]
    if settings.dtype == "int8" and (settings.executor != "local" or settings.device != "cpu"):
        missing.append("VIBERARY_DTYPE other than int8: that is for this machine's CPU")
    if missing:
        raise SettingsError(
            f"The executor {settings.executor} cannot be used as it is set",
            expected="; ".join(missing),
            found="not set so",
            todo="set these (docs/operations.md, A GPU in AWS), or use VIBERARY_EXECUTOR=local",
        )


def executor_for(settings: Settings) -> Executor:
    """The executor that VIBERARY_EXECUTOR names. Raises `SettingsError` where its settings are not whole."""
    check_executor(settings)
    if settings.executor == "ec2":
        return Ec2Executor(
            Ec2Settings(
                instance_types=settings.ec2_instance_types,
                markets=settings.ec2_markets,
                subnets=settings.ec2_subnets,
                security_groups=settings.ec2_security_groups,
                ami=settings.ec2_ami,
                instance_profile=settings.ec2_instance_profile,
                image=settings.ec2_image,
                wheel=settings.ec2_wheel,
                max_price=settings.ec2_max_price,
                max_machines=settings.ec2_max_machines,
                deadline_minutes=settings.deadline_minutes,
            )
        )
    if settings.executor == "batch":
        return BatchExecutor(
            BatchSettings(
                queue=settings.batch_queue,
                definition=settings.batch_definition,
                shards_per_child=settings.batch_shards_per_child,
                deadline_minutes=settings.deadline_minutes,
            )
        )
    return LocalExecutor()


def jobs_place(settings: Settings) -> Place | None:
    """Where jobs lie that other machines are to reach; None for those of this machine."""
    return Bucket(settings.jobs) if settings.executor != "local" and settings.jobs else None


def limits_of(settings: Settings) -> Limits:
    """How long a build waits."""
    return Limits(deadline=settings.deadline_minutes * 60, stall=settings.stall_minutes * 60)


def _batch(settings: Settings, name: str) -> str:
    return str(getattr(settings, f"batch_{name}"))
