"""One training as a folder: everything that it needs goes in, an adapter comes out, on this machine or on another.

Layout::

    job.json                    `TrainingJob`: the base, the recipe, and the identity of all that shapes the result
    model/                      the base's files, where the job is to run on another machine
    documents.parquet           text, one row a document; absent where queries alone are learned
    examples.parquet            query, document (row, -1: none), labelled
    teacher_queries.npy         float16 (examples, dimensions), of norm 1; absent without a teacher
    teacher_documents.npy       float16 (documents, dimensions), of norm 1
    checkpoint.pt               where a killed training goes on
    adapter.safetensors         the result
    done.json                   `Trained`, written last
    workers/, failed/           what workers on other machines say (`embedding.heartbeat`)

The same job gives the same adapter, killed and resumed or not, on one machine.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from viberary_pipeline.embedding.devices import choose_dtype
from viberary_pipeline.encoders.adapter import save_adapter
from viberary_pipeline.encoders.files import ResolvedEncoder
from viberary_pipeline.encoders.layout import read_layout
from viberary_pipeline.encoders.spec import ModelSpec
from viberary_pipeline.errors import ArtifactError, EncoderError
from viberary_pipeline.storage import write_atomically
from viberary_pipeline.tuning.recipe import Progress, Recipe
from viberary_pipeline.typed_json import parse_json

if TYPE_CHECKING:
    from viberary_pipeline.tuning.fit import Objective
    from viberary_pipeline.tuning.trainable import TrainableEncoder

JOB, MODEL, ADAPTER, CHECKPOINT, DONE = "job.json", "model", "adapter.safetensors", "checkpoint.pt", "done.json"
DOCUMENTS, EXAMPLES = "documents.parquet", "examples.parquet"
TEACHER_QUERIES, TEACHER_DOCUMENTS = "teacher_queries.npy", "teacher_documents.npy"
FILES = (JOB, ADAPTER, CHECKPOINT, DONE, DOCUMENTS, EXAMPLES, TEACHER_QUERIES, TEACHER_DOCUMENTS)
_PART_OF_GPU = 256  # texts that are embedded at a time
_FIRST_QUERIES = 4096  # that a projection is begun with


@dataclass(frozen=True)
class TrainingJob:
    """What `job.json` holds. `model_folder` is where the base's files lie on the machine that wrote the job."""

    identity: str
    base: ModelSpec
    model_folder: str
    fingerprint: str
    recipe: Recipe


@dataclass(frozen=True)
class Trained:
    """What a training says of itself.

    Attributes:
        examples: How many there were; each was seen `epochs` times.
        seconds: Of the process that finished it.
        pairs_per_second: Of that process.
        loss: A running mean at the end.
        peak_mb: Most memory of that process, in MB.
        device: Where it ran.
    """

    identity: str
    examples: int
    seconds: float
    pairs_per_second: float
    loss: float
    peak_mb: int
    device: str


@dataclass(frozen=True)
class Examples:
    """The rows of a training: queries, the row of each one's document (-1: none), whether a reader said so."""

    queries: Sequence[str]
    documents: Sequence[int]
    labelled: Sequence[bool]


def write_training(
    folder: Path,
    job: TrainingJob,
    examples: Examples,
    documents: Sequence[str] = (),
    *,
    teacher_queries: NDArray[np.float32] | None = None,
    teacher_documents: NDArray[np.float32] | None = None,
) -> None:
    """Fill a folder with a training; `job.json` comes last."""
    pq.write_table(pa.table({"text": pa.array(documents, pa.string())}), folder / DOCUMENTS)
    columns = {
        "query": pa.array(examples.queries, pa.string()),
        "document": pa.array(examples.documents, pa.int32()),
        "labelled": pa.array(examples.labelled, pa.bool_()),
    }
    pq.write_table(pa.table(columns), folder / EXAMPLES)
    for name, vectors in ((TEACHER_QUERIES, teacher_queries), (TEACHER_DOCUMENTS, teacher_documents)):
        if vectors is not None:
            np.save(folder / name, vectors.astype(np.float16))
    write_atomically(folder / JOB, json.dumps(asdict(job), indent=1))


def read_training(folder: Path) -> TrainingJob:
    """The job in a folder. Raises `ArtifactError` if there is none."""
    try:
        return parse_json(TrainingJob, (folder / JOB).read_bytes())
    except (OSError, ValueError) as error:
        raise ArtifactError(
            "This folder holds no training",
            expected=f"{folder / JOB}",
            found=f"{type(error).__name__}: {error}",
            todo="run `viberary tune` again, which writes it",
        ) from error


def trained_already(folder: Path, identity: str) -> Trained | None:
    """What the finished training of this identity in a folder said of itself, or None."""
    try:
        done = parse_json(Trained, (folder / DONE).read_bytes())
    except (OSError, ValueError):
        return None
    return done if done.identity == identity and (folder / ADAPTER).is_file() else None


def run_training(
    folder: Path,
    *,
    device: str = "auto",
    report: Callable[[Progress], None] = lambda _: None,
    seconds_between_checkpoints: float = 60.0,
) -> Trained:
    """Train what a folder holds, from its checkpoint if there is one; nothing is done twice.

    Args:
        folder: A training, as `write_training` leaves it.
        device: `auto` (a GPU if there is one), `cpu`, `cuda`.
        report: Called after every step.
        seconds_between_checkpoints: How much work a kill may cost.

    Raises:
        ArtifactError: the folder holds no training.
        EncoderError: the base cannot be trained.
        SettingsError: there is no CUDA that this torch can use, and the device is `cuda`.
    """
    job = read_training(folder)
    if (done := trained_already(folder, job.identity)) is not None:
        return done
    import torch

    from viberary_pipeline.tuning.fit import fit

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    choose_dtype(device, "float32")
    torch.manual_seed(job.recipe.fit.seed)  # the adapters' first numbers
    model = folder / MODEL if (folder / MODEL).is_dir() else Path(job.model_folder)
    base = ResolvedEncoder(job.base, model, job.fingerprint)
    encoder = trainable(base, job.recipe, device)
    started, last = time.monotonic(), Progress(0, 0, 0.0, 0.0)

    def watch(progress: Progress) -> None:
        nonlocal last
        last = progress
        report(progress)

    objective = _objective(folder, job, encoder)
    # A GPU has the memory, and small parts leave it idle. Parts change nothing but rounding.
    settings = job.recipe.fit if device == "cpu" else replace(job.recipe.fit, part=_PART_OF_GPU)
    fit(
        encoder,
        objective,
        settings,
        checkpoint=folder / CHECKPOINT,
        identity=job.identity,
        seconds_between_checkpoints=seconds_between_checkpoints,
        report=watch,
    )
    save_adapter(
        folder / ADAPTER,
        encoder.adapter(),
        base=base,
        scale=job.recipe.scale,
        kept=job.recipe.kept,
        metadata={"recipe": json.dumps(asdict(job.recipe)), "identity": job.identity},
    )
    done = Trained(
        identity=job.identity,
        examples=len(objective),
        seconds=round(time.monotonic() - started, 1),
        pairs_per_second=round(last.examples_per_second, 2),
        loss=round(last.loss, 4),
        peak_mb=peak_mb(),
        device=device if device == "cpu" else torch.cuda.get_device_name(),
    )
    write_atomically(folder / DONE, json.dumps(asdict(done)))
    return done


def trainable(base: ResolvedEncoder, recipe: Recipe, device: str) -> "TrainableEncoder":
    """The base, ready to be trained.

    Raises:
        EncoderError: it is of a kind that adapters do not fit.
    """
    import torch
    from tokenizers import Tokenizer  # type: ignore[import-untyped]
    from transformers import AutoModel

    from viberary_pipeline.tuning.trainable import TrainableEncoder, keep_layers

    layout = read_layout(base.folder)
    if layout.projected or layout.pooling not in ("mean", "cls"):
        raise EncoderError(
            f"The encoder {base.spec.name} cannot be tuned",
            expected="a transformer with mean or cls pooling, and no projection behind it",
            found=f"{layout.pooling} pooling{', a projection' if layout.projected else ''}",
            todo="tune the encoder that it was made from (--base)",
        )
    backbone = AutoModel.from_pretrained(
        layout.weights[0].parent, local_files_only=True, use_safetensors=True, dtype=torch.float32
    )
    if recipe.kept:
        keep_layers(backbone, recipe.kept)
    encoder = TrainableEncoder(
        backbone,
        Tokenizer.from_file(str(layout.tokenizer)),
        pooling=layout.pooling,
        pad=backbone.config.pad_token_id or 0,
        rank=recipe.rank,
        word_rank=recipe.word_rank,
        scale=recipe.scale,
        max_tokens=min(recipe.max_tokens, base.spec.max_tokens),
        projection=recipe.projection,
        device=device,
    )
    if not encoder.trained():
        raise EncoderError(
            f"The encoder {base.spec.name} cannot be tuned",
            expected="linear layers named like encoder.layer.0.attention.self.query",
            found=f"none in a {type(backbone).__name__}",
            todo="choose another encoder (--base)",
        )
    return encoder


def peak_mb() -> int:
    """The most memory that this process has held, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)


def _objective(folder: Path, job: TrainingJob, encoder: "TrainableEncoder") -> "Objective":
    import torch

    from viberary_pipeline.tuning.objectives import Example, FindDocuments, ImitateQueries, Teacher, first_projection

    rows = pq.read_table(folder / EXAMPLES)
    queries = [job.base.query_prefix + query for query in rows["query"].to_pylist()]
    theirs = np.load(folder / TEACHER_QUERIES) if (folder / TEACHER_QUERIES).exists() else None
    their_documents = np.load(folder / TEACHER_DOCUMENTS).astype(np.float32) if theirs is not None else None
    if job.recipe.objective == "imitate":
        assert theirs is not None
        assert their_documents is not None
        if (projection := encoder.projection) is not None:
            encoder.projection = None
            some = np.random.default_rng(job.recipe.fit.seed).permutation(len(queries))[:_FIRST_QUERIES]
            start = first_projection(encoder.encode([queries[row] for row in some]), theirs[some])
            with torch.no_grad():
                projection.weight.copy_(torch.from_numpy(start))
            encoder.projection = projection
        return ImitateQueries(encoder, queries, theirs, their_documents, sharpness=job.recipe.sharpness)
    documents = [job.base.document_prefix + text for text in pq.read_table(folder / DOCUMENTS)["text"].to_pylist()]
    examples = [
        Example(query, row, labelled)
        for query, row, labelled in zip(
            queries, rows["document"].to_pylist(), rows["labelled"].to_pylist(), strict=True
        )
    ]
    teacher = None
    if theirs is not None and their_documents is not None:
        teacher = Teacher(theirs.astype(np.float32), their_documents, weight=job.recipe.teacher_weight)
    return FindDocuments(encoder, documents, examples, sharpness=job.recipe.sharpness, teacher=teacher)
