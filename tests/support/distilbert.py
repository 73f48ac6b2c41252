"""A DistilBERT of msmarco-distilbert-base-v3's true architecture with seeded weights: real in all but its training."""

import contextlib
import io
from pathlib import Path

DIMENSIONS = 768
_VOCABULARY = 30_522


def make_distilbert(folder: Path, *, seed: int = 3, layers: int = 6) -> Path:
    """Save it in `folder` in sentence-transformers' format, with the tokenizer of all-MiniLM-L6-v2: both are BERT's
    uncased English one. Same seed, same bytes."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules.transformer import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import DistilBertConfig, DistilBertModel, DistilBertTokenizerFast

    from viberary_pipeline.encoders import resolve

    torch.manual_seed(seed)
    transformer = folder.with_name(f"{folder.name}.transformer")
    config = DistilBertConfig(vocab_size=_VOCABULARY, n_layers=layers)
    assert (config.dim, config.hidden_dim, config.n_heads) == (DIMENSIONS, 3072, 12)
    DistilBertModel(config).save_pretrained(transformer, safe_serialization=True)
    tokenizer = DistilBertTokenizerFast.from_pretrained(resolve("all-MiniLM-L6-v2").folder)
    tokenizer.model_max_length = 512
    tokenizer.save_pretrained(transformer)
    modules = [Transformer(str(transformer)), Pooling(DIMENSIONS, pooling_mode="mean")]
    with contextlib.redirect_stdout(io.StringIO()):
        SentenceTransformer(modules=modules, device="cpu").save(str(folder), create_model_card=False)
    return folder
