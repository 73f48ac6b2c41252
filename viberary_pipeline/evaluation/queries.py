"""Queries with their judgements: what an evaluation asks, and which works answer it.

Three sources: known items drawn from a catalogue (`known_items`), weak labels of the data (`weak_labels`), and files
of judgements, in TOML (the sample's golden set) or in TREC's form. A folder of the latter holds pairs that belong
together by their names: `NAME.queries.tsv` and `NAME.qrels.txt`, or variants of either (`NAME.queries_long.tsv`).
"""

import re
import tomllib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from viberary_pipeline.errors import EvaluationError
from viberary_pipeline.ranking_metrics import Grades

_BEST = 3  # grades of the golden set: 3 hoped for, 2 fits well, 1 one sees why it is there
_VARIANT = re.compile(r"\.(?:queries|qrels)_([^.]+)")


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

    @property
    def asked(self) -> str:
        """The query in words: its text, or "like" and the work."""
        return self.text or f"like {self.like}"


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
        return self.works <= set(works)

    @property
    def works(self) -> set[str]:
        """The works that its queries ask for or judge."""
        return {work for query in self.queries for work in (*query.grades, query.like) if work}

    def within(self, works: Collection[str]) -> tuple["QuerySet", "Coverage"]:
        """The set for a catalogue that holds these works, and how much of it that is.

        Works that the catalogue lacks are no right answers of it. Queries that are left without one are left out:
        no system could answer them.
        """
        queries = tuple(
            replace(query, grades={work: grade for work, grade in query.grades.items() if work in works})
            for query in self.queries
        )
        answerable = tuple(query for query in queries if any(grade >= self.relevant for grade in query.grades.values()))
        missing = len({work for query in self.queries for work in query.grades} - set(works))
        covered = Coverage(len(self.queries), len(self.queries) - len(answerable), len(self.works), missing)
        return replace(self, queries=answerable), covered


@dataclass(frozen=True)
class Coverage:
    """How much of a set a catalogue can answer.

    Attributes:
        queries, left_out: Queries of the set; those without a right answer in the catalogue.
        works, missing: Works that the set judges; those that the catalogue lacks.
    """

    queries: int
    left_out: int
    works: int
    missing: int


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

    A third column of the queries, if there is one, is the query's kind. The set is named after the qrels, without their
    endings; the part after `_` in `.queries_long.tsv` or `.qrels_mine.txt` is added. Where grades reach 3, the scale is
    that of the golden set: a work of grade 1 is no success.

    Raises:
        EvaluationError: a line of another form, an id or a judgement that stands twice, or no query with a judgement.
    """
    name = set_name(queries, qrels)
    grades: dict[str, dict[str, int]] = {}
    for number, line in _lines(qrels):
        try:
            query, _, work, grade = line.split()
            value = int(grade)
        except ValueError as error:
            raise _wrong_line(qrels, number, "id, 0, work_id and a whole grade", line) from error
        if grades.setdefault(query, {}).setdefault(work, value) != value:
            raise _wrong_line(qrels, number, f"one grade of work {work} for query {query}", line)
    asked: dict[str, JudgedQuery] = {}
    for number, line in _lines(queries):
        query, *fields = (field.strip() for field in line.split("\t"))
        if len(fields) not in (1, 2) or not query or not fields[0]:
            raise _wrong_line(queries, number, "id, a tab and the query (and, if you like, a tab and its kind)", line)
        if query in asked:
            raise _wrong_line(queries, number, f"each id once, and {query} stands above already", line)
        text, kind = (*fields, name)[:2]
        asked[query] = JudgedQuery(text, kind or name, grades.get(query, {}))
    found = tuple(query for query in asked.values() if any(grade > 0 for grade in query.grades.values()))
    if not found:
        raise EvaluationError(
            f"{queries} and {qrels} have nothing to evaluate",
            expected="queries whose ids have a judgement above 0",
            found=f"{len(asked):,} queries and {len(grades):,} judged ids, but no query with a judgement above 0",
            todo="check that both files use the same ids",
        )
    highest = max(grade for query in found for grade in query.grades.values())
    return QuerySet(name, found, relevant=2 if highest >= _BEST else 1)


def set_name(queries: Path, qrels: Path) -> str:
    """What a pair of files is called: `validation long` for validation.queries_long.tsv, validation.qrels.txt."""
    base = re.split(r"\.(?:qrels|queries)(?=[_.]|$)", qrels.name)[0]
    base = base if base != qrels.name else qrels.stem
    variants = [found[1] for path in (queries, qrels) if (found := _VARIANT.search(path.name))]
    return " ".join([base, *variants]).replace("_", " ")


def judged_files(places: Iterable[Path]) -> list[tuple[Path, Path]]:
    """The pairs of queries and qrels in these folders, or of these files of queries with the qrels beside them.

    Raises:
        EvaluationError: a place that is not there, a folder without such a pair, queries without their qrels.
    """
    return [pair for place in places for pair in _pairs(place.expanduser())]


def _pairs(place: Path) -> Iterator[tuple[Path, Path]]:
    files = [place] if place.is_file() else sorted(place.glob("*.queries*.tsv"))
    if not files:
        raise EvaluationError(
            f"{place} holds no judged queries",
            expected="a folder with NAME.queries.tsv and NAME.qrels.txt, or one such file of queries",
            found="no file of that name" if place.is_dir() else "no such file or folder",
            todo="correct VIBERARY_EVALUATION_JUDGED, or rename the files",
        )
    for queries in files:
        name = queries.name.split(".queries")[0]
        judgements = sorted(
            path for path in queries.parent.glob("*.qrels*.txt") if path.name.split(".qrels")[0] == name
        )
        if not judgements:
            raise EvaluationError(
                f"{queries} has no judgements",
                expected=f"{name}.qrels.txt in the same folder",
                found="no such file",
                todo="add that file, or remove the file of queries",
            )
        yield from ((queries, qrels) for qrels in judgements)


def named_apart(sets: Iterable[QuerySet], taken: Iterable[str] = ()) -> list[QuerySet]:
    """The sets, those whose name another has numbered: figures are summed up by name."""
    names, renamed = set(taken), []
    for judged in sets:
        name, number = judged.name, 2
        while name in names:
            name, number = f"{judged.name} {number}", number + 1
        names.add(name)
        renamed.append(replace(judged, name=name))
    return renamed


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers. Only a line feed ends one: a query may hold U+2028."""
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(
            f"{path} cannot be read",
            expected="a text file in UTF-8",
            found=f"{type(error).__name__}: {error}",
            todo="correct the path or the file",
        ) from error


def _wrong_line(path: Path, number: int, expected: str, found: str) -> EvaluationError:
    return EvaluationError(
        f"A line of {path} has the wrong form",
        expected=expected,
        found=f"line {number}: {found[:80]!r}",
        todo="correct the line",
    )
