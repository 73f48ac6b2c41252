"""`viberary evaluate`."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import click

from viberary_pipeline.cli.group import main
from viberary_pipeline.cli.homes import open_home
from viberary_pipeline.settings import load_settings


def _file_option(name: str, about: str) -> Any:
    path = click.Path(path_type=Path, dir_okay=False)
    return click.option(name, type=path, multiple=True, help=f"{about}; may be given several times.")


@main.command()
@_file_option("--queries", "Your queries, instead of the standing lists (lines: id, tab, query, optionally tab, kind)")
@_file_option("--qrels", "The judgements of these queries, in TREC's form")
@click.option("--against", metavar="BUILD", default="", help="The build to compare with (default: the previous one).")
@click.option(
    "--rule",
    "rules",
    metavar="NAME=VALUE",
    multiple=True,
    help="Compare with another setting of the search; may be given several times.",
)
@click.option("--seed/--no-seed", default=True, help="Also compare with the original system's texts and with word2vec.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(
    queries: tuple[Path, ...],
    qrels: tuple[Path, ...],
    against: str,
    rules: tuple[str, ...],
    seed: bool,
    as_json: bool,
) -> None:
    """Measure how well the live build and some baselines answer judged queries, and write the report."""
    if len(queries) != len(qrels):
        raise click.UsageError("give as many --qrels as --queries: each file of queries needs one of judgements")
    from viberary_pipeline.evaluation.live import evaluate_live
    from viberary_pipeline.evaluation.page import table_lines
    from viberary_pipeline.evaluation.queries import trec_set
    from viberary_pipeline.resources import Pipeline
    from viberary_pipeline.resources.seed import seed_of

    own = [trec_set(*pair) for pair in zip(queries, qrels, strict=True)]
    pipeline = Pipeline(settings := load_settings())
    open_home(settings)
    result, page = evaluate_live(
        pipeline.redis,
        pipeline.home,
        own=own,
        judged=pipeline.judged,
        most=pipeline.settings.evaluation.items,
        limits=pipeline.settings.duckdb,
        tuning=pipeline.settings.search,
        most_loss=pipeline.settings.gate.evaluation,
        seed=partial(seed_of, pipeline, embed_new=True) if seed else None,
        given=() if own else pipeline.given_judgements,
        against=against,
        rules={rule: _searching_by(rule) for rule in rules},
    )
    if as_json:
        click.echo(json.dumps(result))
        return
    click.echo(f"build {result['build']}, {result['documents']:,} works, {result['encoder']}")
    for line in table_lines(result):
        click.echo(line)
    click.echo(f"report: {page}")


def _searching_by(rule: str) -> Any:
    """The settings of the search with one changed, `lexical_weight=0.1`: VIBERARY_SEARCH_LEXICAL_WEIGHT."""
    name, separator, value = rule.partition("=")
    try:
        if separator and value:
            return load_settings(**{f"search_{name}": value}).search
    except TypeError:
        pass
    raise click.UsageError(f"--rule {rule}: expected NAME=VALUE, such as lexical_weight=0.1 (docs/settings.md, search)")
