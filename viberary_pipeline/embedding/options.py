"""What may be chosen about embedding: how a job is computed, where, and on which machines. Imports nothing heavy."""

from dataclasses import dataclass
from typing import Protocol

from viberary_pipeline.encoders.quantize import int8_name
from viberary_pipeline.errors import SettingsError
from viberary_pipeline.vectors import VectorDtype

DEVICES = ("cpu", "cuda")
DTYPES = ("auto", "float32", "float16", "bfloat16", "int8")


@dataclass(frozen=True)
class JobOptions:
    """How a job is computed.

    Attributes:
        device: `cpu` or `cuda`.
        dtype: What the model computes in. `auto`: float32 on a CPU; on a GPU bfloat16 where it has it, else float16.
            `int8` (CPU only) needs a quantised graph.
        stored: How vectors are stored, `float32` or `float16`.
        threads: The worker's CPU threads; None: as many as it may use.
        graph: A folder with the encoder as ONNX (`encoders.onnx_export`), which a CPU runs by onnxruntime; "": torch.
    """

    device: str = "cpu"
    dtype: str = "auto"
    stored: VectorDtype = "float32"
    threads: int | None = None
    graph: str = ""

    def check(self) -> None:
        """Raise `SettingsError` for values that no worker takes."""
        graph_missing = self.dtype == "int8" and (self.device != "cpu" or not self.graph)
        if self.device not in DEVICES or self.dtype not in DTYPES or graph_missing:
            raise SettingsError(
                "The embedding job cannot be written",
                expected=f"a device of {', '.join(DEVICES)} and a dtype of {', '.join(DTYPES)}; int8 on a CPU alone",
                found=f"{self.device}, {self.dtype}",
                todo="set VIBERARY_DEVICE and VIBERARY_DTYPE to one of these",
            )

    def key(self, fingerprint: str) -> str:
        """The name under which vectors are kept: the encoder's fingerprint, or another for those of lesser quality.
        float16 and bfloat16 vectors stay within a cosine of 0.999 of float32's and share its name."""
        return int8_name(fingerprint) if self.dtype == "int8" else fingerprint


@dataclass(frozen=True)
class Ec2Settings:
    """How machines are asked for.

    Attributes:
        instance_types: In order of preference.
        markets: `spot` and `on-demand`, in order.
        subnets: One per zone, in order; empty: the default VPC's, one zone after the other.
        security_groups: Empty: the VPC's default one. No way in is needed.
        ami: An image's id; "": the newest of Amazon's deep-learning base images with an NVIDIA driver.
        instance_profile: The name of the profile with the rights of `deploy/aws/worker-policy.json`.
        image: The container image of `Dockerfile.gpu`; or
        wheel: s3:// address of the project's wheel, installed on the machine instead.
        max_price: The most that a machine may cost per hour, in USD; types beyond it are left out.
        max_machines: The most machines of ours that may run at once, over all jobs.
        volume_gb: The root volume.
        deadline_minutes: After which a machine ends itself.
        heartbeat: Seconds between the worker's heartbeats.
    """

    instance_types: tuple[str, ...]
    markets: tuple[str, ...] = ("spot", "on-demand")
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    ami: str = ""
    instance_profile: str = ""
    image: str = ""
    wheel: str = ""
    max_price: float = 5.0
    max_machines: int = 1
    volume_gb: int = 100
    deadline_minutes: int = 360
    heartbeat: float = 15.0


@dataclass(frozen=True)
class BatchSettings:
    """Which queue, and how a job is cut.

    Attributes:
        queue, definition: Names or ARNs, as the stack of `deploy/aws/batch.yaml` prints them.
        shards_per_child: How many shards one child computes; more where there would be over 10,000 children.
        attempts: How often Batch tries a child, spot losses included (1 to 10).
        deadline_minutes: After which Batch ends a child's attempt, and `reap` a job.
    """

    queue: str
    definition: str
    shards_per_child: int = 4
    attempts: int = 5
    deadline_minutes: int = 360


class EmbeddingSettings(Protocol):
    """Where documents are embedded, and how long a build waits for it."""

    @property
    def executor(self) -> str:
        """`local`, `ec2` or `batch`."""

    @property
    def device(self) -> str:
        """`cpu` or `cuda`: of this machine."""

    @property
    def dtype(self) -> str:
        """What the encoder computes in (`JobOptions.dtype`)."""

    @property
    def jobs(self) -> str | None:
        """s3://bucket/prefix for jobs that other machines are to reach."""

    @property
    def deadline_minutes(self) -> int:
        """For the whole job."""

    @property
    def stall_minutes(self) -> int:
        """Without progress."""
