"""What changed between two builds: from their records, and from their documents where both are still kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from viberary_pipeline.artifacts import Artifact, ArtifactStore
from viberary_pipeline.duck import DuckLimits, duckdb_errors, open_in_memory, view_parquet
from viberary_pipeline.history.records import RunRecord

_EXAMPLES = 5
_LEAST_FILL = 0.0005
_MAPPINGS = ("rows", "rejected", "settings", "versions", "encoder")


def diff(home: Path, a: RunRecord, b: RunRecord, limits: DuckLimits) -> dict[str, Any]:
    """What changed from `a` to `b`.

    Returns:
        {"a", "b": number, build, verdict, started;
        "inputs": {raw stage: [digest, digest]}, and likewise "rows", "rejected", "settings", "versions", "encoder",
        "fill" (by table.column), "quality" (by set and metric) and "gates" (figures): what differs alone, null where
        one has none;
        "seconds": {stage: [seconds, seconds]}, of all stages;
        "documents": {"added", "removed", "changed", "same": how many, "fields": {field: works in which it changed},
        "columns": [those of a alone, those of b alone],
        "examples": {"added", "removed", "changed": [{"work_id", "title", for changed ones "fields"}]}}, or null;
        "answers": {"queries", "same": how many, "overlap": mean share of the first ten that both find, in [0, 1],
        "least": [{"query", "overlap", for a query by a work ("like 123") whose title is kept "title"}]}, or null;
        "not_compared": {part: why}}.

    Raises:
        RawDataError: DuckDB has no room to compare the documents.
    """
    missing = {
        part: f"{' and '.join(one.name for one in (a, b) if not getattr(one, part))} did not get so far"
        for part in ("inputs", "quality")
        if not (getattr(a, part) and getattr(b, part))
    }
    store = ArtifactStore(home)
    kept = [(one, _kept(store, one)) for one in (a, b)]
    answers = _answers(a, b, missing)
    if answers:
        _add_titles(answers["least"], [table for _, table in kept if table], limits, home)
    return {
        "a": _named(a),
        "b": _named(b),
        **changes(a, b),
        "seconds": {stage: [a.seconds.get(stage), b.seconds.get(stage)] for stage in {**a.seconds, **b.seconds}},
        "documents": _documents(kept, limits, home, missing),
        "answers": answers,
        "not_compared": missing,
    }


def changes(a: RunRecord, b: RunRecord) -> dict[str, dict[str, list[Any]]]:
    """What differs between two records, but for the time that they took: {part: {name: [in a, in b]}}."""
    fill = _changes(_flat(a.fill), _flat(b.fill))
    return {
        "inputs": _changes(_digests(a), _digests(b)),
        **{part: _changes(getattr(a, part), getattr(b, part)) for part in _MAPPINGS},
        "fill": {n: pair for n, pair in fill.items() if None in pair or abs(pair[1] - pair[0]) >= _LEAST_FILL},
        "quality": _changes(_flat(a.quality), _flat(b.quality)),
        "gates": _changes(*({gate["name"]: gate["figure"] for gate in one.gates} for one in (a, b))),
    }


def _named(record: RunRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in ("number", "build", "verdict", "started")}


def _digests(record: RunRecord) -> dict[str, str]:
    return {stage: raw["digest"] for stage, raw in record.inputs.items()}


def _flat(nested: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {f"{outer}.{inner}": value for outer, of_outer in nested.items() for inner, value in of_outer.items()}


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    names = {**before, **after}
    return {name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)}


def _answers(a: RunRecord, b: RunRecord, missing: dict[str, str]) -> dict[str, Any] | None:
    """How much of the first ten is the same, over the queries that both records kept."""
    asked = [query for query in a.answers if query in b.answers]
    if not asked:
        lacking = [one.name for one in (a, b) if not one.answers]
        missing["answers"] = f"{' and '.join(lacking)} kept none" if lacking else "both kept other queries"
        return None
    overlaps = {query: _overlap(a.answers[query], b.answers[query]) for query in asked}
    least = sorted(overlaps, key=lambda query: overlaps[query])[:_EXAMPLES]
    return {
        "queries": len(asked),
        "same": sum(a.answers[query] == b.answers[query] for query in asked),
        "overlap": round(sum(overlaps.values()) / len(asked), 4),
        "least": [{"query": query, "overlap": overlaps[query]} for query in least if overlaps[query] < 1],
    }


def _kept(store: ArtifactStore, record: RunRecord) -> Artifact | None:
    """The documents of a run, where they still are."""
    key = record.keys.get("documents", "")
    return store.find("documents", key) if key else None


def _add_titles(least: list[dict[str, Any]], tables: list[Artifact], limits: DuckLimits, scratch: Path) -> None:
    """Give each query "like WORK" the title of that work, from the last of `tables` that has it."""
    by_work = {one["query"].removeprefix("like "): one for one in least if one["query"].startswith("like ")}
    if not by_work:
        return
    with duckdb_errors("The titles of a build cannot be read"), open_in_memory(limits, scratch) as duck:
        for table in tables:
            found = duck.execute(
                "SELECT work_id, title FROM read_parquet(?) WHERE list_contains(?, work_id)",
                [str(table.file("documents.parquet")), list(by_work)],
            )
            for work, title in found.fetchall():
                by_work[work]["title"] = title


def _overlap(before: list[str], after: list[str]) -> float:
    """The share of works that both found, of what the one with more found; 1 where neither found any."""
    most = max(len(before), len(after))
    return round(len({*before} & {*after}) / most, 4) if most else 1.0


def _documents(
    kept: list[tuple[RunRecord, Artifact | None]], limits: DuckLimits, scratch: Path, missing: dict[str, str]
) -> dict[str, Any] | None:
    tables: list[Artifact] = []
    for record, artifact in kept:
        if artifact is None:
            missing["documents"] = (
                f"those of {record.name} are no longer kept: `viberary gc` removed them (VIBERARY_KEEP_DOCUMENTS)"
                if record.keys.get("documents")
                else f"{record.name} did not get so far"
            )
            return None
        tables.append(artifact)
    if tables[0].key == tables[1].key:
        rows = tables[0].facts["rows"]
        none: dict[str, list[Any]] = {"added": [], "removed": [], "changed": []}
        counts = {"added": 0, "removed": 0, "changed": 0, "same": rows}
        return {**counts, "fields": {}, "columns": [[], []], "examples": none}
    before, after = (table.file("documents.parquet") for table in tables)
    return compare_documents(before, after, limits, scratch)


def compare_documents(before: Path, after: Path, limits: DuckLimits, scratch: Path) -> dict[str, Any]:
    """Works that were added, removed, and changed, and in which fields; as in `diff`.

    Args:
        before, after: Parquet, one row per work_id.
        limits, scratch: DuckDB's.
    """
    with duckdb_errors("The documents of two builds cannot be compared"), open_in_memory(limits, scratch) as duck:
        view_parquet(duck, "a", before)
        view_parquet(duck, "b", after)
        columns = {name: [row[0] for row in duck.execute(f"DESCRIBE {name}").fetchall()] for name in ("a", "b")}
        shared = [column for column in columns["a"] if column in columns["b"] and column != "work_id"]
        differs = {column: f'a."{column}" IS DISTINCT FROM b."{column}"' for column in shared}
        changed = " OR ".join(differs.values()) or "false"
        counts = ", ".join(f"count(*) FILTER ({test})" for test in differs.values()) or "0"
        both = "a JOIN b USING (work_id)"
        common, altered, *fields = duck.execute(
            f"SELECT count(*), count(*) FILTER ({changed}), {counts} FROM {both}"
        ).fetchone() or (0, 0)
        sizes = [(duck.execute(f"SELECT count(*) FROM {name}").fetchone() or (0,))[0] for name in ("a", "b")]

        def examples(query: str) -> list[tuple[Any, ...]]:
            return duck.execute(f"{query} ORDER BY work_id LIMIT {_EXAMPLES}").fetchall()

        added, removed = (
            [
                {"work_id": work, "title": title}
                for work, title in examples(f"SELECT work_id, title FROM {x} ANTI JOIN {y} USING (work_id)")
            ]
            for x, y in (("b", "a"), ("a", "b"))
        )
        tests = ", ".join(f'{test} AS "{column}"' for column, test in differs.items()) or "0"
        altered_rows = examples(f"SELECT work_id, b.title, {tests} FROM {both} WHERE {changed}")
    named = {column: count for column, count in zip(shared, fields, strict=False) if count}
    return {
        "added": sizes[1] - common,
        "removed": sizes[0] - common,
        "changed": altered,
        "same": common - altered,
        "fields": dict(sorted(named.items(), key=lambda item: (-item[1], item[0]))),
        "columns": [[c for c in columns[x] if c not in columns[y]] for x, y in (("a", "b"), ("b", "a"))],
        "examples": {
            "added": added,
            "removed": removed,
            "changed": [
                {"work_id": work, "title": title, "fields": [c for c, test in zip(shared, tests_, strict=True) if test]}
                for work, title, *tests_ in altered_rows
            ],
        },
    }
