"""Spaces: a query encoder of its own, near enough to the documents' encoder, and whatever is not refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_model import make_tiny_model
from tuned import register_tuned

from viberary_pipeline.encoders import ResolvedEncoder, resolve
from viberary_pipeline.encoders.home import register
from viberary_pipeline.encoders.onnx_export import export_query_encoder
from viberary_pipeline.encoders.onnx_files import read_description, write_description
from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.encoders.space import measured_space, query_encoder_for
from viberary_pipeline.errors import EncoderError, GateRefused
from viberary_pipeline.resources.home_lock import check_ready
from viberary_pipeline.resources.pipeline import Pipeline
from viberary_pipeline.settings import load_settings


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "hf"))


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def documents(tmp_path) -> ResolvedEncoder:
    return resolve(str(make_tiny_model(tmp_path / "large")))


@pytest.fixture
def student(home, documents) -> ResolvedEncoder:
    return register_tuned(home, documents, "small", size=0.03, space=documents)


def test_a_query_encoder_of_the_space_is_taken(home, documents, student):
    found = query_encoder_for(documents, "small", home)
    assert found == student
    assert found.fingerprint != documents.fingerprint
    assert found.space == documents.space == documents.fingerprint


def test_its_vectors_are_compared_with_those_of_the_documents_encoder(documents, student):
    space = measured_space(student, documents)
    assert {name: space[name] for name in ("encoder", "fingerprint", "queries", "least")} == {
        "encoder": "large",
        "fingerprint": documents.fingerprint,
        "queries": 209,
        "least": 0.75,
    }
    assert 0.9 < space["mean_cosine"] < 0.99999
    assert -1 <= space["min_cosine"] < space["mean_cosine"]


def test_an_encoder_that_only_claims_the_space_is_refused(home, documents, tmp_path):
    other = resolve(str(make_tiny_model(tmp_path / "other", seed=8)))
    claims = replace(other.spec, space="large", space_fingerprint=documents.fingerprint)
    register(home, "liar", claims, card="", verdict={"verdict": "accepted"}, model=other.folder)
    with pytest.raises(GateRefused, match="liar does not give vectors in the space of large") as caught:
        measured_space(query_encoder_for(documents, "liar", home), documents)
    assert float(caught.value.found) < 0.75


def test_an_encoder_of_another_space_is_refused(home, documents, student, tmp_path):
    other = resolve(str(make_tiny_model(tmp_path / "other", seed=8)))
    for asked, of in ((other, "small"), (documents, str(other.folder))):
        with pytest.raises(EncoderError, match="does not share the space of the documents' encoder") as caught:
            query_encoder_for(asked, of, home)
        assert caught.value.expected == f"the space {asked.fingerprint} with 32 dimensions"
    with pytest.raises(EncoderError) as caught:
        query_encoder_for(other, "small", home)
    assert caught.value.found == f"the space {documents.fingerprint}, that of large, with 32 dimensions"
    assert "set VIBERARY_ENCODER to large" in caught.value.todo


def test_an_encoder_of_other_dimensions_is_refused(home, documents, tmp_path):
    other = resolve(str(make_tiny_model(tmp_path / "wide", dimensions=48)))
    claims = replace(other.spec, space="large", space_fingerprint=documents.fingerprint)
    register(home, "wide", claims, card="", verdict={"verdict": "accepted"}, model=other.folder)
    with pytest.raises(EncoderError, match="does not share the space") as caught:
        query_encoder_for(documents, "wide", home)
    assert caught.value.found.endswith("with 48 dimensions")


def test_the_export_speaks_of_the_space(documents, student, tmp_path):
    out = tmp_path / "out"
    description = export_query_encoder(student, out)
    assert not QueryEncoder(out).shares(documents.fingerprint, 32)  # until it was measured
    write_description(out, {**description, "space": measured_space(student, documents)})
    encoder = QueryEncoder(out)
    assert (encoder.fingerprint, encoder.space) == (student.fingerprint, documents.fingerprint)
    assert str(encoder) == (
        f"fingerprint {student.fingerprint} of the space {documents.fingerprint} with 32 dimensions"
    )
    assert [encoder.shares(space, 32) for space in (documents.fingerprint, student.fingerprint)] == [True, False]
    assert not encoder.shares(documents.fingerprint, 31)


def test_an_export_that_names_no_space_has_its_own(documents, tmp_path):
    export_query_encoder(documents, tmp_path / "out")
    assert "space" not in read_description(tmp_path / "out")
    encoder = QueryEncoder(tmp_path / "out")
    assert encoder.space == documents.fingerprint
    assert str(encoder) == f"fingerprint {documents.fingerprint} with 32 dimensions"


def test_the_setting_chooses_the_query_encoder(home, documents, student):
    def pipeline(query: str) -> Pipeline:
        return Pipeline(load_settings(home=home, encoder=str(documents.folder), query_encoder=query))

    assert pipeline("small").query_encoder == student
    assert pipeline("small").encoder == documents
    for same in ("", str(documents.folder)):
        assert pipeline(same).query_encoder == documents


def test_a_query_encoder_of_another_space_is_refused_before_the_first_stage(home, student, tmp_path):
    other = make_tiny_model(tmp_path / "other", seed=8)
    with pytest.raises(EncoderError, match="does not share the space"):
        check_ready(load_settings(home=home, encoder=str(other), query_encoder="small"))


def test_a_shorter_text_limit_is_another_space(home, documents, student):
    """As a recipe sets it: what was cut elsewhere has other vectors."""
    with pytest.raises(EncoderError, match="does not share the space") as caught:
        query_encoder_for(resolve(str(documents.folder), max_tokens=20), "small", home)
    assert "VIBERARY_RECIPE" in caught.value.todo


def test_vectors_of_the_two_are_near_and_not_equal(documents, student, tmp_path):
    export_query_encoder(student, tmp_path / "small")
    export_query_encoder(documents, tmp_path / "large")
    texts = ["a quiet winter garden by the sea", "robot revenge"]
    both = [QueryEncoder(tmp_path / name).encode(texts) for name in ("small", "large")]
    cosines = (both[0] * both[1]).sum(axis=1)
    assert np.all((cosines > 0.9) & (cosines < 0.999999))
