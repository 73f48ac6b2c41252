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
        description="`cuda` embeds on the GPU (on all of them, if there are several), and fails without one.",
    )
    dtype: Dtype = Field(
        default="auto",
        description="What the encoder computes in: `float32` on a CPU, `bfloat16` or `float16` on a GPU; `int8` "
        "(CPU) is "
        "faster and must pass a quality gate.",
    )
    stored: VectorDtype = Field(default="float32", description="How the store keeps vectors; `float16` halves it.")
    vectors: str | None = Field(
        default=None,
        description="`s3://bucket/prefix` of an embedding store that machines share; unset: VIBERARY_HOME alone.",
    )
    jobs: str | None = Field(default=None, description="`s3://bucket/prefix` for the jobs of `ec2` and `batch`.")
    shard_rows: int = Field(
        default=256, ge=1, le=1_000_000, description="Texts per shard: the most that a killed worker loses."
    )
    deadline_minutes: int = Field(
        default=1440, ge=1, description="Minutes after which embedding fails, and its machines end."
    )
    stall_minutes: int = Field(default=30, ge=1, description="Minutes without progress after which embedding fails.")

    _places = field_validator("vectors", "jobs")(_in_s3)


@dataclass(frozen=True)
class Ec2Settings:
    """GPU machines in EC2."""

    instance_types: Words = Field(
        default=("p3.2xlarge", "g6e.xlarge", "g6.xlarge", "g5.xlarge", "g4dn.xlarge"),
        description="In order of preference; those that a region does not offer are skipped.",
    )
    markets: Words = Field(
        default=("spot", "on-demand"),
        description="In order of preference; with `spot` alone, on-demand prices are never paid.",
    )
    subnets: Words = Field(default=(), description="One per zone, in order; empty: the default VPC's zones in turn.")
    security_groups: Words = Field(default=(), description="Empty: the VPC's default group. No inbound rule is needed.")
    ami: str = Field(default="", description="Empty: Amazon's newest deep-learning base image for the type.")
    instance_profile: str = Field(
        default="", description="The profile with the rights of `deploy/aws/worker-policy.json`."
    )
    image: str = Field(default="", description="The container image of `Dockerfile.gpu`; or `wheel`.")
    wheel: str = Field(default="", description="`s3://` address of the project's wheel, instead of an image.")
    max_price: float = Field(
        default=5.0, gt=0, description="USD per hour for one machine; types beyond it are left out."
    )
    max_machines: int = Field(default=1, ge=1, description="The most machines of ours at once, over all jobs.")
    volume_gb: int = Field(default=100, ge=20, description="The root volume.")
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

    queue: str = Field(default="", description="What the stack of `deploy/aws/batch.yaml` prints.")
    definition: str = Field(default="", description="The same.")
    shards_per_child: int = Field(
        default=4,
        ge=1,
        description="Shards that a child of the array computes; more where there would be over 10,000 children.",
    )
    attempts: int = Field(default=5, ge=1, le=10, description="How often Batch tries a child, spot losses included.")
    device: Device = Field(
        default="cuda",
        description="What its machines compute on; `cpu` where an account may start no GPUs (`Gpus=0` of the stack).",
    )
