"""A small seeded sentence-transformers folder: the real libraries' classes and file formats, tiny sizes."""

import contextlib
import io
import json
import string
from pathlib import Path

DIMENSIONS = 32
MAX_TOKENS = 48
WORDS = (
    "book",
    "revenge",
    "sea",
    "garden",
    "robot",
    "quiet",
    "winter",
    "query",
    "passage",
    "the",
    "and",
    "of",
)


def make_tiny_model(
    folder: Path,
    *,
    seed: int = 7,
    normalize: bool = True,
    pooling: str = "mean",
    prompts: dict[str, str] | None = None,
    dimensions: int = DIMENSIONS,
    architecture: str = "distilbert",
) -> Path:
    """Save a two-layer DistilBERT, or MPNet, with its own WordPiece vocabulary in `folder`; same seed, same bytes."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules.transformer import Transformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import (
        DistilBertConfig,
        DistilBertModel,
        MPNetConfig,
        MPNetModel,
        PreTrainedTokenizerFast,
    )

    characters = string.ascii_lowercase + string.digits + string.punctuation
    tokens = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *WORDS,
        *characters,
        *(f"##{c}" for c in characters),
    ]
    if architecture == "mpnet":
        tokens[:2] = tokens[1::-1]  # MPNet's padding is 1, whatever its configuration says
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    torch.manual_seed(seed)
    transformer = folder.with_name(f"{folder.name}.transformer")
    if architecture == "mpnet":
        mpnet = MPNetConfig(
            vocab_size=len(vocabulary),
            hidden_size=dimensions,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
            initializer_range=0.2,
            pad_token_id=vocabulary["[PAD]"],
        )
        MPNetModel(mpnet).save_pretrained(transformer, safe_serialization=True)
    else:
        distilbert = DistilBertConfig(
            vocab_size=len(vocabulary),
            dim=dimensions,
            n_layers=2,
            n_heads=2,
            hidden_dim=64,
            max_position_embeddings=64,
            initializer_range=0.2,
        )
        DistilBertModel(distilbert).save_pretrained(transformer, safe_serialization=True)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=MAX_TOKENS,
        model_input_names=["input_ids", "attention_mask"],  # neither takes token types
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(transformer)

    modules = [Transformer(str(transformer)), Pooling(dimensions, pooling_mode=pooling)]
    modules += [Normalize()] if normalize else []
    with contextlib.redirect_stdout(io.StringIO()):
        SentenceTransformer(modules=modules, device="cpu", prompts=prompts).save(str(folder), create_model_card=False)
    return folder


def edit_json(path: Path, **values: object) -> None:
    """Change values of a JSON object on disk."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
