"""Evaluation: its sets, its systems on a real Redis, its gate, its report."""

import json
import re
import shutil
import tracemalloc
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from homes import published_copy
from shards import finished_shard

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.assets.evaluation_report import answers_of
from viberary_pipeline.assets.stages import Work
from viberary_pipeline.documents.rules import DocumentRules
from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.errors import EvaluationError
from viberary_pipeline.evaluation import build_evaluation, systems
from viberary_pipeline.evaluation.build_evaluation import evaluate_build, query_sets
from viberary_pipeline.evaluation.evaluation_gate import gate_evaluation
from viberary_pipeline.evaluation.inputs import documents_of
from viberary_pipeline.evaluation.known_items import KINDS, known_items, with_typo
from viberary_pipeline.evaluation.live import evaluate_live
from viberary_pipeline.evaluation.page import line_chart, table_lines, write_report
from viberary_pipeline.evaluation.queries import JudgedQuery, QuerySet, judged_set, trec_set
from viberary_pipeline.evaluation.scoring import Scored, by_query, evaluate, summary
from viberary_pipeline.evaluation.seed_baseline import SeedVectors, seed_vectors
from viberary_pipeline.evaluation.systems import BM25, PREVIOUS, SEED, SEED_ORDER, THIS, VECTORS, System, seed_systems
from viberary_pipeline.evaluation.weak_labels import weak_sets
from viberary_pipeline.redis_contract import document_prefix, read_record
from viberary_pipeline.sample import GOLDEN
from viberary_pipeline.sample.records import work_id
from viberary_pipeline.sample.works import load_works
from viberary_pipeline.search.spelling import edits
from viberary_pipeline.search.weights import SearchSettings

SAMPLE = [work_id(work) for work in load_works()]


def test_the_golden_set_judges_works_of_the_sample_and_each_query_has_a_best_one():
    golden = judged_set(GOLDEN)
    assert golden.name == "golden"
    assert golden.relevant == 2
    assert len(golden.queries) >= 60
    assert len({query.text for query in golden.queries}) == len(golden.queries)
    for query in golden.queries:
        assert set(query.grades) <= set(SAMPLE)
        assert set(query.grades.values()) <= {0, 1, 2, 3}
        assert 3 in query.grades.values(), query.text
    assert set(Counter(query.kind for query in golden.queries)) == {"feeling", "subject", "people", "place", "style"}
    assert golden.judges(SAMPLE)
    assert not golden.judges(SAMPLE[:100]), "its judgements are of no other catalogue"


def test_trec_files_become_a_set(tmp_path):
    (tmp_path / "q.tsv").write_text("1\tsad vampires\n2\tnobody judged me\n3\tonly zeros\n", encoding="utf-8")
    (tmp_path / "mine.qrels").write_text("1 0 w1 2\n1 0 w2 0\n3\t0\tw1\t0\n", encoding="utf-8")
    assert trec_set(tmp_path / "q.tsv", tmp_path / "mine.qrels") == QuerySet(
        "mine", (JudgedQuery("sad vampires", "mine", {"w1": 2, "w2": 0}),)
    )


@pytest.mark.parametrize(
    ("queries", "qrels", "message"),
    [
        ("1 no tab\n", "1 0 w1 1\n", "line 1: '1 no tab'"),
        ("1\tquery\n", "1 0 w1\n", "line 1: '1 0 w1'"),
        ("1\tquery\n", "1 0 w1 good\n", "line 1: '1 0 w1 good'"),
        ("1\tquery\n", "2 0 w1 1\n", "nothing to evaluate"),
    ],
)
def test_files_of_another_form_say_where(tmp_path, queries, qrels, message):
    (tmp_path / "q").write_text(queries)
    (tmp_path / "r").write_text(qrels)
    with pytest.raises(EvaluationError, match=message):
        trec_set(tmp_path / "q", tmp_path / "r")
    with pytest.raises(EvaluationError, match="cannot be read"):
        trec_set(tmp_path / "q", tmp_path / "absent")


@pytest.fixture
def documents(tmp_path):
    sentence = "A keeper of a lighthouse finds a letter that was never meant for her."
    rows = [
        ("w1", "The Sea: A Novel", "Ann Bo, Cy Di", sentence + " Short one."),
        ("w2", "Sea (Tides, #2)", "Ann Bo", "Short."),
        ("w3", "The sea, a novel!", "Eve Fox", sentence),
        ("w4", "No Author", "", sentence),
        ("w5", "It", "Stephen King", ""),
    ]
    path = tmp_path / "documents.parquet"
    names = ("work_id", "title", "author", "description")
    pq.write_table(pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows]), path)
    return path


def test_known_items_count_every_work_of_that_title_or_author(documents):
    known = known_items(documents, 10)
    asked = {(query.kind, query.text): set(query.grades) for query in known.queries}
    assert asked[("title", "The Sea: A Novel")] == asked[("title", "The sea, a novel!")] == {"w1", "w3"}
    assert asked[("title", "Sea (Tides, #2)")] == {"w2"}
    assert asked[("author", "Ann Bo, Cy Di")] == {"w1", "w2"}
    assert asked[("author and title", "Ann Bo, Cy Di The Sea: A Novel")] == {"w1"}
    sentence = "A keeper of a lighthouse finds a letter that was never meant for her."
    assert [query.grades for query in known.queries if query.text == sentence] != []
    assert {query.kind for query in known.queries} <= set(KINDS)
    assert asked[("author", "Stephen King")] == {"w5"}, "a work without a description has a name"
    assert "w4" not in {work for query in known.queries for work in query.grades}
    assert known == known_items(documents, 10)
    assert Counter(query.kind for query in known_items(documents, 1).queries) == dict.fromkeys(
        [query.kind for query in known.queries], 1
    )


def test_known_items_are_the_same_however_the_file_is_read(documents, monkeypatch):
    known = known_items(documents, 2)
    monkeypatch.setattr("viberary_pipeline.evaluation.known_items._PORTION_ROWS", 1)
    assert known_items(documents, 2) == known
    assert {len(query.grades) for query in known.queries} == {1, 2}


def test_known_items_take_no_more_memory_for_more_works(tmp_path):
    def peak(works):
        path = tmp_path / "documents.parquet"
        names = [f"{n:05}" for n in range(works)]
        columns = {
            "work_id": names,
            "title": [f"The Story of {name}" for name in names],
            "author": [f"Ann {name}" for name in names],
            "description": ["A keeper of a lighthouse finds a letter that was never meant for her. " * 10] * works,
        }
        pq.write_table(pa.table(columns), path)
        tracemalloc.start()
        try:
            assert len(known_items(path, 10).queries) == 50
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    one, four = peak(10_000), peak(40_000)
    assert four < 1.3 * one, f"{four} bytes for 40,000 works, {one} for 10,000"


def test_a_typo_is_one_slip_in_a_longer_word():
    for seed in range(200):
        slipped = with_typo("The Hitchhiker's Guide", seed=seed)
        assert edits(slipped, "The Hitchhiker's Guide") == 1
        assert slipped.startswith("The ")
    assert with_typo("It, by Her", seed=1) is None


def test_weak_labels_come_from_similar_books_and_from_shelves_that_say_something(tmp_path):
    folder = tmp_path / "books.parquet"
    folder.mkdir()
    shelves = ["to-read", "owned", "magical-realism", "2017", "everybody"]
    rows = [
        {
            "book_id": str(n),
            "work_id": f"w{n}",
            "similar_books": ["1", "2", "999"] if n == 0 else [],
            "popular_shelves": shelves if n < 5 else ["to-read", "everybody"],
        }
        for n in range(60)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "part-00000.parquet")

    def sets(works, **options):
        documents = tmp_path / "documents.parquet"
        pq.write_table(pa.table({"work_id": works}), documents)
        return weak_sets(folder, documents, 10, DuckLimits(), tmp_path, **options)

    works = [f"w{n}" for n in range(60)]
    similar, shelf = sets(works)
    assert similar.queries == (JudgedQuery("", "similar books", {"w1": 1, "w2": 1}, like="w0"),)
    assert not similar.guards
    assert shelf.queries == (JudgedQuery("magical realism", "shelves", {f"w{n}": 1 for n in range(5)}),)
    assert sets(works, shelves=False) == [similar]
    # What cannot be found is no right answer, and four works are no shelf.
    (similar,) = sets([work for work in works if work != "w2"])
    assert similar.queries == (JudgedQuery("", "similar books", {"w1": 1}, like="w0"),)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".duckdb")] == []


def test_weak_labels_are_drawn_by_checksum_and_large_shelves_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr("viberary_pipeline.evaluation.weak_labels._MOST_WORKS", 5)
    shelves = ["sea-tales", "night-tales", *(f"large-{letter * 3}" for letter in "abcdefghijklmnop")]
    rows = [
        {
            "book_id": str(n),
            "work_id": None if n == 7 else f"w{n}",
            "similar_books": ["1"] if n in (7, 30) else ["unknown"],
            "popular_shelves": [*(shelves[:1] if n < 5 else []), *(shelves[1:2] if n > 95 else []), *shelves[2:]],
        }
        for n in range(101)
    ]
    books, documents = tmp_path / "books.parquet", tmp_path / "documents.parquet"
    pq.write_table(pa.Table.from_pylist(rows), books)
    pq.write_table(pa.table({"work_id": ["b7", *(f"w{n}" for n in range(101) if n != 7)]}), documents)

    def sets(most):
        found = weak_sets(books, documents, most, DuckLimits(), tmp_path)
        return [{query.asked: set(query.grades) for query in one.queries} for one in found]

    similar, shelf = sets(5)
    assert similar == {"like b7": {"w1"}, "like w30": {"w1"}}
    assert shelf == {"sea tales": {f"w{n}" for n in range(5)}, "night tales": {f"w{n}" for n in range(96, 101)}}
    # Of the two, the one with the lower checksum.
    assert [list(found) for found in sets(1)] == [["like w30"], ["sea tales"]]


def fixed(name, found):
    return System(name, lambda query: found.get(query.text))


def test_the_original_systems_texts_are_made_only_to_be_embedded(published, tmp_path):
    """A build without the baseline does not spend a catalogue's minutes on texts that nobody has embedded."""
    home = tmp_path / "home"
    shutil.copytree(published.home / "artifacts", home / "artifacts", symlinks=True)
    record = read_record(published.redis, published.build)

    def embed(texts, model, store):
        hashes = texts["text_hash"].to_pylist()
        vectors = np.eye(len(hashes), model.spec.dimensions, dtype=np.float32)
        vectors[:, 0] += ~vectors.any(axis=1)
        store.adopt(*finished_shard(hashes, vectors, fingerprint=store.fingerprint))

    def vectors(embed):
        limits = DuckLimits(memory_limit="1GB", threads=1)
        documents = documents_of(home, record)
        return seed_vectors(home, record, documents, record.encoder, DocumentRules(), limits, embed=embed)

    assert vectors(None) is None
    assert not (home / "artifacts" / "documents_seed").exists()
    made = vectors(embed)
    assert len(made.works) >= record.documents
    again = vectors(None)
    assert again.works == made.works
    np.testing.assert_array_equal(again.vectors, made.vectors)


def test_a_baseline_that_takes_longer_than_the_server_lets_it_is_left_out(published, monkeypatch):
    asked = []

    def answer(query):
        asked.append(query.text)
        if len(asked) > 3:
            raise redis.ResponseError("Timeout limit was reached")
        return ["50002008"]

    monkeypatch.setattr(build_evaluation, "bm25_system", lambda *_: System(BM25, answer))
    record = read_record(published.redis, published.build)
    evaluated = evaluate_build(
        *(published.redis, published.home, record, None, [judged_set(GOLDEN)]),
        tuning=SearchSettings(),
        most_loss=0.03,
        seed=None,
    )
    assert set(evaluated.result["sets"]["golden"]["systems"]) == {THIS, VECTORS}
    assert evaluated.result["not_measured"] == {BM25: "a query takes longer than the search TIMEOUT of Redis"}
    assert 4 <= len(asked) <= 6, "two are asked at once; after the first that takes too long, no more"

    monkeypatch.setattr(build_evaluation, "bm25_system", lambda *_: System(BM25, broken))
    with pytest.raises(redis.ResponseError, match="no such index"):
        evaluate_build(
            *(published.redis, published.home, record, None, [judged_set(GOLDEN)]),
            tuning=SearchSettings(),
            most_loss=0.03,
            seed=None,
        )


def broken(_):
    raise redis.ResponseError("no such index")


def test_figures_are_summed_up_by_set_kind_and_query():
    judged = QuerySet("s", (JudgedQuery("a", "x", {"1": 1}), JudgedQuery("b", "y", {"2": 1})))
    scored = evaluate([fixed("good", {"a": ["1"], "b": ["9", "2"]}), fixed("none", {"a": []})], [judged])
    found = summary(scored)["s"]
    assert found["queries"] == 2
    assert found["systems"]["good"]["mrr@10"][0] == 0.75
    assert found["systems"]["good"]["top3"] == [1.0, 1.0, 1.0]
    assert found["systems"]["none"]["ndcg@10"] == [0.0, 0.0, 0.0], "the query that it cannot answer is not counted"
    assert found["kinds"]["y"] == {
        "queries": 1,
        "systems": {"good": {"ndcg@10": 0.6309, "mrr@10": 0.5, "recall@100": 1.0, "top3": 1.0, "success@10": 1.0}},
    }
    assert [(row["asked"], list(row["systems"])) for row in by_query(scored)] == [
        ("a", ["good", "none"]),
        ("b", ["good"]),
    ]


def one(system, asked, figure, name="golden"):
    return Scored(name, "k", asked, system, (figure, 0.0, 0.0, 0.0))


def test_the_gate_lets_a_small_loss_pass_and_refuses_a_larger_one():
    scored = [one(THIS, "a", 0.50), one(PREVIOUS, "a", 0.52), one(THIS, "new", 0.0)]
    passed = gate_evaluation(scored, {"golden"}, 0.03)
    assert (passed.outcome, passed.figure, passed.bound) == ("passed", 0.02, 0.03)
    worse = [*scored, one(THIS, "b", 0.1, "known items"), one(PREVIOUS, "b", 0.5, "known items")]
    refused = gate_evaluation(worse, {"golden", "known items"}, 0.03)
    assert (refused.passed, refused.figure) == (False, 0.4)
    assert "known items: 0.1000, before 0.5000" in refused.means
    assert gate_evaluation(worse, {"golden"}, 0.03).passed, "a set that guards nothing"


@pytest.mark.parametrize(
    ("scored", "why_not", "means"),
    [
        ([one(THIS, "a", 0.0)], "no build is live", "no build is live"),
        ([one(THIS, "a", 0.0)], "", "the published build holds the right answers of no query"),
        ([one(THIS, "a", 0.0), one(PREVIOUS, "b", 0.9)], "", "the published build holds the right answers of no query"),
        (
            [one(THIS, "a", 0.0, "shelves"), one(PREVIOUS, "a", 0.9, "shelves")],
            "",
            "the published build holds the right answers of no query",
        ),
    ],
)
def test_where_no_query_was_answered_by_both_builds_nothing_is_compared(scored, why_not, means):
    result = gate_evaluation(scored, {"golden"}, 0.03, why_not=why_not)
    assert (result.outcome, result.passed, result.figure, result.means) == ("not compared", None, None, means)


def test_the_seeds_order_is_its_fifty_nearest_turned_round():
    vectors = np.eye(60, 3, dtype=np.float32)
    vectors[:, 0] = np.linspace(1, 0.1, 60)
    right, shown = seed_systems([f"w{n}" for n in range(60)], vectors, lambda _: np.array([1, 0, 0], np.float32))
    query = JudgedQuery("q", "k", {})
    assert right.answer(query) == [f"w{n}" for n in range(60)]
    assert shown.answer(query) == [f"w{n}" for n in range(49, -1, -1)]


@pytest.fixture(scope="module")
def evaluated(published):
    record = read_record(published.redis, published.build)
    prefix = document_prefix(published.build)
    keys = sorted(published.redis.scan_iter(f"{prefix}*"))
    vectors = record.hnsw.from_bytes([published.redis.hget(key, "vector") for key in keys], record.dim)
    seed = SeedVectors([key.decode().removeprefix(prefix) for key in keys], vectors)
    return evaluate_build(
        published.redis,
        published.home,
        record,
        None,
        query_sets(
            published.home, documents_of(published.home, record), 25, DuckLimits(), published.home, [judged_set(GOLDEN)]
        ),
        tuning=SearchSettings(),
        most_loss=0.03,
        seed=seed,
    ).result


def test_a_build_is_measured_beside_its_baselines(evaluated, published):
    assert evaluated["build"] == published.build
    # Shelves are in the texts, and judge nothing.
    assert list(evaluated["sets"]) == ["golden", "known items", "similar books"]
    golden = evaluated["sets"]["golden"]["systems"]
    assert set(golden) == {THIS, VECTORS, BM25, SEED, SEED_ORDER}
    figures = {system: golden[system]["ndcg@10"][0] for system in golden}
    # The seed's vectors are the build's here: exact search and HNSW agree, and its order is the wrong one.
    assert figures[VECTORS] == pytest.approx(figures[SEED], abs=0.01)
    assert figures[VECTORS] > figures[BM25] > figures[SEED_ORDER]
    # What words add, they add for names and remembered sentences; moods lose nothing by it.
    assert figures[THIS] == pytest.approx(figures[VECTORS], abs=0.02)
    known = evaluated["sets"]["known items"]["kinds"]
    assert known["title"]["systems"][THIS]["top3"] >= 0.98
    assert known["title with a typo"]["systems"][THIS]["top3"] >= 0.9
    assert known["author"]["systems"][THIS]["ndcg@10"] >= 0.95
    assert known["sentence"]["systems"][THIS]["top3"] >= 0.95
    assert [point["ef_runtime"] for point in evaluated["ef_runtime"]] == [
        *(10, 20, 50, 100, 200, 400, 800, 1600, 3200, 6400),
    ]
    assert evaluated["ef_runtime"][-1]["recall"] >= 0.99
    json.dumps(evaluated)


def test_an_encoder_that_both_builds_have_is_loaded_once_and_encodes_each_query_once(published, monkeypatch):
    loaded, encoded = [], []

    class Noted(build_evaluation.QueryEncoder):
        def __init__(self, folder):
            super().__init__(folder)
            loaded.append(folder)
            encoded.clear()  # of its own probes

        def encode(self, texts, **how):
            encoded.extend(texts)
            return super().encode(texts, **how)

    monkeypatch.setattr(build_evaluation, "QueryEncoder", Noted)
    record = read_record(published.redis, published.build)
    found = evaluate_build(
        *(published.redis, published.home, record, record, [judged_set(GOLDEN)]),
        tuning=SearchSettings(),
        most_loss=0.03,
        seed=None,
    ).result
    golden = found["sets"]["golden"]["systems"]
    assert golden[PREVIOUS] == golden[THIS]
    assert encoded
    assert (len(loaded), len(encoded)) == (1, len(set(encoded)))


def test_what_the_build_before_answered_is_not_asked_again(published, monkeypatch):
    asked = Counter()

    def counted(name, *rest, **options):
        system = systems.build_system(name, *rest, **options)

        def answer(query):
            asked[name] += 1
            return system.answer(query)

        return System(name, answer)

    monkeypatch.setattr(build_evaluation, "build_system", counted)
    record, golden = read_record(published.redis, published.build), judged_set(GOLDEN)

    def evaluated(**before):
        asked.clear()
        return evaluate_build(
            *(published.redis, published.home, record, record, [golden]),
            tuning=SearchSettings(),
            most_loss=0.03,
            seed=None,
            **before,
        )

    first = evaluated()
    assert asked == {THIS: len(golden.queries), VECTORS: len(golden.queries), PREVIOUS: len(golden.queries)}
    assert set(first.answers) == {(query.text, "") for query in golden.queries}
    again = evaluated(answers_before=first.answers)
    assert asked == {THIS: len(golden.queries), VECTORS: len(golden.queries)}
    assert again.result["sets"] == first.result["sets"]
    (lost, *_), *_ = first.answers
    fewer = {asked_for: found for asked_for, found in first.answers.items() if asked_for[0] != lost}
    assert evaluated(answers_before=fewer).result["sets"] == first.result["sets"]
    assert asked[PREVIOUS] == 1


@pytest.mark.parametrize("changed", ["", "build", "search", "code"])
def test_answers_are_known_of_the_same_build_settings_and_code_alone(tmp_path, changed):
    work = Work("evaluation_report", SimpleNamespace(store=ArtifactStore(tmp_path)), {}, False, None, "", code="c1")
    work.pipeline.settings = SimpleNamespace(search=SearchSettings())
    record = SimpleNamespace(build="b1")
    assert answers_of(work, record) == {}, "nothing was evaluated yet"

    def evaluated(out):
        (out / "answers.json").write_text(json.dumps([["sad vampires", "", ["w1", "w2"]], ["", "w3", []]]))
        return {}

    made = {"build": "b1", "search": repr(SearchSettings()), changed: "another"}
    replace(work, code=made.pop("code", "c1")).produce(evaluated, **made)
    known = {("sad vampires", ""): ["w1", "w2"], ("", "w3"): []}
    assert answers_of(work, record) == ({} if changed else known)


def test_the_report_is_one_page_with_every_figure(evaluated, tmp_path):
    page = write_report(tmp_path, evaluated)
    text = page.read_text(encoding="utf-8")
    assert (tmp_path / "quality" / "evaluation" / "latest.html").read_text(encoding="utf-8") == text
    assert "Not compared: no build was live before." in text
    assert "<b>nDCG@10</b> says" in text, "a reader may know no metric"
    assert "Fit to be published" not in text
    assert text.count("<svg") == 2
    assert "http" not in text.replace('http-equiv="', ""), "it needs no network"
    assert [query["asked"] for query in evaluated["queries"] if re.fullmatch(r"like \d+", query["asked"])] == []
    for query in evaluated["queries"]:
        assert query["asked"].split("'")[0].split("&")[0].split('"')[0] in text
    nothing = {**evaluated, "sets": {}, "queries": [], "ef_runtime": []}
    assert "no query to ask" in write_report(tmp_path, nothing).read_text(encoding="utf-8")
    for outcome, words in (
        ("failed", "Refused: nDCG@10 is 0.100 below the live build&#39;s; 0.03 is allowed [no build was live before]."),
        ("passed", "Fit to be published: nDCG@10 is 0.100 below the live build&#39;s; 0.03 is allowed."),
    ):
        judged = {**evaluated, "gate": {**evaluated["gate"], "outcome": outcome, "figure": 0.1}}
        assert words in write_report(tmp_path, judged).read_text(encoding="utf-8")
    lines = table_lines(evaluated)
    assert sum(THIS in line for line in lines) == len(evaluated["sets"]) == 3


def test_a_chart_holds_its_points():
    drawn = line_chart([(10, 0.5), (100, 0.9), (1000, 0.7)], "y")
    places = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([0-9.]+)" cy="([0-9.]+)"', drawn)]
    (a, low), (b, high), (c, middle) = places
    assert b - a == pytest.approx(c - b, abs=0.2), "x is logarithmic"
    assert low - middle == pytest.approx(middle - high, abs=0.2), "y is in proportion"
    assert re.findall(r'text-anchor="end"[^>]*>([0-9.]+)<', drawn) == ["0", "0.2", "0.4", "0.6", "0.8", "1"]


@pytest.mark.parametrize("highest", [0.0004, 0.28, 0.9, 1, 7.3, 250])
def test_the_axis_of_a_chart_begins_at_zero_and_holds_every_point(highest):
    drawn = line_chart([(10, highest / 3), (20, highest)], "ms")
    ticks = [float(tick) for tick in re.findall(r'text-anchor="end"[^>]*>([0-9.e+-]+)<', drawn)]
    assert ticks[0] == 0
    assert highest <= ticks[-1] < 2 * highest
    assert 3 <= len(ticks) <= 6


def test_evaluate_on_the_command_line(published, tmp_path):
    (tmp_path / "q.tsv").write_text("1\tNeuromancer\n")
    (tmp_path / "own.qrels").write_text("1 0 50002008 1\n")
    own = ("--queries", str(tmp_path / "q.tsv"), "--qrels", str(tmp_path / "own.qrels"))
    done = published.cli("evaluate", "--no-seed", "--json", *own)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["sets"]["own"]["systems"][THIS]["mrr@10"] == [1.0, 1.0, 1.0]
    assert published.cli("evaluate", "--queries", str(tmp_path / "q.tsv")).returncode == 2
    table = published.cli("evaluate", "--no-seed", *own).stdout
    assert "own (1 queries)" in table
    assert "report: " in table


def test_several_judged_sets_are_asked_as_far_as_the_build_holds_their_works(published, tmp_path):
    (tmp_path / "a.queries.tsv").write_text("1\tNeuromancer\n2\tgone\n3\ta killer android hunter\n")
    (tmp_path / "a.queries_long.tsv").write_text("1\tI read a book about a hacker named Case. Neuromancer?\n")
    (tmp_path / "a.qrels.txt").write_text("1 0 50002008 1\n1 0 nowhere 1\n2 0 nowhere 1\n3 0 50002008 1\n")
    qrels = ("--qrels", str(tmp_path / "a.qrels.txt"))
    short, long = (("--queries", str(tmp_path / name)) for name in ("a.queries.tsv", "a.queries_long.tsv"))
    done = published.cli(
        "evaluate", "--no-seed", "--json", *short, *qrels, *long, *qrels, "--rule", "lexical_weight=0.5"
    )
    result = json.loads(done.stdout)
    assert result["files"] == {
        "a": {"queries": 3, "left_out": 1, "works": 2, "missing": 1},
        "a long": {"queries": 1, "left_out": 0, "works": 2, "missing": 1},
    }
    assert [result["sets"][name]["queries"] for name in ("a", "a long")] == [2, 1]
    assert result["sets"]["a"]["compared"]["lexical_weight=0.5"]["queries"] == 2
    best = result["sets"]["a"]["examples"]["best"][0]
    assert (best["asked"], best["wanted"], best["found"][0], best["rank"]) == (
        "Neuromancer",
        ["Neuromancer"],
        "Neuromancer",
        1,
    )
    said = published.cli("evaluate", "--no-seed", *short, *qrels).stdout
    assert "Of 2 requests, " in said
    assert "a: 1 of 3 requests left out" in said


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--against", "20200101T000000-0000"), 1, "There is no build 20200101T000000-0000 to compare with"),
        (("--rule", "nonsense=1"), 2, "expected NAME=VALUE"),
        (("--rule", "lexical_weight=9"), 1, "VIBERARY_SEARCH_LEXICAL_WEIGHT"),
    ],
)
def test_what_cannot_be_compared_with_is_named(published, options, code, message):
    done = published.cli("evaluate", "--no-seed", *options)
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr


def test_judgements_of_another_catalogue_say_so(published, tmp_path):
    (tmp_path / "a.queries.tsv").write_text("1\tgone\n")
    (tmp_path / "a.qrels.txt").write_text("1 0 nowhere 1\n")
    files = ("--queries", str(tmp_path / "a.queries.tsv"), "--qrels", str(tmp_path / "a.qrels.txt"))
    done = published.cli("evaluate", "--no-seed", *files)
    assert done.returncode == 1
    assert "answers no query of these files" in done.stderr
    assert "a: 1 of 1 works missing" in done.stderr


def test_judged_sets_of_the_settings_stand_beside_the_others(built_sample, tmp_path):
    """In the evaluation of a build and in `viberary evaluate`; and both builds are compared on them."""
    (tmp_path / "mine.queries.tsv").write_text("1\tNeuromancer\n")
    (tmp_path / "mine.qrels.txt").write_text("1 0 50002008 1\n")
    with published_copy(built_sample, tmp_path / "home") as published:
        cli, first = published.cli, published.build
        judged = {"VIBERARY_EVALUATION_JUDGED": str(tmp_path)}
        wrong = cli("build", "--json", VIBERARY_EVALUATION_JUDGED=str(tmp_path / "absent"))
        assert (wrong.returncode, "holds no judged queries" in wrong.stderr) == (1, True), wrong.stderr
        again = cli("build", "--json", VIBERARY_HNSW_EF_RUNTIME="210", **judged)
        assert again.returncode == 0, again.stderr
        assert json.loads(again.stdout.splitlines()[-1])["build"] != first
        page = (published.home / "quality" / "evaluation" / "latest.html").read_text(encoding="utf-8")
        assert "<h2>mine</h2>" in page
        result = json.loads(cli("evaluate", "--no-seed", "--json", "--against", first, **judged).stdout)
        assert list(result["sets"])[-1] == "mine"
        assert result["compared_with"] == first
        assert result["sets"]["mine"]["compared"][PREVIOUS]["ndcg@10"] == [0.0, 0.0, 0.0]
        assert result["sets"]["golden"]["examples"]["against"] == PREVIOUS


def test_word2vec_of_the_builds_own_texts_is_among_the_systems(published):
    pytest.importorskip("gensim")
    result, _ = evaluate_live(
        published.redis,
        published.home,
        own=[QuerySet("mine", (JudgedQuery("Neuromancer", "title", {"50002008": 1}),))],
        judged=[],
        most=1,
        limits=DuckLimits(),
        tuning=SearchSettings(),
        most_loss=0.03,
        seed=lambda *_: None,
    )
    assert set(result["sets"]["mine"]["systems"]) == {THIS, VECTORS, BM25, "word2vec"}
    assert result["not_measured"] == {}


def test_similar_on_the_command_line(published):
    book = json.loads(published.cli("search", "--json", "-k", "1", "The Overstory").stdout)["results"][0]
    done = published.cli("similar", "--json", "-k", "3", "--years", "1900-", book["book_id"])
    result = json.loads(done.stdout)
    assert (result["query"], len(result["results"])) == (book["book_id"], 3)
    assert set(result["results"][0]) == set(book)
    missing = published.cli("similar", "123")
    assert missing.returncode == 1
    assert "No such book" in missing.stderr
    wrong = published.cli("search", "--years", "long ago", "love")
    assert wrong.returncode == 2
    assert "years such as 1990-1999, 1990-, -1999 or 1990, found 'long ago'" in wrong.stderr


def test_a_build_that_finds_worse_is_refused_and_removed(built_sample, tmp_path):
    """The original system's text of each work, after ours: the same catalogue and encoder, worse answers."""
    with published_copy(built_sample, tmp_path / "home") as published:
        cli, live = published.cli, published.build
        refused = cli("build", "--json", VIBERARY_RECIPE="seed")
        assert refused.returncode == 3, refused.stderr
        assert "Refused by the gate evaluation of evaluation_report" in refused.stderr
        status = json.loads(cli("status", "--json").stdout)
        assert status["live"] == live
        assert [build["build"] for build in status["builds"]] == [live]
        page = (published.home / "quality" / "evaluation" / "latest.html").read_text(encoding="utf-8")
        assert "Refused" in page
        # With a bound that allows for it, the same build goes live.
        allowed = cli("build", "--json", VIBERARY_RECIPE="seed", VIBERARY_GATE_EVALUATION="1")
        assert json.loads(allowed.stdout.splitlines()[-1])["published"], allowed.stderr
