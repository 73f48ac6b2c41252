"""An encoder on torch: on a GPU, or on a CPU without onnxruntime."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viberary_pipeline.embedding.batches import Ids, padded
from viberary_pipeline.encoders.spec import ModelSpec
from viberary_pipeline.encoders.torch_model import load_sentence_transformer
from viberary_pipeline.machine import usable_cores

# A GPU wants enough work per launch, a CPU its caches: 16 texts of 256 tokens.
_BUDGET = {"cpu": 4096, "cuda": 65536}
# Tensor cores work on tiles of eight half-precision numbers.
_MULTIPLE = {"cpu": 1, "cuda": 8}


class TorchBackend:
    """The transformer in `dtype`; pooling and scaling to norm 1 in float32.

    Attention is torch's scaled_dot_product_attention, which on a GPU takes the memory-efficient or flash kernel; a
    batch of equally long texts goes without a mask.
    """

    def __init__(self, spec: ModelSpec, folder: Path, *, device: str, dtype: str, threads: int | None = None) -> None:
        import torch

        if device == "cpu":
            torch.set_num_threads(threads or usable_cores())
        self.device, self.dtype = device, dtype
        self.budget, self.multiple = _BUDGET[device], _MULTIPLE[device]
        self._model = load_sentence_transformer(spec, folder, device=device, dtype=dtype)
        self._limit, self._dimensions = spec.max_tokens, spec.dimensions
        self._tokenizer = self._model.tokenizer
        self._pad = self._tokenizer.pad_token_id or 0
        self._left = self._tokenizer.padding_side == "left"

    def tokenize(self, texts: Sequence[str]) -> Sequence[Sequence[int]]:
        if not texts:
            return []
        found: Sequence[Sequence[int]] = self._tokenizer(
            list(texts),
            truncation=True,
            max_length=self._limit,
            return_attention_mask=False,
            return_token_type_ids=False,
        )["input_ids"]
        return found

    def run(self, ids: Sequence[Ids], width: int) -> Any:
        import torch

        tokens, mask = (torch.from_numpy(array) for array in padded(ids, width, self._pad, left=self._left))
        if self.device == "cuda":
            # From pinned memory the copy runs beside the kernels of the batch before.
            tokens, mask = (array.pin_memory().to("cuda", non_blocking=True) for array in (tokens, mask))
        with torch.inference_mode():
            features = self._model[0]({"input_ids": tokens, "attention_mask": mask})
            features["token_embeddings"] = features["token_embeddings"].float()
            for module in list(self._model)[1:]:
                features = module(features)
            vectors: torch.Tensor = torch.nn.functional.normalize(features["sentence_embedding"].float(), dim=1)
        return vectors

    def collect(self, outputs: Sequence[Any]) -> NDArray[np.float32]:
        import torch

        if not outputs:
            return np.empty((0, self._dimensions), dtype=np.float32)
        # One copy for all: reading each batch would stall the GPU.
        vectors: NDArray[np.float32] = torch.cat(list(outputs)).cpu().numpy()
        return vectors

    def free(self) -> None:
        if self.device == "cuda":
            import torch

            torch.cuda.empty_cache()
