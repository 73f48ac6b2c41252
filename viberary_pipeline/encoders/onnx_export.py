"""Exports an encoder as one ONNX file for search, and proves that it gives the same vectors.

Pooling and normalisation lie inside the graph. `encoders.onnx_files` has the files; `encoder.json` is written last.
`encoders.precision` decides between float32 and int8.
"""

import contextlib
import logging
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from viberary_pipeline.encoders.files import ResolvedEncoder
from viberary_pipeline.encoders.onnx_files import (
    INPUTS,
    MODEL,
    OUTPUT,
    TOKENIZER,
    verify_export,
    write_description,
)
from viberary_pipeline.encoders.parity_queries import PARITY_QUERIES
from viberary_pipeline.encoders.precision import Precision, choose, cosines, near_in_int8
from viberary_pipeline.encoders.query_encoder import PROBES, QueryEncoder
from viberary_pipeline.encoders.torch_model import load_sentence_transformer
from viberary_pipeline.errors import EncoderError
from viberary_pipeline.storage import replacing_folder

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)

LEAST_COSINE = 0.99999
_NOISY_LOGGERS = ("optimum", "transformers", "sentence_transformers", "torch.onnx")


def export_query_encoder(
    encoder: ResolvedEncoder, out: Path, *, precision: Precision = "fp32", float32: Path | None = None
) -> dict[str, Any]:
    """Write `model.onnx`, `tokenizer.json` and `encoder.json` into the folder `out`, and nothing else.

    Args:
        encoder: The model.
        out: Where to.
        precision: `fp32`; `int8`, refused if it is too far from the model; `auto`, int8 if it is not.
        float32: A folder that the float32 export becomes if `out` gets int8, in place of what is there.

    Returns:
        What `encoder.json` holds: spec, fingerprint, opset, padding, digests; `precision`;
        `parity` (of each precision that was made: queries, least and mean cosine to the original model, and what
        `encoders.precision` measures); `probes`, with which QueryEncoder proves itself on each machine.

    Raises:
        EncoderError: the model cannot be exported, or a parity query's cosine is below 0.99999 in float32.
        GateRefused: int8 was asked for and does not pass.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=out) as scratch, _quiet():
        # The folder is parity-tested as a whole before any of it shows under its final name.
        work = Path(scratch) / "fp32"
        work.mkdir()
        model = load_sentence_transformer(encoder.spec, encoder.folder)
        opset = _export_graph(model, encoder, Path(scratch) / "optimum", work / MODEL)
        _save_tokenizer(model, work / TOKENIZER)
        description: dict[str, Any] = {
            "spec": encoder.spec.to_json(),
            "fingerprint": encoder.fingerprint,
            "opset": opset,
            "precision": "fp32",
            "padding": {
                "id": model.tokenizer.pad_token_id or 0,
                "token": model.tokenizer.pad_token or "",
                "side": model.tokenizer.padding_side,
            },
        }
        write_description(work, description)
        queries = list(PARITY_QUERIES)
        expected = np.asarray(
            model.encode(queries, prompt=encoder.spec.query_prefix, batch_size=16, show_progress_bar=False)
        )
        description["parity"] = {"fp32": _parity(encoder, work, queries, expected)}
        if precision != "fp32":
            small = near_in_int8(work, Path(scratch), queries, expected)
            chosen, figures = choose(precision, work, small, queries, expected)
            description["parity"] |= figures
            if chosen == "int8":
                exact, work = work, small
                if float32 is not None:
                    _keep(exact, float32)
                description["precision"] = "int8"
        description["probes"] = _probes(QueryEncoder(work))
        for name in (MODEL, TOKENIZER):
            (work / name).replace(out / name)
        return write_description(out, description)


def float32_graph(encoder: ResolvedEncoder, folder: Path, *, make: bool = False) -> Path | None:
    """The float32 export of `encoder` in `folder`, verified; a damaged one is named in the log and made anew.

    None where there is none, unless `make`: then it is made. Raises `EncoderError` if it cannot be.
    """
    if not (make or folder.exists()):
        return None
    try:
        if verify_export(folder)["fingerprint"] == encoder.fingerprint:
            return folder
        problem = "another encoder"
    except EncoderError as error:
        problem = f"{error.expected}: {error.found}"
    if folder.exists():
        log.warning("the float32 graph in %s is damaged (%s): it is exported anew", folder, problem)
    with replacing_folder(folder) as scratch:
        export_query_encoder(encoder, scratch)
    return folder


def _export_graph(model: "SentenceTransformer", encoder: ResolvedEncoder, scratch: Path, target: Path) -> int:
    """Export `model` to the one file `target`, with the sentence embedding, of norm 1, as its only output.

    Returns the opset."""
    import onnx
    from optimum.exporters.onnx import onnx_export_from_model
    from sentence_transformers.sentence_transformer.modules import Normalize

    if not encoder.spec.normalize:
        model.append(Normalize())
    try:
        onnx_export_from_model(model, scratch, task="feature-extraction", do_validation=False)
        graph_file = onnx.load(scratch / MODEL)
    except (ValueError, RuntimeError, NotImplementedError, OSError) as error:
        raise EncoderError(
            f"The encoder {encoder.spec.name} cannot be exported",
            expected="an architecture that optimum-onnx exports",
            found=f"{type(error).__name__}: {str(error)[:500]}",
            todo="choose another encoder",
        ) from error
    graph = graph_file.graph
    names = {"inputs": sorted(i.name for i in graph.input), "outputs": sorted(o.name for o in graph.output)}
    oversized = (scratch / f"{MODEL}_data").exists()
    if names["inputs"] != sorted(INPUTS) or OUTPUT not in names["outputs"] or oversized:
        raise EncoderError(
            f"The encoder {encoder.spec.name} cannot be exported",
            expected=f"input_ids and attention_mask in, {OUTPUT} out, in one file of at most 2 GB",
            found=f"{names}{', more than one file' if oversized else ''}",
            todo="choose another encoder",
        )
    for unused in [output for output in graph.output if output.name != OUTPUT]:
        graph.output.remove(unused)
    width = graph.output[0].type.tensor_type.shape.dim[1]
    width.Clear()
    width.dim_value = encoder.spec.dimensions  # traced as a free dimension; QueryEncoder checks it per call
    onnx.checker.check_model(graph_file)
    onnx.save(graph_file, target)
    shutil.rmtree(scratch)
    return next(int(entry.version) for entry in graph_file.opset_import if entry.domain in ("", "ai.onnx"))


def _save_tokenizer(model: "SentenceTransformer", target: Path) -> None:
    """Save the tokenizer as the model really applies it: the loader may have changed what the file in the
    model's folder says (lower-casing)."""
    from tokenizers import Tokenizer  # type: ignore[import-untyped]

    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.save(str(target))


def _parity(
    encoder: ResolvedEncoder, folder: Path, queries: list[str], expected: NDArray[np.float32]
) -> dict[str, float | int]:
    """Compare the export in `folder` with the model's own vectors, in batches and one query at a time.

    Raises `EncoderError` below `LEAST_COSINE`."""
    exported = QueryEncoder(folder)
    batched = exported.encode(queries)
    alone = np.concatenate([exported.encode([query]) for query in queries])
    found = np.minimum(cosines(batched, expected), cosines(alone, expected))
    worst = int(found.argmin())
    if not found[worst] >= LEAST_COSINE:
        raise EncoderError(
            f"The export of the encoder {encoder.spec.name} does not agree with the model",
            expected=f"a cosine of at least {LEAST_COSINE} for each of {len(queries)} queries",
            found=f"{found[worst]:.6f} for {queries[worst][:60]!r}",
            todo="choose another encoder, or other versions of torch, optimum-onnx and onnxruntime",
        )
    return {
        "queries": len(queries),
        "min_cosine": round(float(found.min()), 8),
        "mean_cosine": round(float(found.mean()), 8),
    }


def _keep(exact: Path, float32: Path) -> None:
    """Make the export `exact` the folder `float32`. Nobody fails for want of it: torch computes then."""
    try:
        with replacing_folder(float32) as scratch:
            for path in exact.iterdir():
                shutil.move(path, scratch)
    except OSError as error:
        log.warning("the float32 graph is not kept in %s: %s", float32, error)


def _probes(exported: QueryEncoder) -> list[dict[str, Any]]:
    """A few queries with their vectors, rounded: what the same files must give on any machine."""
    return [
        {"query": query, "vector": [round(float(value), 5) for value in vector]}
        for query, vector in zip(PROBES, exported.encode(PROBES), strict=True)
    ]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter off standard output, and its tracer's warnings off standard error."""
    # Imported here because optimum sets its loggers' levels when first used: first that, then ours.
    from optimum.exporters.onnx import onnx_export_from_model  # noqa: F401

    loggers = [logging.getLogger(name) for name in _NOISY_LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
