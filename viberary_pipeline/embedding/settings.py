"""What shapes the embedding of documents: how it is computed, where it runs, how long it may take."""

from typing import Literal

from pydantic import Field, field_validator
from pydantic.dataclasses import dataclass

from viberary_pipeline.words import Words

Device = Literal["cpu", "cuda"]
Dtype = Literal["auto", "float32", "float16", "bfloat16", "int8"]
VectorDtype = Literal["float32", "float16"]


def _in_s3(value: str | None) -> str | None:
    if value and not value.startswith("s3://"):
        raise ValueError("expected s3://bucket/prefix")
    return value


@dataclass(frozen=True)
class EmbeddingSettings:
    """Embedding, on any executor."""

    device: Device = Field(
        default="cpu",
        description="What embeds: `cpu`, or `cuda`: all GPUs of the machine, and a failure if there is none.",
    )
    dtype: Dtype = Field(
        default="auto",
        description="The number type that the encoder computes in. `auto`: `float32` on a CPU, `bfloat16` or "
        "`float16` on "
        "a GPU. `int8` (on a CPU alone) is faster, and must pass a quality gate.",
    )
    stored: VectorDtype = Field(
        default="float32", description="The number type of stored vectors; `float16` halves the store."
    )
    vectors: str | None = Field(
        default=None,
        description="`s3://bucket/prefix` of a store of vectors that several homes share. Unset: the store in "
        "VIBERARY_HOME.",
    )
    jobs: str | None = Field(
        default=None, description="`s3://bucket/prefix` where the executors `ec2` and `batch` put their jobs."
    )
    shard_rows: int = Field(
        default=256,
        ge=1,
        le=1_000_000,
        description="The number of texts in a shard. A killed worker loses at most one shard.",
    )
    deadline_minutes: int = Field(
        default=1440, ge=1, description="After so many minutes embedding fails, and its machines are ended."
    )
    stall_minutes: int = Field(default=30, ge=1, description="After so many minutes without progress embedding fails.")

    _places = field_validator("vectors", "jobs")(_in_s3)


@dataclass(frozen=True)
class Ec2Settings:
    """GPU machines in EC2."""

    instance_types: Words = Field(
        default=("p3.2xlarge", "g6e.xlarge", "g6.xlarge", "g5.xlarge", "g4dn.xlarge"),
        description="Instance types, in order of preference. Types that the region does not offer are skipped.",
    )
    markets: Words = Field(
        default=("spot", "on-demand"),
        description="Kinds of purchase, in order of preference. With `spot` alone, on-demand prices are never paid.",
    )
    subnets: Words = Field(
        default=(),
        description="Subnets, one for each zone, in the order in which they are tried. Empty: those of the default "
        "VPC.",
    )
    security_groups: Words = Field(
        default=(), description="Security groups; they need no inbound rule. Empty: the default group of the VPC."
    )
    ami: str = Field(
        default="", description="The machine image. Empty: Amazon's newest deep-learning base image for the type."
    )
    instance_profile: str = Field(
        default="", description="The instance profile, which has the rights of `deploy/aws/worker-policy.json`."
    )
    image: str = Field(
        default="",
        description="The address of the container image that `Dockerfile.gpu` makes. Set this or `VIBERARY_EC2_WHEEL`.",
    )
    wheel: str = Field(
        default="", description="The `s3://` address of the project's wheel, to use instead of an image."
    )
    max_price: float = Field(
        default=5.0, gt=0, description="The most USD per hour for one machine. Types that cost more are left out."
    )
    max_machines: int = Field(
        default=1, ge=1, description="The most machines that this project runs at once, over all jobs."
    )
    volume_gb: int = Field(default=100, ge=20, description="The size of the root volume, in GB.")
    heartbeat: float = Field(default=15.0, gt=0, description="Seconds between the worker's heartbeats.")

    _wheel = field_validator("wheel")(_in_s3)

    @field_validator("markets")
    @classmethod
    def _known_markets(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or set(value) - {"spot", "on-demand"}:
            raise ValueError("expected spot, on-demand, or both in the order of preference")
        return value


@dataclass(frozen=True)
class BatchSettings:
    """AWS Batch: its queue, and the size of a job's children."""

    queue: str = Field(
        default="", description="The job queue: `Queue`, as the stack of `deploy/aws/batch.yaml` prints it."
    )
    definition: str = Field(default="", description="The job definition: `Definition`, as the same stack prints it.")
    shards_per_child: int = Field(
        default=4,
        ge=1,
        description="The number of shards that each child of the array job computes. It grows if there would be more "
        "than 10,000 children.",
    )
    attempts: int = Field(
        default=5, ge=1, le=10, description="How often Batch tries a child. Losing a spot machine counts as a try."
    )
    device: Device = Field(
        default="cuda",
        description="What its machines compute on: `cuda`, or `cpu` for an account that may not start GPUs (`Gpus=0` "
        "of the "
        "stack).",
    )
