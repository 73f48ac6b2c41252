"""Queries with their judgements: what an evaluation asks, and which works answer it.

Three sources: known items drawn from a catalogue (`known_items`), weak labels of the data (`weak_labels`), and files
of judgements, in TOML (the sample's golden set) or in TREC's form.
"""

import csv
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from viberary_pipeline.errors import EvaluationError
from viberary_pipeline.ranking_metrics import Grades


@dataclass(frozen=True)
class JudgedQuery:
    """One query.

    Attributes:
        text: What is typed; "" where `like` asks.
        kind: The group that it is reported under.
        grades: {work_id: grade from 0 to 3}; other works have 0.
        like: Ask for works similar to this one instead of for a text.
    """

    text: str
    kind: str
    grades: Grades
    like: str = ""


@dataclass(frozen=True)
class QuerySet:
    """Queries that are averaged together.

    Attributes:
        name: golden, known items, similar books, shelves, or a file's name.
        queries: In a fixed order.
        relevant: The least grade that counts for MRR and recall.
        guards: Whether a build that does worse here is refused. Weak labels guard nothing: where a catalogue grows,
            what they call right has more company, and no build is to blame.
    """

    name: str
    queries: tuple[JudgedQuery, ...]
    relevant: int = 1
    guards: bool = True

    def judges(self, works: Collection[str]) -> bool:
        """Whether every work of its judgements is among these: it says nothing of another catalogue."""
        return {work for query in self.queries for work in query.grades} <= set(works)


def judged_set(path: Path) -> QuerySet:
    """A set from a TOML file, named after it.

    The form: `relevant`, a grade, and [[query]] entries with `text`, `kind` and the table `works` of work_ids, each
    [grade from 0 to 3, why].

    Raises:
        EvaluationError: the file cannot be read, or has another form.
    """
    try:
        file = tomllib.loads(_text(path))
        queries = tuple(
            JudgedQuery(
                str(entry["text"]),
                str(entry["kind"]),
                {work: int(grade) for work, (grade, _) in entry["works"].items()},
            )
            for entry in file["query"]
        )
        return QuerySet(path.stem, queries, relevant=int(file["relevant"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(
            f"{path} holds no judged queries",
            expected="`relevant`, and [[query]] entries with text, kind and works (work_id = [grade, why])",
            found=f"{type(error).__name__}: {error}",
            todo="correct the file",
        ) from error


def trec_set(queries: Path, qrels: Path) -> QuerySet:
    """A set from files: queries as `id TAB text`, judgements in TREC's qrels form (`id 0 work_id grade`).

    Raises:
        EvaluationError: a line of another form, or no query with a judgement.
    """
    grades: dict[str, dict[str, int]] = {}
    for number, line in enumerate(_lines(qrels), start=1):
        fields = line.split()
        try:
            query, _, work, grade = fields
            grades.setdefault(query, {})[work] = int(grade)
        except ValueError as error:
            raise _wrong_line(qrels, number, "id, 0, work_id and a whole grade", line) from error
    found: list[JudgedQuery] = []
    for number, fields in enumerate(csv.reader(_lines(queries), delimiter="\t", quoting=csv.QUOTE_NONE), start=1):
        if len(fields) != 2 or not fields[1].strip():
            raise _wrong_line(queries, number, "id, a tab and the query", "\t".join(fields))
        if any(grade > 0 for grade in grades.get(fields[0], {}).values()):
            found.append(JudgedQuery(fields[1], qrels.stem, grades[fields[0]]))
    if not found:
        raise EvaluationError(
            f"{queries} and {qrels} have nothing to evaluate",
            expected="queries whose ids have a judgement above 0",
            found=f"{len(grades):,} judged ids, none of them among the queries",
            todo="see that both files use the same ids",
        )
    return QuerySet(qrels.stem, tuple(found))


def _lines(path: Path) -> list[str]:
    return [line for line in _text(path).splitlines() if line.strip()]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(
            f"{path} cannot be read",
            expected="a text file in UTF-8",
            found=f"{type(error).__name__}: {error}",
            todo="correct the path or the file",
        ) from error


def _wrong_line(path: Path, number: int, expected: str, found: str) -> EvaluationError:
    return EvaluationError(
        f"{path} has a line of another form",
        expected=expected,
        found=f"line {number}: {found[:80]!r}",
        todo="correct the line",
    )
