"""`viberary tune` and `viberary distil`."""

import json
from pathlib import Path
from typing import Any

import click

from viberary_pipeline.cli.group import main
from viberary_pipeline.cli.homes import open_home
from viberary_pipeline.errors import GateRefused
from viberary_pipeline.settings import load_settings


def _training(command: Any) -> Any:
    """The options that `tune` and `distil` share."""
    file = click.Path(path_type=Path, dir_okay=False)
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line."),
        click.option(
            "--checkpoint-seconds",
            default=60.0,
            show_default=True,
            type=click.FloatRange(0),
            help="Seconds between checkpoints. A killed training loses no more.",
        ),
        click.option(
            "--device",
            default="auto",
            show_default=True,
            type=click.Choice(["auto", "cpu", "cuda"]),
            help="Device to train on; auto takes a GPU if there is one.",
        ),
        click.option(
            "--learning-rate", type=click.FloatRange(0, min_open=True), help="Learning rate, instead of the recipe's."
        ),
        click.option("--rank", type=click.IntRange(1, 256), help="Rank of the adapter, instead of the recipe's."),
        click.option(
            "--word-rank",
            type=click.IntRange(1, 256),
            help="Rank of a second adapter, on the word vectors, instead of the recipe's.",
        ),
        click.option("--batch", type=click.IntRange(1), help="Number of examples in a batch, instead of the recipe's."),
        click.option("--epochs", type=click.IntRange(1), help="Number of epochs, instead of the recipe's."),
        click.option(
            "--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of all random choices."
        ),
        click.option(
            "--clicks",
            multiple=True,
            type=click.Path(path_type=Path, exists=True),
            help="A query log, or its folder; its clicks become requests.",
        ),
        click.option("--judge-qrels", multiple=True, type=file, help="The judgements of these requests."),
        click.option("--judge-queries", multiple=True, type=file, help="Further requests that the gate judges by."),
        click.option("--qrels", multiple=True, type=file, help="The judgements of these requests, in TREC's form."),
        click.option(
            "--queries", multiple=True, type=file, help="Readers' requests to train on. A line: id, tab, text."
        ),
    ):
        command = option(command)
    return command


@main.command()
@click.option("--out", "name", required=True, metavar="NAME", help="The name of the new encoder in this home.")
@click.option("--base", help="The encoder that the training starts from.  [VIBERARY_ENCODER]")
@click.option(
    "--refit",
    is_flag=True,
    help="If the gate accepts the encoder, train it once more, now also on the requests that were held out.",
)
@click.option(
    "--teacher", default="", help="A larger encoder, from which the new one also learns an order of the works."
)
@_training
def tune(as_json: bool, **options: Any) -> None:
    """Train an encoder on this home's documents and on readers' requests. A gate accepts or refuses it."""
    _train("tune", options, as_json)


@main.command()
@click.option("--out", "name", required=True, metavar="NAME", help="The name of the new encoder in this home.")
@click.option("--base", default="", help="A small encoder to train, instead of the teacher's outer layers.")
@click.option(
    "--layers", type=click.IntRange(1), help="Number of the teacher's layers that the student keeps.  [default: half]"
)
@click.option(
    "--most-texts", type=click.IntRange(1), help="Number of texts that the student learns from.  [default: 28,000]"
)
@click.option(
    "--texts",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Further texts that the student learns from, one a line.",
)
@click.option("--teacher", required=True, metavar="ENCODER", help="The large encoder, which embeds the documents.")
@_training
def distil(as_json: bool, **options: Any) -> None:
    """Train a small encoder for queries that works with the documents of a large one. A gate accepts or refuses it."""
    _train("distil", options, as_json)


def _train(
    command: str,
    options: dict[str, Any],
    as_json: bool,
) -> None:
    files = {name: options.pop(name) for name in ("queries", "qrels", "judge_queries", "judge_qrels")}
    for queries, qrels in (("queries", "qrels"), ("judge_queries", "judge_qrels")):
        if len(files[queries]) != len(files[qrels]):
            raise click.UsageError(f"give as many --{qrels} as --{queries}, in pairs".replace("_", "-"))
    from viberary_pipeline.resources import Pipeline
    from viberary_pipeline.resources.tuning import document_vectors, trainer
    from viberary_pipeline.tuning import tune as tuning
    from viberary_pipeline.tuning.clicks import judged_clicks
    from viberary_pipeline.tuning.progress import shown_progress
    from viberary_pipeline.tuning.run import TuneOptions

    pipeline = Pipeline(settings := load_settings())
    open_home(settings)
    web = pipeline.settings.web
    bounds = {"days": web.popular_days, "clicks": web.popular_searches}
    clicked = [
        judged_clicks(log, pipeline.home / "tuning" / "clicks" / str(number), pipeline.settings.duckdb, **bounds)
        for number, log in enumerate(options.pop("clicks"))
    ]
    wanted = TuneOptions(
        **{**options, "base": options["base"] or ("" if command == "distil" else pipeline.settings.encoder)},
        requests=(*zip(files["queries"], files["qrels"], strict=True), *clicked),
        judged=tuple(zip(files["judge_queries"], files["judge_qrels"], strict=True)),
        most_tokens=pipeline.recipe.max_tokens,
    )
    with shown_progress() as report:
        outcome = getattr(tuning, command)(
            pipeline.home,
            wanted,
            standing=pipeline.judged,
            document_vectors=document_vectors(pipeline),
            say=lambda line: click.echo(line, err=True),
            report=report,
            trainer=trainer(pipeline),
        )
    result = outcome.result
    click.echo(f"{result['name']}: {result['verdict']}; {result['reason']}", err=as_json)
    if as_json:
        click.echo(json.dumps(result))
    if not outcome.accepted:
        raise click.exceptions.Exit(GateRefused.exit_code)
