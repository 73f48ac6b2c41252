"""A whole build with encoders of a home: documents by an adapter on MiniLM, queries by another in its space."""

import json

from homes import write_few
from tuned import register_tuned

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.encoders import resolve
from viberary_pipeline.vectors.store import EmbeddingStore


def test_documents_and_queries_go_through_encoders_of_the_home(home_cli, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "hf"))
    home, minilm = home_cli.home, resolve("all-MiniLM-L6-v2")
    tuned = register_tuned(home, minilm, "tuned", size=0.03)
    student = register_tuned(home, minilm, "student", size=0.03, seed=1, space=tuned)
    works = write_few(tmp_path / "raw")
    chosen = {
        "HF_HOME": str(tmp_path / "hf"),
        "VIBERARY_RAW": str(tmp_path / "raw"),
        "VIBERARY_ENCODER": "tuned",
        "VIBERARY_QUERY_ENCODER": "student",
    }

    done = home_cli("build", "--json", **chosen)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert (outcome["documents"], outcome["embedded"], outcome["reused"]) == (works, works, 0)
    vectors = EmbeddingStore(home / "embeddings", tuned.fingerprint, 384)
    assert len(vectors.known()) == outcome["embedded"]

    (build,) = json.loads(home_cli("status", "--json").stdout)["builds"]
    assert (build["encoder"], build["fingerprint"], build["query_encoder_name"]) == (
        *("tuned", tuned.fingerprint, "student"),
    )
    assert f"tuned ({tuned.fingerprint}), queries by student" in home_cli("status").stdout
    facts = ArtifactStore(home).current("query_encoder").facts
    assert (facts["fingerprint"], facts["space"]["fingerprint"]) == (student.fingerprint, tuned.fingerprint)
    assert 0.98 < facts["space"]["mean_cosine"] < 0.999
    found = json.loads(home_cli("search", "cold-blooded revenge", "--json").stdout)
    assert found["results"][0]["title"] == "Best Served Cold"

    again = json.loads(home_cli("build", "--json", **chosen).stdout.splitlines()[-1])
    assert (again["build"], again["embedded"]) == (outcome["build"], 0)
    other = home_cli("build", **chosen | {"VIBERARY_ENCODER": "all-MiniLM-L6-v2"})
    assert other.returncode == 1
    assert "student does not share the space of the documents' encoder all-MiniLM-L6-v2" in other.stderr
