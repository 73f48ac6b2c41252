"""The history for people, as lines for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from viberary_pipeline.history.records import FAILED, History, RunRecord, since
from viberary_pipeline.index.gate_result import in_words
from viberary_pipeline.redis_contract import BuildRecord

QUALITY = "ndcg@10"
_SHOWN = 5
_NAMED = 8
_PARTS = ("inputs", "rows", "rejected", "fill", "quality", "gates", "settings", "encoder", "versions")
_PLACES = {"inputs": "raw files", "rows": "rows", "rejected": "left out", "fill": "filled", "quality": "quality"}


def builds_table(records: Sequence[RunRecord], last: int) -> Iterator[str]:
    """One line for each of the last runs, the newest first; what refused or stopped it stands below."""
    judged = judged_set(records)
    title = f"nDCG@10 {judged}".strip()
    heads = f"{'#':>5}  {'verdict':<13} {'started (UTC)':<16}  {'build':<20} {'documents':>10}"
    yield f"{heads}  {title:>19} {'seconds':>8}"
    for record in records[:last]:
        figure = record.quality.get(judged, {}).get(QUALITY)
        times = f" x{record.times}" if record.times > 1 else ""
        documents = f"{record.rows['documents']:,}" if "documents" in record.rows else ""
        yield (
            f"{record.number:>5}  {record.verdict + times:<13} {minute(record.started):<16}  {record.build:<20} "
            f"{documents:>10}  {'' if figure is None else f'{figure:.3f}':>19} {record.total_seconds:>8,.1f}"
        ).rstrip()
        if record.why:
            yield f"       {record.why}"


def judged_set(records: Sequence[RunRecord]) -> str:
    """The set of judged queries that most runs have, by whose figure they are compared; '' where none has any."""
    names = [name for record in records for name in record.quality]
    return max(dict.fromkeys(names), key=names.count, default="")


def diff_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What `diff.diff` found."""
    for side in ("a", "b"):
        one = found[side]
        yield f"{side}  #{one['number']} {one['build'] or 'no index'}, {one['verdict']}, {minute(one['started'])} UTC"
    if documents := found["documents"]:
        yield "documents: " + ", ".join(
            f"{documents[what]:,} {what}" for what in ("added", "removed", "changed", "same")
        )
        if documents["fields"]:
            yield "  fields: " + ", ".join(f"{field} {count:,}" for field, count in documents["fields"].items())
        for side, columns in zip(("a", "b"), documents["columns"], strict=True):
            if columns:
                yield f"  columns of {side} alone: {', '.join(columns)}"
        for what, works in documents["examples"].items():
            for work in works:
                changed = f": {_some(work['fields'])}" if "fields" in work else ""
                yield f"  {what:<8} {work['work_id']} {work['title']}{changed}"
    if answers := found["answers"]:
        yield (
            f"first ten: {answers['overlap']:.1%} the same works over {answers['queries']:,} queries; "
            f"{answers['same']:,} answered exactly alike"
        )
        for least in answers["least"]:
            asked = f"like {least['title']}" if "title" in least else least["query"]
            yield f"  {least['overlap']:>4.0%}  {asked}"
    for part in _PARTS:
        if found[part]:
            yield f"{_PLACES.get(part, part)}:"
            for name, (a, b) in found[part].items():
                # The other metrics of a set say much the same; --json has them.
                if part != "quality" or name.endswith(QUALITY) or QUALITY not in str(found[part]):
                    yield f"  {name:<36} {_value(part, a)} -> {_value(part, b)}"
    seconds = [sum(filter(None, (pair[side] for pair in found["seconds"].values()))) for side in (0, 1)]
    yield f"seconds: {seconds[0]:,.1f} -> {seconds[1]:,.1f}"
    for stage, (a, b) in found["seconds"].items():
        if abs((a or 0) - (b or 0)) >= 1:
            yield f"  {stage:<36} {_value('seconds', a)} -> {_value('seconds', b)}"
    for part, why in found["not_compared"].items():
        yield f"not compared: {_PLACES.get(part, part)}: {why}"


def change_lines(changed: Mapping[str, Mapping[str, Sequence[Any]]]) -> Iterator[str]:
    """What `diff.changes` found, one line a part; of figures that no two runs share (of gates) nothing."""
    for part in _PARTS:
        if part != "gates" and (of_part := changed[part]):
            named = [f"{name} {_value(part, a)} → {_value(part, b)}" for name, (a, b) in of_part.items()]
            if part == "inputs":
                named = [name.removeprefix("raw_") for name in of_part]
            yield f"{_PLACES.get(part, part)}: {_some(named)}"


def status_lines(home: Path, live: str, builds: Sequence[BuildRecord]) -> Iterator[str]:
    """The live build (from what, how old, how good, what was refused since, where its reports lie), and each build that
    Redis holds."""
    records = History(home).all()
    record = next((build for build in builds if build.build == live), None)
    if record is not None:
        yield from _live_lines(home, record, records)
    failed = [one for one in since(records, live) if one.verdict in FAILED]
    for one in failed[:_SHOWN]:
        yield f"since     {one.name} {one.verdict} {age(one.started)}: {one.why or 'see the run in the Dagster UI'}"
    if len(failed) > _SHOWN:
        yield f"since     {len(failed) - _SHOWN:,} more: viberary builds"
    for build in builds:
        yield ""
        yield from _build_lines(build)


def _live_lines(home: Path, record: BuildRecord, records: Sequence[RunRecord]) -> Iterator[str]:
    run = next((one for one in records if one.build == record.build and one.verdict == "published"), None)
    source = {"sample": "the bundled sample", "given": run.raw if run and run.raw else "files of yours"}
    counted = (
        ", ".join(f"{run.rows[table]:,} {table}" for table in ("books", "authors", "reviews") if table in run.rows)
        if run
        else ""
    )
    yield f"from      {source.get(record.source, 'unknown files')}" + (f": {counted}" if counted else "")
    yield f"age       published {age(record.published)}" + (f" by run #{run.number}" if run else "")
    checked = next((one for one in records if one.build == record.build and one.verdict == "unchanged"), None)
    if checked is not None:
        yield f"checked   {age(checked.ended)}: nothing had changed"
    figures = [
        f"{name} {figures[QUALITY]:.3f}" for name, figures in (run.quality if run else {}).items() if QUALITY in figures
    ]
    yield "quality   " + (
        f"nDCG@10: {', '.join(figures)}" if figures else "not in the history: `viberary evaluate` measures it"
    )
    pages = [home / "quality" / page for page in (*(run.pages.values() if run else ()), "trends.html")]
    for number, page in enumerate(page for page in pages if page.is_file()):
        yield f"{'' if number else 'reports':<10}{page}"


def _build_lines(record: BuildRecord) -> Iterator[str]:
    yield f"build {record.build} ({record.state})"
    yield f"  documents  {record.documents:,}"
    queries = record.query_encoder_name
    yield (
        f"  encoder    {record.encoder} ({record.fingerprint})"
        + (f", queries by {queries}" if queries not in ("", record.encoder) else "")
    )
    yield (
        f"  index      HNSW {record.type} x {record.dim}, M {record.m}, EF_CONSTRUCTION {record.ef_construction}, "
        f"EF_RUNTIME {record.ef_runtime}"
    )
    published, saved = record.published or "never", record.saved or "no"
    yield f"  times      created {record.created}, published {published}, saved {saved}"
    fed = record.feed_seconds
    feed = f", of which writing the works {fed:.1f} s ({record.documents / fed:,.0f} works/s)" if fed else ""
    yield f"  built in   {record.seconds:.1f} s{feed}"
    yield from (f"  gate       {in_words(gate)}" for gate in record.gate_results)


def minute(moment: str) -> str:
    """An ISO 8601 moment to the minute, '' for none."""
    return moment[:16].replace("T", " ")


def age(moment: str, now: datetime | None = None) -> str:
    """How long ago an ISO 8601 moment was, in words; a moment to come says that a clock was set."""
    try:
        seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds()
    except (ValueError, TypeError):
        return "at an unknown time"
    if seconds < -60:
        return "in the future by this machine's clock, which was set back or is wrong"
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count:,} {unit}{'s' * (count > 1)} ago"
    return "just now"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _value(part: str, value: Any) -> str:
    if value is None:
        return "none"
    if part == "fill":
        return f"{value:.1%}"
    return f"{value:,.10g}" if isinstance(value, int | float) else str(value)
