"""How one embedding job is computed. Imports nothing heavy."""

from dataclasses import dataclass

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
                todo="set VIBERARY_EMBEDDING_DEVICE and VIBERARY_EMBEDDING_DTYPE to one of these",
            )

    def key(self, fingerprint: str) -> str:
        """The name under which vectors are kept: the encoder's fingerprint, or another for those of lesser quality.
        float16 and bfloat16 vectors stay within a cosine of 0.999 of float32's and share its name."""
        return int8_name(fingerprint) if self.dtype == "int8" else fingerprint
