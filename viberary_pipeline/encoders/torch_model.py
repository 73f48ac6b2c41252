"""Loads an encoder as a sentence-transformers model: for the worker, and for the exporter."""

from pathlib import Path
from typing import TYPE_CHECKING

from viberary_pipeline.encoders.layout import read_layout
from viberary_pipeline.encoders.spec import ModelSpec
from viberary_pipeline.errors import EncoderError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedModel

# Spellings of layer-norm parameters in checkpoints converted from TensorFlow; transformers renames them.
_OLD_NAMES = {".gamma": ".weight", ".beta": ".bias"}


def load_sentence_transformer(
    spec: ModelSpec, folder: Path, *, device: str = "cpu", dtype: str = "float32"
) -> "SentenceTransformer":
    """Load the model in `folder`, with the spec's token limit, its transformer in `dtype`.

    Args:
        spec: The encoder.
        folder: Its files, as `model_folder` found them.
        device: A torch device, `cpu` or `cuda`.
        dtype: `float32`, `float16` or `bfloat16`.

    Raises:
        EncoderError: the files do not make the model that the spec describes.
    """
    import torch
    from sentence_transformers import SentenceTransformer

    layout = read_layout(folder)
    try:
        model = SentenceTransformer(
            str(folder),
            device=device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    except Exception as error:  # what a damaged file makes transformers and tokenizers raise has no common base
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or type(error).__name__ == "AcceleratorError":
            raise
        raise EncoderError(
            f"The encoder {spec.name} cannot be loaded",
            expected=f"a sentence-transformers model in {folder}",
            found=f"{type(error).__name__}: {str(error)[:500]}",
            todo="fetch the model again, or choose another encoder",
        ) from error
    _refuse_missing_weights(model, spec, layout.weights)
    model[0].to(getattr(torch, dtype))  # what follows the pooling, a projection, computes in float32
    model.max_seq_length = spec.max_tokens
    return model.eval()


def _refuse_missing_weights(model: "SentenceTransformer", spec: ModelSpec, weights: tuple[Path, ...]) -> None:
    """Raise `EncoderError` if a parameter is not in the files: it would be random, with no more than a
    warning, and every process would have other vectors. The pooler is exempt: no pooling here uses it."""
    from safetensors import safe_open

    stored: set[str] = set()
    for path in weights:
        with safe_open(path, framework="numpy") as file:
            stored.update(file.keys())
    inner: PreTrainedModel = model[0].auto_model  # type: ignore[assignment]
    names = {name.removeprefix(f"{inner.base_model_prefix}.") for name in stored}
    for old, new in _OLD_NAMES.items():
        names |= {name.removesuffix(old) + new for name in names if name.endswith(old)}
    missing = [name for name, _ in inner.named_parameters() if name not in names and "pooler." not in name]
    if missing:
        raise EncoderError(
            f"The weights of the encoder {spec.name} are incomplete",
            expected="every parameter of the model in its safetensors files",
            found=f"{len(missing)} missing, such as {missing[0]}",
            todo="fetch the model again",
        )
