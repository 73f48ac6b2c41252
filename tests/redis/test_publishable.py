"""Which builds may go live: those whose record holds a verdict of every required gate, and whose encoder works here."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from builds import NOT_EVALUATED, built, evaluated, published
from tiny_model import DIMENSIONS, make_tiny_model
from works import works

from viberary_pipeline.encoders import resolve
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.errors import EncoderError, GateRefused, IndexBuildError
from viberary_pipeline.index import publish as publish_module
from viberary_pipeline.index.build import build_index
from viberary_pipeline.index.clean import known_builds, remove_unneeded
from viberary_pipeline.index.gate_result import EVALUATION, REQUIRED_GATES, GateResult
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.index.publish import publish, record_verdict, rollback, standing_build
from viberary_pipeline.redis_contract import LOCK, HnswSettings, Pointer, read_pointer, read_record, record_key

RULES = GateRules(queries=5)
WORSE = GateResult.judged(EVALUATION, False, 0.2, 0.03, "nDCG@10 lost at most")


def set_gates(client, build, change) -> None:
    gates = [kept for gate in read_record(client, build).gate_results if (kept := change(gate))]
    client.hset(record_key(build), "gates", json.dumps(gates))


@pytest.mark.parametrize("gate", REQUIRED_GATES)
def test_a_build_without_a_verdict_of_a_required_gate_is_not_published(client, tmp_path, gate):
    build = built(client, works(tmp_path), RULES).build
    set_gates(client, build, lambda known: known if known["name"] != gate else None)
    with pytest.raises(GateRefused, match=f"no verdict of {gate}\n") as caught:
        publish(client, build)
    assert "materialize evaluation_report" in caught.value.todo
    assert read_pointer(client) == Pointer("", "")


def test_a_build_that_was_never_evaluated_is_not_published(client, tmp_path):
    record, gates = build_index(client, works(tmp_path), HnswSettings(ef_runtime=200), RULES)
    assert (record.state, [gate.name for gate in gates if gate.failed]) == ("ready", [])
    with pytest.raises(GateRefused, match="no verdict of evaluation"):
        publish(client, record.build)
    assert publish(client, evaluated(client, record.build).build).state == "live"


@pytest.mark.parametrize("outcome", ["failed", "", "sometimes", None])
def test_neither_publish_nor_rollback_takes_a_build_whose_gate_did_not_let_it_pass(client, tmp_path, outcome):
    first, second = (published(client, works(tmp_path, seed=seed), RULES).build for seed in (1, 2))
    third = built(client, works(tmp_path, seed=3), RULES).build
    for build in (first, third):
        set_gates(client, build, lambda gate: gate | ({"outcome": outcome} if gate["name"] == "recall_at_10" else {}))
    with pytest.raises(GateRefused, match="recall_at_10"):
        publish(client, third)
    with pytest.raises(GateRefused, match="recall_at_10"):
        rollback(client)
    assert read_pointer(client) == Pointer(second, first)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"state": "refused"}, "is refused, expected ready"),
        ({"state": "building"}, "is building, expected ready"),
        ({"gates": "[]"}, "without a verdict of encoder_match"),
        ({"gates": json.dumps([WORSE.to_json()])}, "by evaluation"),
    ],
)
def test_the_script_that_switches_refuses_by_itself(client, tmp_path, monkeypatch, fields, message):
    """What was checked before may have changed by the time that Redis runs the script."""
    build = built(client, works(tmp_path), RULES).build
    client.hset(record_key(build), mapping=fields)
    monkeypatch.setattr(publish_module, "_require_fit", lambda *_: None)
    with pytest.raises(GateRefused, match="could not be published") as caught:
        publish(client, build)
    assert message in caught.value.found
    assert read_pointer(client) == Pointer("", "")


def test_a_failed_evaluation_refuses_the_build_and_takes_it_away(client, tmp_path):
    live = published(client, works(tmp_path, seed=1), RULES).build
    worse = build_index(client, works(tmp_path, seed=2), HnswSettings(ef_runtime=200), RULES)[0].build
    record_verdict(client, worse, WORSE)
    assert known_builds(client) == [live]
    with pytest.raises(IndexBuildError, match="No verdict can be added"):
        record_verdict(client, worse, NOT_EVALUATED)


def test_a_refused_build_that_cannot_be_removed_now_stays_refused(client, tmp_path, caplog):
    """The lock is another builder's at that moment: the verdict stands, and the next build removes it."""
    live = published(client, works(tmp_path, seed=1), RULES).build
    worse = build_index(client, works(tmp_path, seed=2, digest="worse"), HnswSettings(ef_runtime=200), RULES)[0].build
    client.set(LOCK, json.dumps({"host": "elsewhere", "pid": 1, "started": "0"}))
    with caplog.at_level(logging.WARNING):
        record_verdict(client, worse, WORSE)
    assert "is left to the next build" in caplog.text
    record = read_record(client, worse)
    assert record.state == "refused"
    assert [gate for gate in record.gate_results if gate["name"] == EVALUATION] == [WORSE.to_json()]
    assert standing_build(client, "worse", 0) is None
    with pytest.raises(GateRefused, match=r"state refused.*refused by evaluation"):
        publish(client, worse)
    with pytest.raises(IndexBuildError, match="No verdict can be added") as caught:
        record_verdict(client, worse, NOT_EVALUATED)  # no second opinion makes it good
    assert caught.value.found == "state refused"
    client.delete(LOCK)
    assert remove_unneeded(client) == [worse]
    assert read_pointer(client) == Pointer(live, "")


def test_a_build_of_which_a_gate_of_the_index_failed_is_refused_before_it_is_removed(client, tmp_path, monkeypatch):
    monkeypatch.setattr("viberary_pipeline.index.build._clean_up", lambda *_: None)  # killed there
    record, _ = build_index(client, works(tmp_path), HnswSettings(ef_runtime=200), replace(RULES, p95_ms=1e-6))
    assert read_record(client, record.build) == record
    assert record.state == "refused"
    with pytest.raises(GateRefused, match="refused by latency_p95_ms"):
        publish(client, record.build)


def test_the_live_build_keeps_its_verdict(client, tmp_path):
    record = published(client, works(tmp_path), RULES)
    record_verdict(client, record.build, WORSE)
    assert read_record(client, record.build).gate_results == record.gate_results


# ---- the encoder of a build to go back to


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("exported")
    export_query_encoder(resolve(str(make_tiny_model(out / "model"))), out / "encoder")
    return out / "encoder"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def other_probes(folder: Path) -> None:
    path = folder / "encoder.json"
    description = json.loads(path.read_text())
    description["probes"] = [{"query": "x", "vector": [1.0] + [0.0] * (DIMENSIONS - 1)}]
    path.write_text(json.dumps(description))


DAMAGES = {
    "a flipped byte in the model": lambda folder: flip(folder / "model.onnx"),
    "no tokenizer": lambda folder: (folder / "tokenizer.json").unlink(),
    "no description": lambda folder: (folder / "encoder.json").unlink(),
    "a description of another form": lambda folder: (folder / "encoder.json").write_text("[]"),
    "other vectors on this machine": other_probes,
    "gone": shutil.rmtree,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_rollback_proves_the_encoder_before_it_switches(client, tmp_path, exported, damage):
    fingerprint = QueryEncoder(exported).fingerprint
    builds = []
    for key in ("a" * 16, "b" * 16):
        shutil.copytree(exported, tmp_path / "artifacts" / "query_encoder" / f"{key}.1")
        source = works(tmp_path, dimensions=DIMENSIONS, fingerprint=fingerprint, query_encoder=key)
        builds.append(publish(client, built(client, source, RULES).build, home=tmp_path).build)
    DAMAGES[damage](tmp_path / "artifacts" / "query_encoder" / f"{'a' * 16}.1")
    with pytest.raises(EncoderError, match=f"Build {builds[0]} cannot be searched from here"):
        rollback(client, home=tmp_path)
    assert read_pointer(client) == Pointer(builds[1], builds[0])
    DAMAGES["gone"](tmp_path / "artifacts" / "query_encoder" / f"{'b' * 16}.1")
    assert rollback(client).build == builds[0], "where no reader is served, the encoder is not needed"
