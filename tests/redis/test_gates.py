"""A worse build is refused by the right gate: in process against a real Redis, and as a command that exits 3."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from builds import built, evaluated
from homes import Cli, published_copy
from tiny_model import make_tiny_model

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.encoders import resolve
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.encoders.onnx_files import write_description
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.errors import EncoderError, GateRefused, SettingsError
from viberary_pipeline.index.build import IndexSource, build_index
from viberary_pipeline.index.canaries import Canary, load_canaries
from viberary_pipeline.index.clean import known_builds
from viberary_pipeline.index.gate_result import INDEX_GATES, GateResult
from viberary_pipeline.index.gate_rules import GateRules
from viberary_pipeline.index.publish import publish, require_query_encoder, rollback
from viberary_pipeline.quality.bounds import BOUNDS
from viberary_pipeline.redis_contract import HnswSettings, Pointer, read_pointer
from viberary_pipeline.resources.pipeline import Pipeline
from viberary_pipeline.sample import CANARIES
from viberary_pipeline.settings import load_settings
from viberary_pipeline.vectors.store import EmbeddingStore

RULES = GateRules(queries=50)
SAMPLE_CANARIES = load_canaries(CANARIES)


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def encoder(published) -> QueryEncoder:
    return QueryEncoder(ArtifactStore(published.home).current("query_encoder").path)


@pytest.fixture(scope="module")
def sample(published) -> IndexSource:
    """The bundled sample as `viberary build` hands it to the index."""
    documents = ArtifactStore(published.home).current("documents").file("documents.parquet")
    model = resolve(published.settings.encoder)
    store = EmbeddingStore(published.home / "embeddings", model.fingerprint, model.spec.dimensions)
    vectors = store.vectors_for(pq.read_table(documents, columns=["text_hash"])["text_hash"])
    return IndexSource(documents, vectors, "d", model.spec.name, model.fingerprint, "k", "given")


def refused(gates: list[GateResult]) -> list[str]:
    return [gate.name for gate in gates if gate.failed]


def test_a_good_build_passes_every_gate(client, sample, encoder):
    record, gates = build_index(
        *(client, sample, HnswSettings(ef_runtime=200), RULES), encoder=encoder, canaries=SAMPLE_CANARIES
    )
    assert [(gate.name, gate.outcome) for gate in gates] == [
        (name, "not compared" if name == "documents_kept" else "passed") for name in INDEX_GATES
    ]
    assert record.gate_results == [gate.to_json() for gate in gates]
    assert (record.state, record.source, record.feed_seconds > 0) == ("ready", "given", True)
    match = next(gate for gate in gates if gate.name == "vectors_match_texts")
    assert match.figure > 0.97


def test_shuffled_vectors_are_refused_by_the_texts_and_by_the_canaries(client, sample, encoder):
    shuffled = replace(sample, vectors=np.random.default_rng(0).permutation(sample.vectors))
    _, gates = build_index(
        *(client, shuffled, HnswSettings(ef_runtime=200), RULES), encoder=encoder, canaries=SAMPLE_CANARIES
    )
    assert refused(gates) == ["vectors_match_texts", "canaries"]
    assert next(gate.figure for gate in gates if gate.name == "vectors_match_texts") < 0.4
    assert client.dbsize() == 0


def test_vectors_of_another_model_under_the_same_name_are_refused_by_the_texts(client, sample, encoder):
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(384, 384)))[0]
    turned = replace(sample, vectors=np.ascontiguousarray(sample.vectors @ rotation, dtype=np.float32))
    _, gates = build_index(client, turned, HnswSettings(ef_runtime=200), RULES, encoder=encoder)
    assert refused(gates) == ["vectors_match_texts"]


def test_half_the_documents_are_refused_unless_accepted_or_of_another_source(client, sample, encoder, tmp_path):
    live, _ = build_index(client, sample, HnswSettings(ef_runtime=200), RULES)
    publish(client, evaluated(client, live.build).build)
    table = pq.read_table(sample.documents)
    half = table.num_rows // 2
    pq.write_table(table.slice(0, half), tmp_path / "half.parquet")
    halved = replace(sample, documents=tmp_path / "half.parquet", vectors=sample.vectors[:half])
    _, gates = build_index(client, halved, HnswSettings(ef_runtime=200), RULES)
    assert refused(gates) == ["documents_kept"]
    gate = next(gate for gate in gates if gate.name == "documents_kept")
    assert (gate.figure, gate.bound) == (pytest.approx(half / table.num_rows, abs=1e-5), 0.9)
    assert known_builds(client) == [live.build]
    for rules, accept in ((RULES, True), (replace(RULES, loss=0.6), False)):
        _, gates = build_index(client, halved, HnswSettings(ef_runtime=200), rules, accept_loss=accept)
        assert refused(gates) == []
    _, gates = build_index(
        client, replace(halved, source="sample"), HnswSettings(ef_runtime=200), RULES, encoder=encoder
    )
    assert refused(gates) == []
    assert {gate.name: gate.to_json() for gate in gates if gate.passed is None} == {
        "documents_kept": {
            "name": "documents_kept",
            "outcome": "not compared",
            "passed": None,
            "figure": None,
            "bound": 0.9,
            "means": f"the live build's {table.num_rows:,} works come from another source (given)",
        },
        "canaries": {
            "name": "canaries",
            "outcome": "not compared",
            "passed": None,
            "figure": None,
            "bound": 0,
            "means": "no canaries are set",
        },
    }


def test_an_encoder_of_another_fingerprint_is_refused_before_anything_is_written(client, sample, tiny_model, tmp_path):
    export_query_encoder(resolve(str(tiny_model)), tmp_path / "tiny")
    other = QueryEncoder(tmp_path / "tiny")
    with pytest.raises(GateRefused, match="Refused by the gate encoder_match") as caught:
        build_index(client, sample, HnswSettings(ef_runtime=200), RULES, encoder=other)
    assert caught.value.expected.startswith(f"fingerprint {sample.fingerprint} with 384 dimensions")
    assert caught.value.found.startswith(f"fingerprint {other.fingerprint} with 32 dimensions")
    assert client.dbsize() == 0


def test_an_encoder_of_another_fingerprint_is_refused_at_publish_and_rollback(client, sample, encoder, tmp_path):
    first, second = (built(client, sample, RULES) for _ in range(2))
    folder = tmp_path / "artifacts" / "query_encoder" / "k.1"
    with pytest.raises(EncoderError, match="is not in this VIBERARY_HOME"):
        publish(client, first.build, home=tmp_path)
    shutil.copytree(encoder.folder, folder)
    for record in (first, second):
        publish(client, record.build, home=tmp_path)
    description = json.loads((folder / "encoder.json").read_text())
    write_description(folder, {**description, "fingerprint": "0" * 16})
    with pytest.raises(GateRefused, match="its query encoder does not share the space"):
        rollback(client, home=tmp_path)
    assert read_pointer(client) == Pointer(second.build, first.build)
    (folder / "encoder.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(EncoderError, match="damaged"):
        require_query_encoder(tmp_path, first)


def test_a_slow_index_is_refused_by_its_latency(client, sample):
    _, gates = build_index(client, sample, HnswSettings(ef_runtime=200), replace(RULES, p95_ms=0.001))
    assert refused(gates) == ["latency_p95_ms"]
    assert next(gate.figure for gate in gates if gate.name == "latency_p95_ms") > 0.001


def test_a_canary_that_finds_its_title_no_more_is_named(client, sample, encoder):
    canaries = (Canary("cold-blooded revenge", "best served COLD", within=1), Canary("a", "No Such Title"))
    _, gates = build_index(*(client, sample, HnswSettings(ef_runtime=200), RULES), encoder=encoder, canaries=canaries)
    assert refused(gates) == ["canaries"]
    assert gates[-1].to_json() == {
        "name": "canaries",
        "outcome": "failed",
        "passed": False,
        "figure": 1,
        "bound": 0,
        "means": "canaries that do not find their title, of 2; 'a' does not find 'No Such Title' among 10",
    }


# ---- the file of canaries


def test_canaries_are_those_set_or_the_samples_own(tmp_path):
    def of(**settings: object) -> tuple[Canary, ...]:
        return Pipeline(load_settings(home=tmp_path, **settings)).canaries

    assert of() == SAMPLE_CANARIES
    assert of(raw="/data") == ()
    assert of(documents_languages="fr") == ()  # a part of the sample lacks some
    own = tmp_path / "own.toml"
    own.write_text('[[canary]]\nquery = "sea"\ntitle = "Moby-Dick"\nwithin = 3\n')
    assert of(raw="/data", gate_canaries=own) == (Canary("sea", "Moby-Dick", 3),)


@pytest.mark.parametrize(
    "text",
    [
        "[[canary]]\nquery = 'x'",
        "[[canary]]\nquery = 'x'\ntitle = 3",
        "[[canary]]\nquery = 'x'\ntitle = 'y'\nwithin = 0",
        "[[canary]]\nquery = 'x'\ntitle = 'y'\nrank = 1",
        "canary = 3",
        "[[canary",
        None,
    ],
)
def test_a_wrong_file_of_canaries_is_refused(tmp_path, text):
    path = tmp_path / "canaries.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match="The canary queries cannot be used"):
        load_canaries(path)


# ---- as a command

# Runs a build in which one function of ours does what the code in TAMPER makes of it.
TAMPERED = "from viberary_pipeline.cli import main\n{tamper}\nmain()"
SHUFFLE = """
import numpy as np
from viberary_pipeline.vectors.store import EmbeddingStore as Store
whole = Store.vectors_for
Store.vectors_for = lambda self, hashes: np.random.default_rng(0).permutation(whole(self, hashes))
"""
OTHER_ENCODER = """
import importlib
from viberary_pipeline.encoders import resolve
asset = importlib.import_module("viberary_pipeline.assets.query_encoder")
export = asset.export_query_encoder
asset.export_query_encoder = lambda model, out, **_: export(resolve({model!r}), out)
"""


@pytest.fixture(scope="module")
def catalogue(built_files, tmp_path_factory) -> Iterator[tuple[Cli, Path, str]]:
    """A home with a published index of a catalogue of one's own, the catalogue, and the build's name."""
    with published_copy(built_files, tmp_path_factory.mktemp("catalogue") / "home") as published:
        yield published.cli, built_files.raw, published.build


def tampered(cli: Cli, raw: Path, tamper: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", TAMPERED.format(tamper=tamper), "build", "--raw", str(raw)],
        # Another index, and another export, of the same artifacts.
        env={
            **cli.environment,
            "VIBERARY_HNSW_EF_RUNTIME": "210",
            "VIBERARY_QUERY_PRECISION": "fp32",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize(
    "worse",
    [
        "shuffled vectors",
        pytest.param("half the documents", marks=pytest.mark.slow),
        pytest.param("other encoder", marks=pytest.mark.slow),
    ],
)
def test_a_worse_build_exits_3_by_the_right_gate_and_the_live_one_stays(catalogue, tiny_model, tmp_path, worse):
    cli, raw, live = catalogue
    environment = {}
    match worse:
        case "shuffled vectors":
            environment = {"VIBERARY_QUERY_PRECISION": "auto"}
            tamper, gate = SHUFFLE, "vectors_match_texts"
        case "half the documents":
            # The checks of the data would refuse it before; here their bounds are loose.
            loose = BOUNDS.read_text().replace('"share_of_last_rows", min_value = 0.9', '"share_of_last_rows"')
            loose = loose.replace('column = "share_of_last_rows" }', 'column = "share_of_last_rows", min_value = 0.1 }')
            (tmp_path / "bounds.toml").write_text(loose)
            environment = {
                "VIBERARY_QUALITY_BOUNDS": str(tmp_path / "bounds.toml"),
                "VIBERARY_DOCUMENTS_MIN_RATINGS": "100000",
                "VIBERARY_QUERY_PRECISION": "auto",
            }
            tamper, gate = "", "documents_kept"
        case _:
            tamper, gate = OTHER_ENCODER.format(model=str(tiny_model)), "encoder_match"
    done = tampered(cli, raw, tamper, **environment)
    assert done.returncode == 3, done.stderr
    assert f"Refused by the gate {gate}" in done.stderr
    assert "the live index is untouched" in done.stderr
    assert ("VIBERARY_ACCEPT_DRIFT=1" in done.stderr) == (worse == "half the documents")
    status = json.loads(cli("status", "--json").stdout)
    assert (status["live"], [build["build"] for build in status["builds"]]) == (live, [live])
    assert status["readiness"]["ready"] is True


@pytest.mark.slow
def test_gc_after_a_refused_build_leaves_what_the_live_one_needs(catalogue, tiny_model):
    cli, raw, live = catalogue
    refused = tampered(cli, raw, OTHER_ENCODER.format(model=str(tiny_model)))
    assert refused.returncode == 3, refused.stderr  # and the current export is the other encoder's
    planned = json.loads(cli("gc", "--dry-run", "--json").stdout)
    assert planned["dry_run"] is True
    before = json.loads(cli("search", "cold-blooded revenge", "--json").stdout)
    done = cli("gc", "--json")
    assert json.loads(done.stdout) == planned | {"dry_run": False}, done.stderr
    assert json.loads(cli("search", "cold-blooded revenge", "--json").stdout) == before
    assert before["build"] == live
    assert cli("gc").stdout == "0 builds, 0 folders, 0.0 MB\n"
