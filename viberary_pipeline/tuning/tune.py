"""`viberary tune` and `viberary distil`: an encoder trained on a home's documents, judged, registered."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from viberary_pipeline.encoders.files import resolve
from viberary_pipeline.encoders.shortened import number_of_layers, outer_layers
from viberary_pipeline.errors import TuningError
from viberary_pipeline.evaluation.queries import QuerySet
from viberary_pipeline.tuning.gate import judge_student, judge_tuned
from viberary_pipeline.tuning.pairs import MOST_PAIRS, sampled, short_queries
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
from viberary_pipeline.tuning.training import Examples

# Chosen on readers' requests in folds, on a GPU: docs/tuning.md.
ON_REQUESTS = Recipe(fit=FitSettings(learning_rate=1e-3, epochs=2))
ON_A_CATALOGUE = Recipe(fit=FitSettings(learning_rate=5e-4, epochs=1))
STUDENT = Recipe(
    objective="imitate", rank=32, max_tokens=128, fit=FitSettings(learning_rate=1e-3, epochs=1, batch=64, part=16)
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
    recipe = _recipe(ON_REQUESTS if run.split.requests else ON_A_CATALOGUE, options)
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
        if not run.written(recipe):
            # Beside requests a text is whole: the teacher, and nobody else, says which catalogue pairs fit.
            whole = {work.work_id: work.text for work in run.catalogue.works}
            text_of = whole if requests else whole | run.split.texts
            wanted = sorted({pair.work_id for pair in chosen})
            rows, documents = {work: row for row, work in enumerate(wanted)}, [text_of[work] for work in wanted]
            queries = [pair.query for pair in chosen]
            run.write(
                recipe,
                Examples(
                    queries,
                    [rows[pair.work_id] for pair in chosen],
                    [not requests or pair.kind == "request" for pair in chosen],
                ),
                documents,
                teacher_queries=run.vectors.of(teacher, queries, "query") if teacher else None,
                teacher_documents=run.vectors.of(teacher, documents, "document") if teacher else None,
            )
        counts = dict(sorted(Counter(pair.kind for pair in chosen).items()))
        return run.finish(recipe, counts, judge_tuned, before=base)


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
    queries = short_queries(works, [pair.query for pair in run.split.requests], MOST_QUERIES, seed=options.seed)
    if len(queries) < LEAST_PAIRS:
        raise _too_little(len(queries), run)
    counts = {"request": len({pair.query for pair in run.split.requests})}
    counts["sentence, title, words or shelves"] = len(queries) - counts["request"]
    with run.alone(recipe) as known:
        if known is not None:
            return known
        if not run.written(recipe):
            say(f"{teacher.spec.name} embeds {len(queries):,} queries")
            documents = run.documents(teacher)
            rows = np.random.default_rng(options.seed).permutation(len(documents))[:_MOST_ORDERED]
            run.write(
                recipe,
                Examples(queries, [-1] * len(queries), [False] * len(queries)),
                teacher_queries=run.vectors.of(teacher, queries, "query"),
                teacher_documents=documents[np.sort(rows)],
            )
        return run.finish(recipe, counts, judge_student, before=teacher)


def _recipe(recipe: Recipe, options: TuneOptions) -> Recipe:
    fit = replace(
        recipe.fit,
        seed=options.seed,
        epochs=options.epochs or recipe.fit.epochs,
        learning_rate=options.learning_rate or recipe.fit.learning_rate,
    )
    return replace(recipe, rank=options.rank or recipe.rank, fit=fit)


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
