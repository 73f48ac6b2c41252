"""The `viberary` command. Its words and its JSON are a contract: other programs rely on them.

Results go to standard output; progress, logs and errors to standard error. Exit codes: 0 done, 1 failed,
2 wrong usage, 3 refused by a gate (the live index is untouched).
"""

import functools
import json
import logging
import os
import platform
import signal
import sys
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from viberary_pipeline import __version__
from viberary_pipeline.errors import GateRefused, QueryError, SettingsError, ViberaryError, out_of_room
from viberary_pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from viberary_pipeline.resources import Pipeline


def _redis_errors() -> tuple[type[Any], ...]:
    """What redis-py raises, without importing it before it is needed."""
    module = sys.modules.get("redis")
    return (module.RedisError,) if module else ()


class _Group(click.Group):
    """Turns the exceptions of the pipeline into a message and their exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ViberaryError as error:
            click.echo(f"viberary: {error}", err=True)
            ctx.exit(error.exit_code)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("viberary_pipeline"):
                raise
            click.echo(
                f"viberary: This command needs more than is installed\n  expected:   the module {error.name}\n"
                "  found:      it is not installed\n"
                "  what to do: pip install 'viberary-pipeline[web]' to search and serve, '[pipeline]' to build",
                err=True,
            )
            ctx.exit(1)
        except _redis_errors() as error:
            from viberary_pipeline.redis_server.failures import explain

            click.echo(f"viberary: {explain(error)}", err=True)
            ctx.exit(1)
        except BrokenPipeError:
            # The reader of our output left (`viberary search ... | head`): nothing went wrong.
            sys.stderr.close()
            ctx.exit(0)
        except OSError as error:
            if (full := out_of_room(error)) is None:
                raise
            click.echo(f"viberary: {full}", err=True)
            ctx.exit(full.exit_code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="viberary")
@click.option("-v", "--verbose", is_flag=True, help="Show debug messages.")
def main(verbose: bool) -> None:
    """Find books by vibe: build, publish and search the index.

    State lies in VIBERARY_HOME (default: var/). Every setting is an environment variable; docs/settings.md lists them.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a background job of a script
        signal.signal(signal.SIGINT, _heed_sigterm_alone)
    for stream in (sys.stdout, sys.stderr):
        # A title that the terminal's encoding lacks is shown escaped; it does not end a batch of queries.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )


def _heed_sigterm_alone(number: int, _: object) -> None:
    # Dagster gives SIGTERM the handler of SIGINT. Were that to ignore, nothing but SIGKILL would end a build.
    if number == signal.SIGTERM:
        raise KeyboardInterrupt


@main.command()
@click.option(
    "--raw", metavar="PLACE", help="Folder, s3://bucket/prefix or one books file; or two, with a comma.  [VIBERARY_RAW]"
)
@click.option("--encoder", help="A registered encoder, or a sentence-transformers folder.  [VIBERARY_ENCODER]")
@click.option("--executor", type=click.Choice(["local", "ec2", "batch"]), help="Where to embed.  [VIBERARY_EXECUTOR]")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="What to embed on.  [VIBERARY_EMBEDDING_DEVICE]")
@click.option("--force", is_flag=True, help="Make everything but known embeddings again, and publish a new build.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def build(
    raw: str | None,
    encoder: str | None,
    executor: str | None,
    device: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Build an index from the raw files, check it, and publish it.

    Without raw files it builds the bundled sample.
    """
    settings = load_settings(raw=raw, encoder=encoder, executor=executor, embedding_device=device)
    home = settings.writable_home()
    from viberary_pipeline.run import run_build

    click.echo(f"building in {home}" + (f", a copy of {settings.home}" if settings.home_in_s3 else ""), err=True)
    outcome = run_build(settings, force=force, say=lambda line: click.echo(line, err=True))
    if outcome.failure is None:
        for line in _build_summary(outcome.to_json()):
            click.echo(line, err=as_json)
    if as_json:
        click.echo(json.dumps(outcome.to_json()))
    if outcome.failure is not None:
        click.echo(f"viberary: {outcome.failure.stage}: {outcome.failure.message}", err=True)
        raise click.exceptions.Exit(outcome.failure.exit_code)


def _build_summary(outcome: dict[str, Any]) -> Iterator[str]:
    verdict = "published" if outcome["published"] else "nothing changed: it stays live, no new index"
    yield f"build {outcome['build']}: {verdict}"
    yield (
        f"  {outcome['documents']:,} documents, {outcome['embedded']:,} texts embedded, {outcome['reused']:,} reused, "
        f"{sum(outcome['rejected'].values()):,} rows left out"
    )
    for reason, count in sorted(outcome["rejected"].items()):
        yield f"    {reason:<36} {count:>8,}"
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in outcome["seconds"].items() if seconds >= 0.05)
    yield f"  {sum(outcome['seconds'].values()):.1f} s ({stages})"


def _narrowing(command: Any) -> Any:
    """The options that narrow a search; they reach the command as `filters`."""

    @functools.wraps(command)
    def narrowed(*, languages: tuple[str, ...], min_reviews: int, years: str | None, genre: str, **others: Any) -> None:
        from viberary_pipeline.search.filters import Filters

        try:
            filters = Filters.of(languages, min_reviews, years, genre)
        except QueryError as error:
            raise click.UsageError(f"{error.what}: expected {error.expected}, found {error.found}") from error
        command(filters=filters, **others)

    for option in (
        click.option("--genre", default="", help="Only this genre, as the page lists them: fantasy."),
        click.option("--years", metavar="FROM-TO", help="Years of publication: 1990-1999, 1990- or -1999."),
        click.option("--min-reviews", default=0, type=click.IntRange(0), help="Least number of reviews."),
        click.option("--language", "languages", multiple=True, help="Only this language: en, English, und (unknown)."),
    ):
        narrowed = option(narrowed)
    return narrowed


@main.command()
@click.argument("query", nargs=-1, required=True)
@click.option("-k", default=10, show_default=True, type=click.IntRange(1, 100), help="Results per query.")
@_narrowing
@click.option("--exact", is_flag=True, help="Correct no typos.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per query.")
def search(query: tuple[str, ...], k: int, filters: Any, exact: bool, as_json: bool) -> None:
    """Search the live index. All words of QUERY are one query; '-' reads one query per line of standard input."""
    searcher = _searcher(load_settings())
    if query != ("-",):
        _print_response(searcher.search(" ".join(query), k, filters, exact=exact), as_json)
        return
    failures: list[Exception] = []

    def report(error: Exception) -> None:
        click.echo(f"viberary: {error if isinstance(error, ViberaryError) else repr(error)}", err=True)
        if not isinstance(error, QueryError):  # that one says something of the line, not of the search
            failures.append(error)

    for response in searcher.search_each(_lines(sys.stdin), k, filters, exact=exact, report=report):
        _print_response(response, as_json)
    if failures:
        raise SystemExit(1)


@main.command()
@click.argument("book_id")
@click.option("-k", default=10, show_default=True, type=click.IntRange(1, 100), help="How many.")
@_narrowing
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, as `search --json` does.")
def similar(book_id: str, k: int, filters: Any, as_json: bool) -> None:
    """Show the books nearest to a book. BOOK_ID is the book_id or work_id of a result, an ISBN or an ASIN."""
    _print_response(_searcher(load_settings()).similar(book_id, k, filters), as_json)


def _print_response(response: Any, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(response.to_json()))
        return
    click.echo(f"{response.query}")
    if response.corrected:
        click.echo(f"  (searched for: {response.corrected}; --exact takes each word as it is typed)")
    for note in response.notes:
        click.echo(f"  ({note})")
    for hit in response.results:
        click.echo(f"  {hit.rank:>3}. {hit.score:.3f}  {hit}")


def _file_option(name: str, about: str) -> Any:
    path = click.Path(path_type=Path, dir_okay=False)
    return click.option(name, type=path, multiple=True, help=f"{about}; may be given several times.")


@main.command()
@_file_option("--queries", "Your queries, which replace the standing lists: id, a tab, the query (a tab, its kind)")
@_file_option("--qrels", "Their judgements, in TREC's form")
@click.option("--against", metavar="BUILD", default="", help="The build to compare with (default: the previous one).")
@click.option(
    "--rule", "rules", metavar="NAME=VALUE", multiple=True, help="Compare with another setting of the search."
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
    """Measure how well the live build answers judged queries, beside baselines, and write the report."""
    if len(queries) != len(qrels):
        raise click.UsageError("--queries and --qrels go together: as many of one as of the other")
    from viberary_pipeline.evaluation.live import evaluate_live
    from viberary_pipeline.evaluation.page import table_lines
    from viberary_pipeline.evaluation.queries import trec_set
    from viberary_pipeline.resources import Pipeline

    own = [trec_set(*pair) for pair in zip(queries, qrels, strict=True)]
    pipeline = Pipeline(settings := load_settings())
    _home(settings)
    result, page = evaluate_live(
        pipeline.redis,
        pipeline.home,
        own=own,
        judged=pipeline.judged,
        most=pipeline.settings.evaluation.items,
        tuning=pipeline.settings.search,
        most_loss=pipeline.settings.gate.evaluation,
        seed=_seed_embedded(pipeline) if seed else None,
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
            help="Seconds between checkpoints: the most that a kill costs.",
        ),
        click.option("--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda"])),
        click.option("--learning-rate", type=click.FloatRange(0, min_open=True), help="Instead of the recipe's."),
        click.option("--rank", type=click.IntRange(1, 256), help="Rank of the adapter, instead of the recipe's."),
        click.option(
            "--word-rank",
            type=click.IntRange(1, 256),
            help="Of an adapter on the word vectors as well, in place of the recipe's.",
        ),
        click.option("--batch", type=click.IntRange(1), help="Examples of a step, in place of the recipe's."),
        click.option("--epochs", type=click.IntRange(1), help="Instead of the recipe's."),
        click.option(
            "--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of all random choices."
        ),
        click.option(
            "--clicks",
            multiple=True,
            type=click.Path(path_type=Path, exists=True),
            help="A query log, or its folder; its clicks become requests.",
        ),
        click.option("--judge-qrels", multiple=True, type=file, help="Their judgements."),
        click.option("--judge-queries", multiple=True, type=file, help="Requests by which the gate judges."),
        click.option("--qrels", multiple=True, type=file, help="Their judgements, in TREC's form."),
        click.option("--queries", multiple=True, type=file, help="Readers' requests to train on: id, a tab, the text."),
    ):
        command = option(command)
    return command


@main.command()
@click.option("--out", "name", required=True, metavar="NAME", help="What the encoder will be called in this home.")
@click.option("--base", help="The encoder that is trained on.  [VIBERARY_ENCODER]")
@click.option(
    "--refit", is_flag=True, help="Train an accepted encoder once more, with the requests that were held out."
)
@click.option("--teacher", default="", help="A larger encoder, whose order of the works is learned as well.")
@_training
def tune(as_json: bool, **options: Any) -> None:
    """Train an encoder on this home's documents and on readers' requests. A gate accepts or refuses it."""
    _train("tune", options, as_json)


@main.command()
@click.option("--out", "name", required=True, metavar="NAME", help="What the encoder will be called in this home.")
@click.option("--base", default="", help="Train this small encoder instead of the teacher's outer layers.")
@click.option("--layers", type=click.IntRange(1), help="How many of the teacher's layers the student keeps.  [half]")
@click.option("--most-texts", type=click.IntRange(1), help="How many texts the student learns from.  [28,000]")
@click.option(
    "--texts",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Further texts that the student learns from, one a line.",
)
@click.option("--teacher", required=True, metavar="ENCODER", help="The encoder of the documents.")
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
            raise click.UsageError(f"--{queries} and --{qrels} go together, in pairs".replace("_", "-"))
    from viberary_pipeline.resources import Pipeline
    from viberary_pipeline.resources.tuning import document_vectors, trainer
    from viberary_pipeline.tuning import tune as tuning
    from viberary_pipeline.tuning.clicks import judged_clicks
    from viberary_pipeline.tuning.progress import shown_progress
    from viberary_pipeline.tuning.run import TuneOptions

    pipeline = Pipeline(settings := load_settings())
    _home(settings)
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


def _seed_embedded(pipeline: "Pipeline") -> Any:
    """What gives `evaluate_live` the original system's vectors; texts of it that are new are embedded."""
    from viberary_pipeline.embedding.embed import embed_missing
    from viberary_pipeline.embedding.jobs import JobOptions
    from viberary_pipeline.evaluation.seed_baseline import seed_vectors

    settings = pipeline.settings

    def embed(texts: Any, model: Any, store: Any) -> None:
        embed_missing(
            texts,
            encoder=model,
            store=store,
            executor=pipeline.executor,
            jobs_root=pipeline.home / "jobs",
            jobs_at=pipeline.jobs,
            shard_rows=settings.embedding.shard_rows,
            # In full precision: int8 has a store of its own.
            options=JobOptions(device=pipeline.job_options(None).device),
            limits=pipeline.limits,
        )

    return lambda record, documents: seed_vectors(
        pipeline.home,
        record,
        documents,
        settings.encoder,
        pipeline.rules,
        settings.duckdb,
        embed=embed,
        shared=pipeline.shared_vectors,
    )


def _lines(stream: Any) -> Iterator[str]:
    stream.reconfigure(errors="replace")  # a byte that is no UTF-8 becomes U+FFFD, not an exception
    for line in stream:
        yield line.rstrip("\r\n")


def _home(settings: Settings) -> Path:
    """The home, brought to what S3 has where it is a copy."""
    from viberary_pipeline.origin import refresh

    return refresh(settings.home_dir)


def _searcher(settings: Settings) -> Any:
    from viberary_pipeline.redis_server import connect
    from viberary_pipeline.search.searcher import Searcher

    return Searcher(connect(settings), settings.home_dir, settings.search)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(as_json: bool) -> None:
    """Show the live build: its source, age and quality, its gates and reports, and what was refused since."""
    settings = load_settings()
    from viberary_pipeline.index.clean import known_builds
    from viberary_pipeline.redis_contract import read_pointer, read_record
    from viberary_pipeline.redis_server import connect
    from viberary_pipeline.search.searcher import Searcher

    client, home = connect(settings), _home(settings)
    pointer = read_pointer(client)
    readiness = Searcher(client, home).readiness()
    records = [record for build in reversed(known_builds(client)) if (record := read_record(client, build))]
    if as_json:
        builds = [{**asdict(record), "gates": record.gate_results} for record in records]
        click.echo(json.dumps({**asdict(pointer), "readiness": readiness.to_json(), "builds": builds}))
        return
    from viberary_pipeline.history.words import status_lines

    click.echo(f"live      {pointer.live or 'nothing is published yet: run `viberary build`'}")
    click.echo(f"previous  {pointer.previous or 'none'}")
    click.echo(f"ready     {'yes' if readiness.ready else 'no: ' + readiness.reason}")
    for line in status_lines(home, pointer.live, records):
        click.echo(line)


@main.command()
@click.option("--last", default=20, show_default=True, type=click.IntRange(1), help="Show so many builds.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with all builds.")
def builds(last: int, as_json: bool) -> None:
    """List all builds, the newest first, with their verdict, size, quality and time."""
    home = _home(load_settings())
    from viberary_pipeline.history.records import History
    from viberary_pipeline.history.words import builds_table

    records = History(home).all()
    if as_json:
        click.echo(json.dumps({"builds": [record.to_json() for record in records]}))
        return
    if not records:
        click.echo("no build has run in this VIBERARY_HOME: run `viberary build`")
        return
    for line in builds_table(records, last):
        click.echo(line)
    if len(records) > last:
        click.echo(f"{len(records) - last:,} earlier ones: --last {len(records)}")


@main.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def diff(a: str, b: str, as_json: bool) -> None:
    """Say what changed from build A to build B.

    A and B are numbers or names of `viberary builds`, or `live` and `previous`.
    """
    settings = load_settings()
    from viberary_pipeline.history import diff as differences
    from viberary_pipeline.history.records import History
    from viberary_pipeline.history.words import diff_lines

    pointer = {}
    if {"live", "previous"} & {a, b}:
        from viberary_pipeline.redis_contract import read_pointer
        from viberary_pipeline.redis_server import connect

        pointer = asdict(read_pointer(connect(settings)))
    home = _home(settings)
    history = History(home)
    first, second = (history.find(name, pointer) for name in (a, b))
    found = differences.diff(home, first, second, settings.duckdb)
    if as_json:
        click.echo(json.dumps(found))
        return
    for line in diff_lines(found):
        click.echo(line)


@main.command()
def rollback() -> None:
    """Go back to the previous build. Run it again to go forward."""
    settings = load_settings()
    from viberary_pipeline.history.rollback import go_back
    from viberary_pipeline.notifications import tell
    from viberary_pipeline.redis_server import connect

    back = go_back(
        connect(settings), settings.home_dir, keep_records=settings.keep.records, public=settings.sources.public
    )
    tell(settings, back.message(uuid.uuid4().hex, host=platform.node()))
    outcome, *warnings = back.lines()
    for line in warnings:
        click.echo(f"viberary: {line}", err=True)
    click.echo(outcome)


@main.command()
def late() -> None:
    """Send a message, and exit with 1, if no build was finished for VIBERARY_NOTIFY_LATE_HOURS.

    For cron, if Dagster's daemon does not run.
    """
    settings = load_settings()
    if not settings.notify.late_hours:
        raise SettingsError(
            "No limit is set after which a build is late",
            expected="VIBERARY_NOTIFY_LATE_HOURS, such as 192 for a weekly build",
            found="it is not set",
            todo="set it, for this command and for the Dagster UI's daemon alike",
        )
    from viberary_pipeline.jobs.sensors import late_message
    from viberary_pipeline.notifications import tell

    message = late_message(settings)
    if message is None:
        click.echo("no build is late")
        return
    tell(settings, message)
    click.echo(f"{message.title}. {message.text}", err=True)
    raise click.exceptions.Exit(1)


@main.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--vectors", is_flag=True, help="Also remove vectors of texts that no kept documents have.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def gc(dry_run: bool, vectors: bool, as_json: bool) -> None:
    """Remove builds and artifacts that nothing needs. The live build and the previous one stay."""
    settings = load_settings()
    home = settings.writable_home()
    from viberary_pipeline.index.garbage import collect_garbage
    from viberary_pipeline.redis_server import connect

    if vectors and settings.embedding.vectors:
        raise SettingsError(
            "The vectors are not this home's alone",
            expected="vectors under VIBERARY_HOME",
            found=f"VIBERARY_EMBEDDING_VECTORS={settings.embedding.vectors}, which other homes may share",
            todo="leave --vectors out; a rule on the bucket may expire what is old",
        )
    from viberary_pipeline.history.records import History
    from viberary_pipeline.storage import open_place

    keep = History(_home(settings)).document_keys(settings.keep.documents)
    garbage = collect_garbage(
        connect(settings),
        home,
        dry_run=dry_run,
        vectors=vectors,
        shared_vectors=open_place(settings.vectors_uri) if settings.vectors_uri else None,
        keep_documents=keep,
    )
    runs = _old_runs(settings, dry_run)
    if as_json:
        named = [str(folder) for folder in garbage.folders]
        click.echo(json.dumps({**asdict(garbage), "folders": named, "runs": runs, "dry_run": dry_run}))
        return
    verb = "would remove" if dry_run else "removed"
    counted = f"{len(garbage.builds)} builds, {len(garbage.folders)} folders, {garbage.bytes / 1e6:,.1f} MB"
    counted += f", {garbage.vectors:,} vectors" if vectors else ""
    if dry_run:
        click.echo(f"{verb} {counted}")
        for kind, folders, size in garbage.by_kind(home):
            click.echo(
                f"  {kind:<28} {folders:>6,} {'folder' if folders == 1 else 'folders':<7} {size / 1e6:>10,.1f} MB"
            )
    for build in garbage.builds:
        click.echo(f"{verb} build {build}")
    for folder in garbage.folders:
        click.echo(f"{verb} {folder}")
    if not dry_run:
        click.echo(counted)
    if runs:
        click.echo(f"{verb} {len(runs)} runs of Dagster: the newest {settings.runs.kept} stay (VIBERARY_RUNS_KEPT)")
    if garbage.left:
        click.echo(f"left: {garbage.left}")


def _old_runs(settings: Settings, dry_run: bool) -> list[str]:
    """Dagster's runs that are deleted, or would be; a machine that never built has no Dagster."""
    if not (settings.home_dir / "dagster" / "dagster.yaml").exists() and not os.environ.get("DAGSTER_HOME"):
        return []
    from viberary_pipeline.resources.dagster_store import prune_home

    return prune_home(settings.home_dir, settings.runs.kept, dry_run=dry_run)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def artifacts(as_json: bool) -> None:
    """List the artifacts under VIBERARY_HOME: where they are, how large, and what needs them."""
    settings = load_settings()
    from viberary_pipeline.history.records import History
    from viberary_pipeline.index.garbage import artifacts_needed
    from viberary_pipeline.redis_server import connect

    home = _home(settings)
    found = artifacts_needed(connect(settings), home, History(home).document_keys(settings.keep.documents))
    if as_json:
        rows = [
            {
                **{name: getattr(artifact, name) for name in ("stage", "key", "created", "seconds")},
                "path": str(artifact.path),
                "bytes": size,
                "needed_by": by,
            }
            for artifact, size, by in found
        ]
        click.echo(json.dumps({"home": str(settings.home if settings.home_in_s3 else home), "artifacts": rows}))
        return
    for artifact, size, by in found:
        needed = ", ".join(by) or "nothing"
        click.echo(
            f"{artifact.stage:<20} {artifact.path.name:<26} {size / 1e6:>10,.2f} MB  {artifact.created[:16]}  {needed}"
        )
    total, unneeded = (sum(size for _, size, by in found if every or not by) for every in (True, False))
    click.echo(f"{len(found):,} artifacts, {total / 1e6:,.1f} MB; {unneeded / 1e6:,.1f} MB of it is needed by nothing")


@main.command()
@click.option("--host", help="Address to listen on.  [VIBERARY_WEB_HOST]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.  [VIBERARY_WEB_PORT]")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that answer.  [VIBERARY_WEB_WORKERS]")
def serve(host: str | None, port: int | None, workers: int | None) -> None:
    """Serve the search page."""
    from viberary_pipeline.web.server import serve as serve_page

    serve_page(load_settings(web_host=host, web_port=port, web_workers=workers))


@main.group()
def redis() -> None:
    """The embedded Redis of this VIBERARY_HOME."""


@redis.command()
def start() -> None:
    """Start the embedded Redis, if it does not run, and show its address."""
    settings = load_settings()
    from viberary_pipeline.redis_server import ensure

    server = ensure(settings.writable_home(), binary=settings.redis.server)
    click.echo(f"{server.url} (Redis {server.version}, pid {server.pid})")


@redis.command()
def stop() -> None:
    """Save the data of the embedded Redis and stop it."""
    from viberary_pipeline.redis_server import stop as stop_server

    click.echo("stopped" if stop_server(load_settings().home_dir) else "it was not running")


@redis.command(name="status")
def redis_status() -> None:
    """Say whether the embedded Redis runs, and at which address."""
    from viberary_pipeline.redis_server import running

    server = running(load_settings().home_dir)
    if server is None:
        click.echo("not running")
    else:
        click.echo(f"{server.url} (Redis {server.version}, pid {server.pid}, {server.binary})")


@main.group()
def gpu() -> None:
    """Machines in AWS that this project started (VIBERARY_EXECUTOR: ec2 or batch)."""


@gpu.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per machine.")
def gpu_list(as_json: bool) -> None:
    """List the machines that still run, with their job and the time at which they expire."""
    machines = _executor().machines()
    for machine in machines:
        if as_json:
            click.echo(json.dumps(asdict(machine)))
        else:
            expiry = f"expired {machine.expires}" if machine.expired else f"until {machine.expires}"
            click.echo(f"{machine.id}  {machine.state:<12} {machine.kind:<24} {expiry}  {machine.job}")
    if not machines and not as_json:
        click.echo("none")


@gpu.command(name="reap")
def gpu_reap() -> None:
    """End the machines that have expired, and no others."""
    reaped = _executor().reap()
    for machine in reaped:
        click.echo(f"ended {machine.id} ({machine.kind}), expired {machine.expires or 'without saying when'}")
    if not reaped:
        click.echo("none had expired")


def _executor() -> Any:
    settings = load_settings()
    if settings.executor == "local":
        raise SettingsError(
            "This machine's workers end with their build",
            expected="an executor that starts machines",
            found="VIBERARY_EXECUTOR=local",
            todo="set VIBERARY_EXECUTOR to ec2 or batch, with the settings that your builds use",
        )
    from viberary_pipeline.embedding.executors.choice import executor_for

    return executor_for(settings)


def _local_folder(_: click.Context, __: click.Parameter, folder: Path) -> Path:
    if ":/" in str(folder):
        raise click.BadParameter(f"expected a folder of this machine, not {folder}")
    return folder


_FOLDER = click.argument(
    "folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False), callback=_local_folder
)
_DUMPS = ("works", "editions", "authors", "ratings", "reading-log", "redirects")
_SOURCE = click.option(
    "--source",
    type=click.Choice(["ucsd", "openlibrary"]),
    default="ucsd",
    show_default=True,
    help="Whose files: the UCSD Book Graph's, or Open Library's dumps.",
)


@main.command()
@_FOLDER
@_SOURCE
def sample(folder: Path, source: str) -> None:
    """Write the bundled catalogue to DIR, as the gz files of a source."""
    from viberary_pipeline.sample.write import write_sample

    for file in sorted(write_sample(folder, source).values()):
        click.echo(f"{file.path} ({file.path.stat().st_size:,} bytes)")


@main.command()
@_FOLDER
@_SOURCE
@click.option("--books", type=click.IntRange(0), help="Of ucsd: editions; UCSD has 2,360,655.")
@click.option("--reviews", type=click.IntRange(0), help="Of ucsd: reviews; UCSD has 15,739,967.")
@click.option("--works", type=click.IntRange(0), help="Of openlibrary: works; Open Library has 40 million.")
@click.option("--readings", type=click.IntRange(0), help="Of openlibrary: reading log.  [default: a fifth of --works]")
@click.option("--date", type=click.DateTime(["%Y-%m-%d"]), help="Of openlibrary: in the names of the files.")
@click.option(
    "--changed", type=click.FloatRange(0, 1), help="Of openlibrary: share of works changed since a month ago."
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Another one, another catalogue.")
@click.option("--damage", default=0.0, show_default=True, type=click.FloatRange(0, 1), help="Share of broken lines.")
def synth(folder: Path, source: str, seed: int, damage: float, **options: Any) -> None:
    """Write a made-up catalogue of any size to DIR, with the shapes and the faults of a real one.

    --source ucsd needs --books and --reviews; --source openlibrary needs --works.
    """
    needed, other = (("books", "reviews"), ()) if source == "ucsd" else (("works",), ("readings", "date", "changed"))
    given = {name: value for name, value in options.items() if value is not None}
    if missing := [name for name in needed if name not in given]:
        raise click.UsageError(f"--source {source} needs --{' and --'.join(missing)}.")
    if foreign := [name for name in given if name not in (*needed, *other)]:
        raise click.UsageError(f"--source {source} has no --{' and no --'.join(foreign)}.")
    if "date" in given:
        given["of"] = given.pop("date").date()
    settings = load_settings()
    from viberary_pipeline.synth.write import write_dumps, write_synthetic

    write: Any = write_synthetic if source == "ucsd" else write_dumps
    for file in write(folder, **given, seed=seed, limits=settings.duckdb, damage=damage).values():
        click.echo(f"{file.path} ({file.lines:,} lines, {file.bytes:,} bytes)")


@main.group()
def fetch() -> None:
    """Download a public source."""


@fetch.command()
@_FOLDER
@click.option("--date", "of", type=click.DateTime(["%Y-%m-%d"]), help="Of the dump.  [default: the latest]")
@click.option("--only", multiple=True, type=click.Choice(_DUMPS), help="These files alone; may be repeated.")
@click.option("--replace", is_flag=True, help="Remove dumps of other dates from DIR once this one is whole.")
@click.option("--from", "url", metavar="URL", help="The server.  [VIBERARY_FETCH_URL]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def openlibrary(
    folder: Path, of: datetime | None, only: tuple[str, ...], replace: bool, url: str | None, as_json: bool
) -> None:
    """Download Open Library's monthly dump (some 17 GB) to DIR, or resume a download.

    Every file is verified by its published checksum. No file gets its final name before all are whole.
    """
    settings = load_settings(fetch_url=url)
    from viberary_pipeline.fetch.openlibrary import fetch_dump

    dump = fetch_dump(
        folder,
        settings.fetch,
        of=of.date() if of else None,
        tables=only or _DUMPS,
        replace=replace,
        say=lambda line: click.echo(line, err=True),
    )
    if as_json:
        files = [{**asdict(file), "path": str(file.path)} for file in dump.files]
        click.echo(json.dumps({"date": dump.date, "files": files, "removed": [str(path) for path in dump.removed]}))
        return
    for file in dump.files:
        verified = (
            f"{file.verified} verified" if file.verified != "gzip" else "no published checksum; gzip's own verified"
        )
        click.echo(f"{file.path} ({file.bytes:,} bytes, {verified}{'' if file.downloaded else ', was there'})")
    for path in dump.removed:
        click.echo(f"removed {path}")


if __name__ == "__main__":
    main()
