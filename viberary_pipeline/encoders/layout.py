"""Reads what a sentence-transformers folder says of itself from its configuration files, without torch.

Format: `modules.json` lists the modules in order; the transformer's `config.json`, tokenizer and weights lie
in its module's folder (usually the root); `1_Pooling/config.json` states the pooling. Both the spelling of
sentence-transformers up to 5.6 (`pooling_mode_mean_tokens: true`) and the later one (`pooling_mode: "mean"`)
are read. Supported are Transformer + Pooling (+ Dense) (+ Normalize), the Dense without bias or activation: a
projection. That is what the query encoder's graph can carry.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from viberary_pipeline.errors import EncoderError
from viberary_pipeline.typed_json import parse_json

MODULES = "modules.json"
POOLING_MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
_LEGACY_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_HIDDEN_SIZE_KEYS = ("hidden_size", "dim", "d_model", "n_embd")
# Keys of config.json that differ between copies of the same model and change no vector.
_INCIDENTAL_KEYS = {"architectures", "dtype", "torch_dtype", "transformers_version", "use_cache"}
_TOKENIZER_KEYS = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
# Modules in their order, and whether a model needs them.
_MODULES = {"Transformer": True, "Pooling": True, "Dense": False, "Normalize": False}
# Weights, configuration, tokenizer; never pickles, never the other runtimes' copies.
MODEL_FILES = ("*.safetensors", "*.json", "*.txt")
OTHER_RUNTIMES = ("onnx", "openvino")


@dataclass(frozen=True)
class ModelLayout:
    """What the files of one model say. `max_tokens` counts special tokens; `projected` is whether a linear layer
    follows the pooling; `behaviour` is every further configuration value that shapes a vector (architecture,
    lower-casing)."""

    dimensions: int
    pooling: str
    normalize: bool
    projected: bool
    max_tokens: int
    query_prefix: str
    document_prefix: str
    weights: tuple[Path, ...]
    tokenizer: Path
    behaviour: Mapping[str, Any]


def read_layout(folder: Path) -> ModelLayout:
    """Read the layout of the model in `folder`.

    Raises:
        EncoderError: a file is missing or unreadable, the weights are not safetensors, or the model has
            modules that the pipeline does not support.
    """
    try:
        return _read(folder)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # A value of another kind than its key's: a list of prompts, a number for a module's name.
        raise _unsupported(folder, f"a value of the wrong kind in its configuration ({error})") from error


def _read(folder: Path) -> ModelLayout:
    modules = _modules(folder)
    transformer, pooling_folder = modules["Transformer"], modules["Pooling"]
    config = read_json(transformer / "config.json")
    hidden = next((config[key] for key in _HIDDEN_SIZE_KEYS if key in config), None)
    pooling_config = read_json(pooling_folder / "config.json")
    dimensions = pooling_config.get("embedding_dimension", pooling_config.get("word_embedding_dimension"))
    if not isinstance(hidden, int) or hidden != dimensions:
        raise EncoderError(
            f"The model in {folder} contradicts itself",
            expected=f"a pooling module for the transformer's hidden size, {hidden}",
            found=f"pooling over {dimensions} dimensions",
            todo="fetch the model again",
        )
    settings = read_json(folder / "config_sentence_transformers.json", optional=True)
    query_prefix, document_prefix = _prefixes(settings)
    if settings.get("truncate_dim") or (
        pooling_config.get("include_prompt") is False and (query_prefix or document_prefix)
    ):
        raise _unsupported(folder, "truncated dimensions, or prompts left out of the pooling")
    tokenizer_config = read_json(transformer / "tokenizer_config.json", optional=True)
    sentence_config = _sentence_config(transformer)
    projection = modules.get("Dense")
    return ModelLayout(
        dimensions=hidden if projection is None else _projected(folder, projection, hidden),
        pooling=_pooling(folder, pooling_config),
        normalize="Normalize" in modules,
        projected=projection is not None,
        max_tokens=_max_tokens(folder, sentence_config, tokenizer_config, config),
        query_prefix=query_prefix,
        document_prefix=document_prefix,
        weights=(*_weights(transformer), *([_file(projection / "model.safetensors")] if projection else [])),
        tokenizer=_file(transformer / "tokenizer.json"),
        behaviour={
            "config": {
                key: value for key, value in config.items() if key not in _INCIDENTAL_KEYS and not key.startswith("_")
            },
            "tokenizer": {key: tokenizer_config.get(key) for key in _TOKENIZER_KEYS},
            "lower_case": bool(sentence_config.get("do_lower_case", False)),
        },
    )


def model_files(folder: Path) -> list[Path]:
    """The files that make the model in `folder`, sorted: weights, tokenizer and configuration, never another runtime's
    copy."""
    found = (path for pattern in MODEL_FILES for path in folder.rglob(pattern) if path.is_file())
    return sorted(path for path in found if path.relative_to(folder).parts[0] not in OTHER_RUNTIMES)


def state_dict_header(path: Path) -> Iterator[tuple[str, str, tuple[int, ...], int]]:
    """Name, type (`F32`), shape and place in the file, in bytes, of each tensor of a safetensors file.

    Format: eight bytes little-endian, the header's length; the header, JSON; the tensors.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    for name, tensor in header.items():
        if name != "__metadata__":
            yield name, tensor["dtype"], tuple(tensor["shape"]), 8 + length + tensor["data_offsets"][0]


def read_json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """The object in a JSON file; `{}` for a missing one if `optional`. Raises `EncoderError`."""
    if optional and not path.exists():
        return {}
    try:
        return parse_json(dict[str, Any], _file(path).read_bytes())
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"The model file {path} cannot be used",
            expected="a JSON object",
            found=f"{type(error).__name__}: {error}",
            todo="fetch the model again",
        ) from error


def _file(path: Path) -> Path:
    if not path.is_file():
        raise EncoderError(
            "The model is incomplete",
            expected=f"the file {path}",
            found="no such file",
            todo="give a folder that sentence-transformers saved (with modules.json, tokenizer.json and "
            "safetensors weights), or fetch the model again",
        )
    return path


def _unsupported(folder: Path, found: str) -> EncoderError:
    return EncoderError(
        f"The model in {folder} cannot be used",
        expected="the sentence-transformers modules Transformer and Pooling, with or without a projection (Dense) and "
        "Normalize",
        found=found,
        todo="choose another encoder",
    )


def _modules(folder: Path) -> dict[str, Path]:
    """The folder of each of the model's modules, by the module's kind."""
    try:
        modules = parse_json(list[dict[str, Any]], _file(folder / MODULES).read_bytes())
    except ValueError as error:
        raise _unsupported(folder, f"a {MODULES} that cannot be read ({error})") from error
    kinds = [str(module["type"]) for module in modules]
    paths = [folder / str(module["path"]) for module in modules]
    names = [kind.rsplit(".", 1)[-1] for kind in kinds]
    ours = all(kind.startswith("sentence_transformers.") for kind in kinds)
    if not ours or names != [name for name, needed in _MODULES.items() if needed or name in names]:
        raise _unsupported(folder, ", ".join(kinds) or "no modules")
    return dict(zip(names, paths, strict=True))


def _projected(folder: Path, dense: Path, hidden: int) -> int:
    """The dimensions behind a Dense module that is a plain projection of the pooled vector."""
    config = read_json(dense / "config.json", optional=True)
    activation = str(config.get("activation_function")).rpartition(".")[2]
    names = {config.get(key) or "sentence_embedding" for key in ("module_input_name", "module_output_name")}
    plain = (config.get("bias"), activation, names) == (False, "Identity", {"sentence_embedding"})
    if not plain or config.get("in_features") != hidden or not isinstance(config.get("out_features"), int):
        raise _unsupported(
            folder,
            f"no projection of {hidden} dimensions without bias or activation: sentence_transformers.models.Dense",
        )
    return int(config["out_features"])


def _pooling(folder: Path, config: Mapping[str, Any]) -> str:
    mode = config.get("pooling_mode")
    modes = [mode] if isinstance(mode, str) else list(mode or [])
    modes = modes or [name for key, name in _LEGACY_POOLING.items() if config.get(key)]
    if len(modes) != 1 or modes[0] not in POOLING_MODES:
        raise _unsupported(folder, f"pooling {modes}")
    return str(modes[0])


def _sentence_config(transformer: Path) -> dict[str, Any]:
    # One of sentence_bert_config.json, sentence_roberta_config.json, ...: named by the first architectures.
    found = sorted(transformer.glob("sentence_*_config.json"))
    return read_json(found[0]) if found else {}


def _max_tokens(folder: Path, *configs: Mapping[str, Any]) -> int:
    sentence, tokenizer, transformer = configs
    limit = sentence.get("max_seq_length") or tokenizer.get("model_max_length")
    positions = transformer.get("max_position_embeddings")
    limits = [int(value) for value in (limit, positions) if value and int(value) > 0]
    # Tokenizers without a limit of their own state a sentinel of 1e30.
    if not limits or min(limits) > 1_000_000:
        raise _unsupported(folder, "no limit on the number of tokens")
    return min(limits)


def _prefixes(settings: Mapping[str, Any]) -> tuple[str, str]:
    """Query and document prefix, by the names that sentence-transformers' encode_query and encode_document
    look for, the default prompt where none is stated. Saving a model adds an empty `document` beside a
    `passage` that its author stated: the one that is not empty counts."""
    prompts = settings.get("prompts") or {}
    default = prompts.get(settings.get("default_prompt_name"), "")
    documents = [prompts[name] for name in ("document", "passage", "corpus") if name in prompts]
    document = next((prompt for prompt in documents if prompt), "") if documents else default
    return str(prompts.get("query", default) or ""), str(document or "")


def _weights(transformer: Path) -> tuple[Path, ...]:
    single, index = transformer / "model.safetensors", transformer / "model.safetensors.index.json"
    if single.is_file():
        return (single,)
    if index.is_file():
        names = sorted(set(read_json(index).get("weight_map", {}).values()))
        return tuple(_file(transformer / name) for name in names)
    others = sorted(path.name for pattern in ("*.bin", "*.pt", "*.h5") for path in transformer.glob(pattern))
    raise EncoderError(
        f"The model in {transformer} has no safetensors weights",
        expected="model.safetensors (pickled weights can run code when loaded, so they never are)",
        found=", ".join(others) or "no weights at all",
        todo="convert the model: SentenceTransformer(folder).save(new_folder) writes safetensors",
    )
