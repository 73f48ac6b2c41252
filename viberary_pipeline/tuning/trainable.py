"""An encoder that can be trained: its backbone with low-rank adapters, its pooling, perhaps a projection.

Adapters are LoRA (Hu et al., 2021, arXiv:2106.09685): the weight W of each linear layer becomes W + scale * up @ down,
and only `up` and `down` are trained. `encoders.adapter` stores them and merges them.
"""

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from viberary_pipeline.encoders.shortened import no_layers

if TYPE_CHECKING:
    from tokenizers import Tokenizer  # type: ignore[import-untyped]
    from transformers import PreTrainedModel

Tokens = Sequence[int]
_OF_A_LAYER = re.compile(r"\w+\.layers?\.\d+\.")  # encoder.layer.0. of BERT, transformer.layer.0. of DistilBERT


def keep_layers(backbone: "PreTrainedModel", kept: Sequence[int]) -> None:
    """Leave these layers of the transformer alone in it, in this order."""
    for name, stack in backbone.named_modules():
        if isinstance(stack, nn.ModuleList) and _OF_A_LAYER.match(f"{name}.0."):
            parent, _, attribute = name.rpartition(".")
            setattr(backbone.get_submodule(parent), attribute, nn.ModuleList(stack[number] for number in kept))
            return
    raise no_layers(type(backbone).__name__)


class LowRank(nn.Module):
    """The parametrisation of one weight: W + scale * up @ down. It starts as W."""

    def __init__(self, weight: Tensor, rank: int, scale: float) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.scale = scale
        self.down = nn.Parameter(torch.empty(rank, columns))
        self.up = nn.Parameter(torch.zeros(rows, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """The merged weight."""
        return weight + self.scale * (self.up @ self.down)


class TrainableEncoder(nn.Module):
    """Texts to vectors of norm 1, with gradients.

    The backbone stays in evaluation mode, without dropout: a vector is the same each time, so that a large batch can
    be embedded in small parts (`fit`). Dropout gained nothing on readers' requests (docs/encoders.md).

    Args:
        backbone: The transformer, in float32.
        tokenizer: Its tokenizer.
        pooling: `mean` or `cls`.
        pad: The id of the padding token.
        rank: Of the adapters on each linear layer of the transformer; 0: the layers themselves are trained.
        word_rank: Of the adapter on the word vectors; 0: they stay.
        scale: What the adapters' products are multiplied by.
        projection: Dimensions of a linear layer after the pooling; 0: none.
        max_tokens: Where texts are cut.
        device: A torch device.
    """

    def __init__(
        self,
        backbone: "PreTrainedModel",
        tokenizer: "Tokenizer",
        *,
        pooling: str,
        pad: int,
        rank: int,
        scale: float,
        max_tokens: int,
        word_rank: int = 0,
        projection: int = 0,
        device: str = "cpu",
    ) -> None:
        super().__init__()
        if pooling not in ("mean", "cls"):
            raise ValueError(f"expected mean or cls pooling, found {pooling}")
        self.backbone, self.tokenizer, self.pooling, self.pad, self.device = backbone, tokenizer, pooling, pad, device
        self.max_tokens, self.scale = max_tokens, scale
        backbone.eval().requires_grad_(False)
        layers = self._layers()
        for layer in layers.values():
            if rank:
                parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank, scale))
            else:
                layer.requires_grad_(True)
        self._adapted: dict[str, nn.Module] = dict(layers)
        if word_rank:
            words: Any = backbone.get_input_embeddings()
            parametrize.register_parametrization(words, "weight", LowRank(words.weight, word_rank, scale))
            self._adapted |= {name: words for name, module in backbone.named_modules() if module is words}
        self.projection = nn.Linear(backbone.config.hidden_size, projection, bias=False) if projection else None
        self.to(device)

    def _layers(self) -> dict[str, nn.Linear]:
        modules = self.backbone.named_modules()
        return {name: layer for name, layer in modules if isinstance(layer, nn.Linear) and _OF_A_LAYER.match(name)}

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """The ids of each text, cut at `max_tokens`."""
        self.tokenizer.enable_truncation(self.max_tokens)
        self.tokenizer.no_padding()
        return [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]

    def forward(self, texts: Sequence[Tokens]) -> Tensor:
        """Vectors of norm 1, float32 (texts, dimensions)."""
        width = -(-max(map(len, texts)) // 16) * 16  # few different shapes: kernels and memory are reused
        ids = np.full((len(texts), min(width, 512)), self.pad, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        inputs = {
            "input_ids": torch.from_numpy(ids).to(self.device),
            "attention_mask": torch.from_numpy(mask).to(self.device),
        }
        with torch.autocast(self.device.partition(":")[0], dtype=torch.bfloat16, enabled=self.device != "cpu"):
            states = self.backbone(**inputs).last_hidden_state
        states = states.float()
        if self.pooling == "cls":
            pooled = states[:, 0]
        else:
            weights = inputs["attention_mask"].unsqueeze(-1).float()
            pooled = (states * weights).sum(1) / weights.sum(1)
        if self.projection is not None:
            pooled = self.projection(pooled)
        return functional.normalize(pooled, dim=-1)

    def in_parts(self, texts: Sequence[Tokens], part: int) -> list[list[int]]:
        """Rows of `texts` in parts of at most `part` texts of like length, which need little padding."""
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        return [order[start : start + part] for start in range(0, len(order), part)]

    @torch.no_grad()
    def encode(self, texts: Sequence[str], *, part: int = 64) -> NDArray[np.float32]:
        """Vectors of norm 1, float32 (len(texts), dimensions)."""
        tokens, found = self.tokens(texts), None
        with parametrize.cached():
            for rows in self.in_parts(tokens, part):
                vectors = self([tokens[row] for row in rows]).cpu().numpy()
                if found is None:
                    found = np.empty((len(texts), vectors.shape[1]), np.float32)
                found[rows] = vectors
        return np.empty((0, 0), np.float32) if found is None else found

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that training changes, by name."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}

    def adapter(self) -> dict[str, Any]:
        """The tensors of `encoders.adapter`'s format. Raises ValueError where whole layers were trained."""
        found: dict[str, Any] = {}
        for name, layer in self._adapted.items():
            if not parametrize.is_parametrized(layer, "weight"):
                raise ValueError("expected adapters of a rank, found an encoder trained whole")
            pair: Any = layer.parametrizations.weight[0]  # type: ignore[union-attr,index]
            found |= {f"{name}.down": pair.down, f"{name}.up": pair.up}
        if self.projection is not None:
            found["projection.weight"] = self.projection.weight
        return {name: tensor.detach().half().cpu() for name, tensor in found.items()}
