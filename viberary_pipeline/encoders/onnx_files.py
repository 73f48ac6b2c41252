"""The files of an exported encoder: their names, and the checks that they pass before they are used.

::

    model.onnx        input_ids, attention_mask (int64, batch x tokens) -> sentence_embedding (float32, norm 1)
    tokenizer.json    for the tokenizers library
    encoder.json      spec, fingerprint, precision, padding, parity figures, probes; `space` where it is that of
                      another encoder (`encoders.space`); the SHA-256 of the other files, and a digest of itself,
                      so that a changed byte shows in whichever file it is
    model.int8.onnx   where documents are embedded in int8 (`embedding.int8`): the quantised copy of model.onnx

`encoders.onnx_export` writes them; `encoders.query_encoder` (search) and `embedding.onnx_backend` (documents) read
them, with onnxruntime, tokenizers and numpy alone.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viberary_pipeline.artifacts import digest, file_sha256
from viberary_pipeline.errors import EncoderError
from viberary_pipeline.storage import write_atomically
from viberary_pipeline.typed_json import parse_json

MODEL, TOKENIZER, ENCODER, INT8 = "model.onnx", "tokenizer.json", "encoder.json", "model.int8.onnx"
INPUTS, OUTPUT = ("input_ids", "attention_mask"), "sentence_embedding"
FORMAT = 2


def write_description(folder: Path, description: Mapping[str, Any]) -> dict[str, Any]:
    """Write `encoder.json` for the files that lie in `folder`; returns what it holds."""
    present = [name for name in (MODEL, TOKENIZER, INT8) if (folder / name).is_file()]
    written = {
        **description,
        "format": FORMAT,
        "files": {name: file_sha256(folder / name) for name in present},
    }
    written["digest"] = _own_digest(written)
    write_atomically(folder / ENCODER, json.dumps(written, indent=1, ensure_ascii=False))
    return written


def read_description(folder: Path) -> dict[str, Any]:
    """What `encoder.json` says of an export, without a look at the other files. Raises `EncoderError`."""
    path = folder / ENCODER
    try:
        description = parse_json(dict[str, Any], path.read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if description.get("format") != FORMAT:
        raise _damaged(path, f"format {description.get('format')!r}, where this version reads {FORMAT}")
    if description.get("digest") != _own_digest(description):
        raise _damaged(path, "other values than those that its digest was taken of")
    return description


def verify_export(folder: Path) -> dict[str, Any]:
    """What `encoder.json` says, once it and every file that it names have their digests. Raises `EncoderError`."""
    description = read_description(folder)
    for name, expected in description["files"].items():
        try:
            found = file_sha256(folder / name)
        except OSError as error:
            raise _damaged(folder / name, type(error).__name__) from error
        if found != expected:
            raise _damaged(folder / name, f"SHA-256 {found[:16]}..., not {expected[:16]}...")
    return description


def open_session(graph: Path, *, threads: int, spinning: bool = True) -> Any:
    """An onnxruntime session over `graph` on the CPU.

    Args:
        graph: A file that was verified.
        threads: Threads within one call.
        spinning: Whether idle threads wait busily, which takes the cores from others.

    Raises:
        EncoderError: onnxruntime does not take the graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only: warnings go to the process's standard error
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    try:
        return onnxruntime.InferenceSession(str(graph), sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # each of onnxruntime's own kinds
        raise _damaged(graph, f"{type(error).__name__}: {str(error)[:300]}") from error


def load_tokenizer(folder: Path, description: Mapping[str, Any], *, padding: bool = True) -> Any:
    """The tokenizer of an export, which cuts and (if `padding`) pads as `description` says."""
    from tokenizers import Tokenizer  # type: ignore[import-untyped]

    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # tokenizers raises nothing more special
        raise _damaged(folder / TOKENIZER, f"{type(error).__name__}: {str(error)[:300]}") from error
    tokenizer.enable_truncation(max_length=description["spec"]["max_tokens"])
    tokenizer.no_padding()
    if padding:
        pad = description["padding"]
        tokenizer.enable_padding(direction=pad["side"], pad_id=pad["id"], pad_token=pad["token"])
    return tokenizer


def model_inputs(tokenizer: Any, texts: list[str]) -> dict[str, NDArray[np.int64]]:
    """What the graph takes for these texts: input_ids and attention_mask, int64 (texts, tokens)."""
    encodings = tokenizer.encode_batch(texts)
    columns = ([e.ids for e in encodings], [e.attention_mask for e in encodings])
    return {name: np.array(column, dtype=np.int64) for name, column in zip(INPUTS, columns, strict=True)}


def _own_digest(description: Mapping[str, Any]) -> str:
    return digest({name: value for name, value in description.items() if name != "digest"})


def _damaged(path: Path, found: str) -> EncoderError:
    return EncoderError(
        "The exported encoder is damaged",
        expected=f"{path} as the export wrote it",
        found=found,
        todo="run `viberary build` again: it exports the encoder again",
    )
