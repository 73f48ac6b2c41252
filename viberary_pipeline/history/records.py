"""The records themselves: one JSON file per run under VIBERARY_HOME/history.

The file is named by the run's number, one more than the highest there is, so that the order does not depend on the
clock. It is written when the run begins, with the verdict "under way", and again, whole, when the run ends. A process
that was killed leaves it under way; the next run, which holds the home, completes it. The first file is longer than it
need be: on a disk that has become full, the verdict is written over it.
"""

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from viberary_pipeline.errors import HistoryError, out_of_room
from viberary_pipeline.origin import origin_of, send
from viberary_pipeline.owner import is_dead, this_process
from viberary_pipeline.storage import ObjectChangedError, write_atomically
from viberary_pipeline.typed_json import parse_json

log = logging.getLogger(__name__)

FORMAT = 1
"""Raised when older programs can no longer read new records."""

Verdict = Literal[
    "under way", "published", "unchanged", "not published", "refused", "failed", "interrupted", "killed", "rolled back"
]
FAILED: tuple[Verdict, ...] = ("refused", "failed", "interrupted", "killed")
_LEAST_KEPT = 2
_RESERVED = 16 << 10
"""Bytes of the file of a run that begins."""


@dataclass(frozen=True)
class RunRecord:
    """One run. What it did not get to is empty.

    Attributes:
        number: From 1, in the order of the runs.
        format: `FORMAT` of the version that wrote it.
        verdict: How it ended. "unchanged": what was live is what the inputs give. "not published": it was not to be.
        why: What refused or stopped it, in one line.
        build: The index that it made, found standing, or went back to.
        made: Whether it made that index.
        parent: The build that was live when it began.
        run, job: Dagster's id of the run and the name of its job.
        started, ended: UTC, ISO 8601.
        times: How many runs in a row ended unchanged, this one included; the earlier ones have no record any more.
        source, raw: 'sample' or 'given', and where the raw files lie.
        inputs: {raw stage: {"digest", "bytes", "files"}}.
        keys: {stage: key of its artifact}.
        rows: {table: rows}.
        lines: {table: lines read}.
        rejected: {table.reason: lines}.
        fill: {table: {column: share of rows with a value, in [0, 1]}}.
        embedded, reused: Texts that were embedded, and whose vectors were known.
        checks: {"passed" and "not compared": how many, "failed": in words} of the expectations of the data.
        gates: `GateResult.to_json` each.
        quality: {set of judged queries: {metric: mean}}.
        answers: {query: the first ten work_ids}, of canaries and judged queries.
        seconds: {stage: seconds}.
        cost: What the executor says of the machine that embedded; empty where it was this one.
        settings: {variable: value} of those that differ from the defaults.
        versions: {distribution: version}.
        encoder: name, fingerprint, dimensions, and query_encoder where it is another.
        pages: {"report", "evaluation": path below VIBERARY_HOME/quality}.
        owner: The process (`owner`).
    """

    number: int
    format: int = FORMAT
    verdict: Verdict = "under way"
    why: str = ""
    build: str = ""
    made: bool = False
    parent: str = ""
    run: str = ""
    job: str = ""
    started: str = ""
    ended: str = ""
    times: int = 1
    source: str = ""
    raw: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    fill: dict[str, dict[str, float]] = field(default_factory=dict)
    embedded: int = 0
    reused: int = 0
    checks: dict[str, Any] = field(default_factory=dict)
    gates: list[dict[str, Any]] = field(default_factory=list)
    quality: dict[str, dict[str, float]] = field(default_factory=dict)
    answers: dict[str, list[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    encoder: dict[str, Any] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    owner: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values, and with them the seconds of all stages together."""
        return {**asdict(self), "total_seconds": self.total_seconds}

    @property
    def name(self) -> str:
        """For people: "#12" or "#12 (20261127T000711-97d4)"."""
        return f"#{self.number}" + (f" ({self.build})" if self.build else "")

    @property
    def total_seconds(self) -> float:
        """Of all stages. The clock has no part in it: it may be set back while a build runs."""
        return round(sum(self.seconds.values()), 1)

    @property
    def rejected_share(self) -> float | None:
        """Of the lines read; None where none was."""
        read = sum(self.lines.values())
        of_tables = sum(count for name, count in self.rejected.items() if name.partition(".")[0] in self.lines)
        return of_tables / read if read else None

    def gate_figure(self, name: str) -> float | None:
        """What a gate measured; None where it did not."""
        return next((gate["figure"] for gate in self.gates if gate["name"] == name), None)


class History:
    """The records of one VIBERARY_HOME."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "history"
        self._origin = origin_of(home)

    def begin(self, **values: Any) -> RunRecord:
        """Write the record of a run that begins, under the next number; `values` are fields of it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        number = max((int(path.stem) for path in self._files()), default=0) + 1
        while not self._claim(number):  # of a run that failed while it waited for the home
            number += 1
        record = RunRecord(number, **{"owner": this_process(), **values})
        write_atomically(self._file(number), _text(record).ljust(_RESERVED))
        send(self.folder.parent, self._name(number))
        return record

    def write(self, record: RunRecord) -> None:
        """Write a record, in place of the one of its number; on a full disk over it, if need be without its tables."""
        try:
            write_atomically(self._file(record.number), _text(record))
        except OSError as error:
            if out_of_room(error) is None or not self._write_over(record):
                raise
        send(self.folder.parent, self._name(record.number))

    def _write_over(self, record: RunRecord) -> bool:
        """Write a record into the file of its number, which keeps its size; whether it fits."""
        file = self._file(record.number)
        room = file.stat().st_size
        fitting = [text for text in (_text(record), _text(replace(record, answers={}, fill={}))) if len(text) <= room]
        if fitting:
            with file.open("r+b") as over:
                over.write(fitting[0].ljust(room))
        return bool(fitting)

    def finish(self, record: RunRecord, *, keep: int) -> None:
        """Write the record of a run that has ended, and remove what is older than the last `keep`.

        The build that is live and the one before it keep theirs, however many runs failed since. Of runs in a row that
        changed nothing, only the last has a record.
        """
        earlier = [one for one in self.all() if one.number < record.number]
        last = earlier[0] if earlier else None
        if (
            last is not None
            and record.verdict == last.verdict == "unchanged"
            and (record.build, record.settings, record.versions) == (last.build, last.settings, last.versions)
        ):
            record = replace(record, times=last.times + record.times)
            self._file(last.number).unlink(missing_ok=True)
        self.write(record)
        published = [one.number for one in (record, *earlier) if one.verdict == "published"][:_LEAST_KEPT]
        for path in self._files()[: -max(keep, _LEAST_KEPT)]:
            if int(path.stem) not in published:
                path.unlink(missing_ok=True)

    def all(self) -> list[RunRecord]:
        """Every record, the newest first; one that cannot be read is left out, with a warning. One that is under way
        although its process is dead says "killed"."""
        found = (self._read(path) for path in reversed(self._files()))
        return [
            replace(record, verdict="killed") if record.verdict == "under way" and is_dead(record.owner) else record
            for record in found
            if record is not None
        ]

    def unfinished(self) -> list[RunRecord]:
        """Those of runs that never ended. Ask while holding the home: then no process is at work on them."""
        return [record for path in self._files() if (record := self._read(path)) and record.verdict == "under way"]

    def find(self, name: str, pointer: Mapping[str, str] = MappingProxyType({})) -> RunRecord:
        """The record of a run by its number ("12", "#12"), or of a build by its name: the run that published it or, if
        none did, that made it.

        Args:
            name: The number, the name, or a key of `pointer`.
            pointer: {live, previous: name of the build, '' where there is none}.

        Raises:
            HistoryError: there is none.
        """
        if pointer.get(name) == "":
            raise HistoryError(
                f"There is no {name} build",
                expected=f"a {name} build in Redis; the first publish makes a live one, the second a previous one too",
                found="none",
                todo="name a build that `viberary builds` lists, or publish one: `viberary build`",
            )
        name, records = pointer.get(name, name), self.all()
        number = name.removeprefix("#")
        if number.isascii() and number.isdigit() and len(number) < 9:
            found = next((record for record in records if record.number == int(number)), None)
        else:
            of_build = [record for record in records if name and record.build == name]
            found = max(of_build, key=lambda record: (record.verdict == "published", record.made), default=None)
        if found is not None:
            return found
        raise HistoryError(
            f"The history has no build {name!r}",
            expected="the number or the name of a build that `viberary builds` lists, or: live, previous",
            found=", ".join(record.name for record in records[:4]) + (", ..." if len(records) > 4 else "")
            if records
            else f"no record in {self.folder}",
            todo="name one of these" if records else "run `viberary build`, which writes the first",
        )

    def document_keys(self, builds: int) -> set[str]:
        """The keys of the documents of the last published builds, so many of them."""
        published = [record for record in self.all() if record.verdict == "published"]
        return {record.keys["documents"] for record in published[:builds] if "documents" in record.keys}

    def _claim(self, number: int) -> bool:
        """Make this number nobody else's, on this machine or (of a home in S3) on another; False where it is taken."""
        try:
            if self._origin is not None and not self._file(number).exists():
                self._origin.claim(self._name(number))
            else:
                self._file(number).touch(exist_ok=False)
        except (FileExistsError, ObjectChangedError):
            return False
        return True

    def _file(self, number: int) -> Path:
        return self.folder.parent / self._name(number)

    @staticmethod
    def _name(number: int) -> str:
        return f"history/{number:06}.json"

    def _files(self) -> list[Path]:
        """By number."""
        return sorted((path for path in self.folder.glob("*.json") if path.stem.isdigit()), key=lambda p: int(p.stem))

    def _read(self, path: Path) -> RunRecord | None:
        try:
            text = path.read_bytes()
            if not text:  # of a process that was killed before its first word
                return None
            record = parse_json(RunRecord, text)
        except (OSError, ValueError) as error:
            log.warning("the record %s cannot be read and is left out: %s", path, str(error).splitlines()[0])
            return None
        if record.format > FORMAT:
            log.warning("the record %s is of a newer version and is left out", path)
            return None
        return record


def _text(record: RunRecord) -> bytes:
    return json.dumps(asdict(record), ensure_ascii=False, default=str).encode()


def since(records: Collection[RunRecord], build: str) -> list[RunRecord]:
    """The runs after the one that published a build (or went back to it) last, the newest first."""
    at = max((r.number for r in records if r.build == build and r.verdict in ("published", "rolled back")), default=0)
    return [record for record in records if record.number > at]
