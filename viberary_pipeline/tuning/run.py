"""One run of `viberary tune` or `viberary distil`, from its files to its verdict.

Everything of a run lies in `VIBERARY_HOME/tuning/NAME/` until it ends, or, where another machine trains, in S3 as well;
the same command goes on where a killed one was. Two runs of one name do not meet. The home itself is held only while
documents are embedded and while the result is registered, so that builds go on meanwhile.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from viberary_pipeline.artifacts import digest, file_sha256
from viberary_pipeline.code_digest import code_digest
from viberary_pipeline.encoders.files import ResolvedEncoder, fingerprint, model_folder
from viberary_pipeline.encoders.home import VERDICT, check_name, encoders_of, register
from viberary_pipeline.encoders.spec import ModelSpec
from viberary_pipeline.errors import ArtifactError
from viberary_pipeline.evaluation.queries import QuerySet
from viberary_pipeline.home_lock import hold_home
from viberary_pipeline.tuning.card import model_card
from viberary_pipeline.tuning.catalogue import read_catalogue
from viberary_pipeline.tuning.gate import SetFigures, Verdict, compare, found_by
from viberary_pipeline.tuning.recipe import Progress, Recipe
from viberary_pipeline.tuning.split import HELD_OUT_REQUESTS, HELD_OUT_WORKS, Files, answers, read_sets, split
from viberary_pipeline.tuning.training import (
    ADAPTER,
    FILES,
    Examples,
    Trained,
    TrainingJob,
    peak_mb,
    read_training,
    run_training,
    write_training,
)
from viberary_pipeline.tuning.vectors import Vectors
from viberary_pipeline.typed_json import parse_json

DocumentVectors = Callable[[ResolvedEncoder, Sequence[tuple[str, str]]], NDArray[np.float32]]
"""The vectors of (text_hash, text) pairs by an encoder, float32 (texts, dimensions); what the home's store lacks is
embedded."""
Device = Literal["auto", "cpu", "cuda"]
Say = Callable[[str], object]
Report = Callable[[Progress], None]


@dataclass(frozen=True)
class TuneOptions:
    """What is wanted of one run.

    Attributes:
        name: What the encoder will be called.
        base: The encoder that is trained on; empty (`distil`): the teacher.
        teacher: Of `tune`: a larger encoder whose order is learned too; of `distil`: whose space queries are to enter.
        requests: Files of judged requests to train on.
        judged: Files of judged requests to judge by.
        epochs, batch, rank, word_rank, learning_rate: In place of the recipe's.
        layers: Of `distil`: how many of the base's the student keeps.
        texts: Of `distil`: files of texts, one a line, that the student learns from besides.
        most_texts: Of `distil`: how many texts the student learns from.
        refit: Of `tune`: an accepted encoder is trained once more, with the requests that were held out.
        seed: Of every choice.
        device: Where to train.
        checkpoint_seconds: How much work a kill may cost.
        most_tokens: Where the recipe of documents cuts texts, if it does.
    """

    name: str
    base: str
    teacher: str = ""
    requests: tuple[Files, ...] = ()
    judged: tuple[Files, ...] = ()
    epochs: int | None = None
    batch: int | None = None
    rank: int | None = None
    word_rank: int | None = None
    learning_rate: float | None = None
    layers: int | None = None
    texts: tuple[Path, ...] = ()
    most_texts: int | None = None
    refit: bool = False
    seed: int = 0
    device: Device = "auto"
    checkpoint_seconds: float = 60.0
    most_tokens: int | None = None


@dataclass(frozen=True)
class TuneOutcome:
    """What a run came to: the object of `--json`, and whether the gate let the encoder through."""

    accepted: bool
    result: dict[str, Any]


def lock_folder(home: Path, name: str) -> Path:
    """What holds the name of a run: beside its folder, which goes in the end, so that the lock's file stays."""
    return home / "tuning" / ".locks" / name


class Trainer(Protocol):
    """Somewhere to train."""

    def __call__(
        self, folder: Path, base: ResolvedEncoder, options: TuneOptions, say: Say, report: Report
    ) -> tuple[Trained, Mapping[str, Any]]:
        """Train what `write_training` put in `folder`, from where it was, so that the adapter lies there too; returns
        what the training says of itself, and what is known of the machine where it is another one."""


def train_here(
    folder: Path, base: ResolvedEncoder, options: TuneOptions, say: Say, report: Report
) -> tuple[Trained, Mapping[str, Any]]:
    """The trainer of this process."""
    trained = run_training(
        folder, device=options.device, report=report, seconds_between_checkpoints=options.checkpoint_seconds
    )
    return trained, {}


class Run:
    """What both commands share. Arguments and errors as in `tune`; with `space`, queries are to enter that encoder's
    space, which embeds the documents."""

    def __init__(
        self,
        home: Path,
        options: TuneOptions,
        base: ResolvedEncoder,
        standing: Sequence[QuerySet],
        document_vectors: DocumentVectors,
        say: Say,
        report: Report,
        trainer: Trainer,
        *,
        space: ResolvedEncoder | None = None,
    ) -> None:
        check_name(options.name, options.base)
        self.home, self.options, self.base, self.space = home, options, base, space
        self._document_vectors, self._say, self._report, self._trainer = document_vectors, say, report, trainer
        self._started = time.monotonic()
        self.folder = home / "tuning" / options.name
        self.whole = self.folder / "whole"
        self.vectors = Vectors(self.folder / "vectors", _cpu_or_cuda(options.device))
        requests, judged = read_sets(options.requests), read_sets(options.judged)
        self.catalogue = read_catalogue(home, answers([*requests, *judged, *standing]))
        judged += [known for known in standing if known.judges(self.catalogue.ids)]
        self.split = split(self.catalogue, requests, judged, seed=options.seed)
        for name, count in self.split.unknown.items():
            say(f"{name}: {count:,} works that it names are not in this catalogue")

    def identity(self, recipe: Recipe, folder: Path | None = None) -> str:
        """Names all that shapes the result: data, settings, code, and the folder if it is not the run's."""
        options = self.options
        return digest(
            [
                *(asdict(recipe), options.name, self.base.fingerprint, options.teacher, self.catalogue.key),
                [[file_sha256(path) for path in files] for files in (*options.requests, (), *options.judged)],
                [[file_sha256(path) for path in options.texts], options.most_texts, options.refit],
                "whole" if folder == self.whole else "",
                [(judged.name, len(judged.queries)) for judged in self.split.sets],
                self.space.fingerprint if self.space else "",
                code_digest("tuning", "evaluation/queries.py", "ranking_metrics.py"),
            ]
        )

    @contextmanager
    def alone(self, recipe: Recipe) -> Iterator[TuneOutcome | None]:
        """Hold the name for the block. Gives what an equal run came to, if its encoder is registered."""
        lock = lock_folder(self.home, self.options.name)
        for folder in (lock, self.folder):
            folder.mkdir(parents=True, exist_ok=True)
        with hold_home(lock, what=f"training of {self.options.name}", say=self._say):
            try:
                known = parse_json(dict[str, Any], (self.home / "encoders" / self.options.name / VERDICT).read_bytes())
            except (OSError, ValueError):
                known = {}
            if known.get("identity") == self.identity(recipe):
                self._say(f"{self.options.name} is this very encoder already: nothing is trained")
                yield TuneOutcome(known["verdict"] == "accepted", known)
            else:
                yield None

    def written(self, recipe: Recipe, folder: Path) -> bool:
        """Whether a killed run of this identity has written this training; what one of another left is removed."""
        with suppress(ArtifactError):
            if read_training(folder).identity == self.identity(recipe, folder):
                return True
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
        return False

    def write(
        self,
        folder: Path,
        recipe: Recipe,
        examples: Examples,
        documents: Sequence[str] = (),
        *,
        teacher_queries: NDArray[np.float32] | None = None,
        teacher_documents: NDArray[np.float32] | None = None,
    ) -> None:
        """Write a training into `folder`: this run's, or its second one, `whole`."""
        folder.mkdir(exist_ok=True)
        identity = self.identity(recipe, folder)
        job = TrainingJob(identity, self.base.spec, str(self.base.folder), self.base.fingerprint, recipe)
        write_training(
            folder, job, examples, documents, teacher_queries=teacher_queries, teacher_documents=teacher_documents
        )

    def documents(self, encoder: ResolvedEncoder) -> NDArray[np.float32]:
        """The vectors of the catalogue's texts, float32 (works, dimensions)."""
        texts = [work.text for work in self.catalogue.works]
        return self._document_vectors(encoder, list(zip(self.catalogue.text_hashes, texts, strict=True)))

    def finish(
        self,
        recipe: Recipe,
        counts: Mapping[str, int],
        judge: Callable[[Sequence[SetFigures]], Verdict],
        *,
        before: ResolvedEncoder,
        whole: Mapping[str, int] | None = None,
    ) -> TuneOutcome:
        """Train, judge and register.

        Args:
            recipe: As it was written.
            counts: What is trained on, by kind.
            judge: The gate.
            before: What the new encoder is compared with.
            whole: What the training in `self.whole` is on, by kind, which follows where the first one is accepted.
        """
        options = self.options
        folder = self.folder
        trained, machine, encoder = self._train(folder, counts)
        self._say(f"judging {options.name}")
        figures = self._figures(before, encoder, self.split.sets)
        verdict = judge(figures)
        refit: dict[str, Any] = {}
        if whole is not None and verdict.accepted:
            self._say("accepted; once more, with the requests that were held out")
            folder = self.whole
            again, _, encoder = self._train(folder, whole)
            asked = [judged for judged in self.split.sets if judged.name not in (HELD_OUT_WORKS, HELD_OUT_REQUESTS)]
            sets = {found.name: found.to_json() for found in self._figures(before, encoder, asked)}
            refit = {"pairs": dict(whole), "training": _facts(again), "sets": sets}
        result = {
            "name": options.name,
            "verdict": verdict.verdict,
            "reason": verdict.reason,
            "base": self.base.spec.name,
            "teacher": options.teacher,
            "space": self.space.spec.name if self.space else "",
            "fingerprint": encoder.fingerprint,
            "documents": len(self.catalogue.works),
            "kept_out": len(self.split.kept_out),
            "pairs": dict(counts),
            "unknown_works": self.split.unknown,
            "recipe": asdict(recipe),
            "sets": {found.name: found.to_json() for found in figures},
            "training": _facts(trained),
            "refit": refit,
            "machine": dict(machine),
            "peak_mb": peak_mb(),
            "seconds": round(time.monotonic() - self._started, 1),
            "identity": self.identity(recipe),
        }
        card = model_card(result, licence=self.base.spec.licence)
        with hold_home(self.home, say=self._say):
            folder = register(
                self.home,
                options.name,
                replace(encoder.spec, base=self._base_name()),
                card=card,
                verdict=result,
                adapter=folder / ADAPTER,
            )
        self._say(f"registered in {folder}")
        shutil.rmtree(self.folder, ignore_errors=True)
        return TuneOutcome(verdict.accepted, result)

    def _train(self, folder: Path, counts: Mapping[str, int]) -> tuple[Trained, Mapping[str, Any], ResolvedEncoder]:
        """Train what a folder holds; what was trained comes back merged into its base, as everybody will use it."""
        self._say(f"training {self.options.name} on {sum(counts.values()):,} pairs")
        trained, machine = self._trainer(folder, self.base, self.options, self._say, self._report)
        spec: ModelSpec = replace(
            self.base.spec,
            name=self.options.name,
            source="",
            sha256="",
            packages=(),
            revision="",
            base=self._base_name(),
            adapter=str(folder.absolute() / ADAPTER),
        )
        if self.space is not None:
            spec = replace(
                spec,
                dimensions=self.space.spec.dimensions,
                space=self.space.spec.name,
                space_fingerprint=self.space.fingerprint,
            )
        merged = model_folder(spec)
        return trained, machine, ResolvedEncoder(spec, merged, fingerprint(spec, merged))

    def _base_name(self) -> str:
        """The base as `resolve` finds it without this home."""
        own = encoders_of(self.home).get(self.options.base)
        return str(own.absolute()) if own is not None else self.options.base

    def _figures(self, before: ResolvedEncoder, after: ResolvedEncoder, sets: Sequence[QuerySet]) -> list[SetFigures]:
        """Both encoders over these sets, all works of the catalogue as candidates. Held-out works are sought by texts
        that do not hold the very words."""
        works = [work.work_id for work in self.catalogue.works]
        held = {work for judged in sets if judged.name == HELD_OUT_WORKS for work in answers([judged])}
        rows = [row for row, work in enumerate(works) if work in held]
        texts = [self.split.texts[works[row]] for row in rows]
        found: dict[str, list[list[list[str]]]] = {judged.name: [] for judged in sets}
        for encoder in (before, after):
            # A student embeds queries alone.
            embedder = self.space or encoder
            whole = self.documents(embedder)
            without = whole.copy()
            if rows:
                without[rows] = self.vectors.of(embedder, texts, "document")
            for judged in sets:
                queries = self.vectors.of(encoder, [query.text for query in judged.queries], "query")
                documents = without if judged.name == HELD_OUT_WORKS else whole
                found[judged.name].append(found_by(queries, documents, works))
        return [compare(judged, *found[judged.name]) for judged in sets]


def _facts(trained: Trained) -> dict[str, Any]:
    return {name: value for name, value in asdict(trained).items() if name != "identity"}


def _cpu_or_cuda(device: Device) -> Literal["cpu", "cuda"]:
    if device == "auto":
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"
    return device
