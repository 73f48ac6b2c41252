"""`viberary tune` and `viberary distil`: an encoder trained on a home's documents, judged, registered."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from viberary_pipeline.encoders.files import ResolvedEncoder, resolve
from viberary_pipeline.encoders.shortened import number_of_layers, outer_layers
from viberary_pipeline.errors import TuningError
from viberary_pipeline.evaluation.queries import QuerySet
from viberary_pipeline.tuning.gate import judge_student, judge_tuned
from viberary_pipeline.tuning.pairs import MOST_PAIRS, Pair, sampled
from viberary_pipeline.tuning.recipe import FitSettings, Recipe
from viberary_pipeline.tuning.run import (
    DocumentVectors,
    Report,
    Run,
    Say,
    Trainer,
    TuneOptions,
    TuneOutcome,
    train_here,
)
from viberary_pipeline.tuning.student_queries import student_queries
from viberary_pipeline.tuning.training import Examples

# Chosen on readers' requests in folds, on a GPU: docs/tuning.md.
ON_REQUESTS = Recipe(fit=FitSettings(learning_rate=1e-3, epochs=2))
ON_REQUESTS_TAUGHT = Recipe(fit=FitSettings(learning_rate=1e-3, epochs=4))
ON_A_CATALOGUE = Recipe(fit=FitSettings(learning_rate=5e-4, epochs=1))
STUDENT = Recipe(
    objective="imitate", rank=32, max_tokens=256, fit=FitSettings(learning_rate=1e-3, epochs=1, batch=64, part=16)
)
LEAST_PAIRS = 32
MOST_QUERIES = 28_000
"""That a student learns from."""
_MOST_ORDERED = 4_096  # documents whose order a student learns


def tune(
    home: Path,
    options: TuneOptions,
    *,
    standing: Sequence[QuerySet],
    document_vectors: DocumentVectors,
    say: Say = print,
    report: Report = lambda _: None,
    trainer: Trainer = train_here,
) -> TuneOutcome:
    """Train an encoder on what the home's documents and readers' requests say, and register it with its verdict.

    Args:
        home: VIBERARY_HOME, in which something was built.
        options: What is wanted.
        standing: Sets of judgements; those that judge this catalogue judge the encoder too.
        document_vectors: Embeds documents.
        say: Takes a line of what is done.
        report: Takes the progress of a training of this process.
        trainer: Trains, here or on another machine.

    Raises:
        TuningError: there is too little to train on.
        EncoderError, EvaluationError, ArtifactError: an encoder, a file or the documents cannot be used.
        WorkerError: another machine did not train it.
    """
    base = resolve(options.base, home)
    run = Run(home, options, base, standing, document_vectors, say, report, trainer)
    on_requests = ON_REQUESTS_TAUGHT if options.teacher else ON_REQUESTS
    recipe = _recipe(on_requests if run.split.requests else ON_A_CATALOGUE, options)
    teacher = resolve(options.teacher, home) if options.teacher else None
    requests, pairs = run.split.requests, sampled(run.split.pairs, MOST_PAIRS, seed=options.seed)
    if options.requests and not requests:
        say("no request is left to train on: the works that they ask for are held out, judged, or not here")
    if requests and teacher is None:
        pairs = []  # they gain nothing beside requests: docs/tuning.md
    chosen = (*requests, *pairs)
    if len(chosen) < LEAST_PAIRS:
        raise _too_little(len(chosen), run)
    with run.alone(recipe) as known:
        if known is not None:
            return known
        trainings = {run.folder: chosen}
        if options.refit:
            trainings[run.whole] = (*run.split.every_request, *pairs)
        if not all(run.written(recipe, folder) for folder in trainings):
            _write(run, recipe, trainings, teacher)
        counts = {folder: dict(sorted(Counter(pair.kind for pair in of).items())) for folder, of in trainings.items()}
        return run.finish(recipe, counts[run.folder], judge_tuned, before=base, whole=counts.get(run.whole))


def distil(
    home: Path,
    options: TuneOptions,
    *,
    standing: Sequence[QuerySet],
    document_vectors: DocumentVectors,
    say: Say = print,
    report: Report = lambda _: None,
    trainer: Trainer = train_here,
) -> TuneOutcome:
    """Train a small encoder to give a teacher's vectors for queries, and register it with its verdict.

    The student is the teacher with its outer layers alone, or `options.base` with a linear layer to the teacher's
    dimensions. Arguments and errors are those of `tune`.
    """
    teacher = resolve(options.teacher, home, max_tokens=options.most_tokens)
    base = resolve(options.base, home) if options.base else teacher
    layers = number_of_layers(base.folder)
    kept = options.layers or (layers if options.base else (layers + 1) // 2)
    student = replace(
        STUDENT,
        projection=teacher.spec.dimensions if options.base else 0,
        kept=() if kept == layers else outer_layers(layers, kept),
    )
    options = replace(options, base=options.base or options.teacher)
    run = Run(home, options, base, standing, document_vectors, say, report, trainer, space=teacher)
    recipe = _recipe(student, options)
    works = [work for work in run.catalogue.works if work.work_id not in run.split.kept_out]
    queries = student_queries(
        works,
        [pair.query for pair in run.split.requests],
        options.most_texts or MOST_QUERIES,
        texts=[text for path in options.texts for text in _texts(path)],
        seed=options.seed,
    )
    if len(queries) < LEAST_PAIRS:
        raise _too_little(len(queries), run)
    counts = {"request": len({pair.query for pair in run.split.requests})}
    counts["made of requests, works and texts"] = len(queries) - counts["request"]
    with run.alone(recipe) as known:
        if known is not None:
            return known
        if not run.written(recipe, run.folder):
            say(f"{teacher.spec.name} embeds {len(queries):,} queries")
            documents = run.documents(teacher)
            rows = np.random.default_rng(options.seed).permutation(len(documents))[:_MOST_ORDERED]
            run.write(
                run.folder,
                recipe,
                Examples(queries, [-1] * len(queries), [False] * len(queries)),
                teacher_queries=run.vectors.of(teacher, queries, "query"),
                teacher_documents=documents[np.sort(rows)],
            )
        return run.finish(recipe, counts, judge_student, before=teacher)


def _write(run: Run, recipe: Recipe, trainings: Mapping[Path, Sequence[Pair]], teacher: ResolvedEncoder | None) -> None:
    """Write trainings, each into its folder. The teacher embeds what they share once."""
    # Beside requests a text is whole: the teacher, and nobody else, says which catalogue pairs fit.
    requests = run.split.requests
    text_of = {work.work_id: work.text for work in run.catalogue.works} | ({} if requests else run.split.texts)
    every = [pair for pairs in trainings.values() for pair in pairs]
    queries, works = _numbered(pair.query for pair in every), _numbered(pair.work_id for pair in every)
    of_queries = run.vectors.of(teacher, list(queries), "query") if teacher else None
    of_works = run.vectors.of(teacher, [text_of[work] for work in works], "document") if teacher else None
    for folder, pairs in trainings.items():
        rows = _numbered(sorted({pair.work_id for pair in pairs}))
        run.write(
            folder,
            recipe,
            Examples(
                [pair.query for pair in pairs],
                [rows[pair.work_id] for pair in pairs],
                [not requests or pair.kind == "request" for pair in pairs],
            ),
            [text_of[work] for work in rows],
            teacher_queries=None if of_queries is None else of_queries[[queries[pair.query] for pair in pairs]],
            teacher_documents=None if of_works is None else of_works[[works[work] for work in rows]],
        )


def _numbered(values: Iterable[str]) -> dict[str, int]:
    """Distinct values, and the place of each."""
    return {value: place for place, value in enumerate(dict.fromkeys(values))}


def _texts(path: Path) -> list[str]:
    """The lines of a file that are not empty. Raises `TuningError` where it is not text."""
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise TuningError(
            "A file of texts cannot be read",
            expected=f"lines of UTF-8 in {path}",
            found=f"{type(error).__name__}: {error}",
            todo="give another file (--texts)",
        ) from error


def _recipe(recipe: Recipe, options: TuneOptions) -> Recipe:
    fit = replace(
        recipe.fit,
        seed=options.seed,
        epochs=options.epochs or recipe.fit.epochs,
        batch=options.batch or recipe.fit.batch,
        learning_rate=options.learning_rate or recipe.fit.learning_rate,
    )
    return replace(recipe, rank=options.rank or recipe.rank, word_rank=options.word_rank or recipe.word_rank, fit=fit)


def _too_little(found: int, run: Run) -> TuningError:
    split = run.split
    return TuningError(
        "There is too little to train on",
        expected=f"at least {LEAST_PAIRS} queries with their works",
        found=f"{found:,}, of {len(run.catalogue.works):,} works, of which {len(split.kept_out):,} are kept out of "
        "training (held out, or answers of judged sets)"
        + "".join(f"; {name} names {count:,} works that are not here" for name, count in split.unknown.items()),
        todo="tune on a larger catalogue, or on requests for its works (--queries, --qrels)",
    )
