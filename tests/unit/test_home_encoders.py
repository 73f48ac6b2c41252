"""Encoders of a home: registered whole or not at all, used by name, refused where their gate refused them."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tiny_model import make_tiny_model

from viberary_pipeline.encoders import REGISTRY, ResolvedEncoder, resolve, resolve_spec
from viberary_pipeline.encoders.adapter import save_adapter
from viberary_pipeline.encoders.files import check_encoder
from viberary_pipeline.encoders.home import encoders_of, register
from viberary_pipeline.errors import EncoderError

LAYER = "transformer.layer.0.attention.q_lin"
ACCEPTED, REFUSED = {"verdict": "accepted", "ndcg": 0.5}, {"verdict": "refused", "reason": "nDCG@10 fell by 0.02"}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "hf"))


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def base(tmp_path) -> ResolvedEncoder:
    return resolve(str(make_tiny_model(tmp_path / "tiny", prompts={"query": "query: "})))


def adapter_of(base: ResolvedEncoder, path: Path, *, seed: int = 5) -> Path:
    random = np.random.default_rng(seed)
    rows, columns = load_file(base.folder / "model.safetensors")[f"{LAYER}.weight"].shape
    halves = {f"{LAYER}.down": random.normal(0, 0.3, (2, columns)), f"{LAYER}.up": random.normal(0, 0.3, (rows, 2))}
    save_adapter(path, halves, base=base, scale=1)
    return path


def tuned(home: Path, base: ResolvedEncoder, name: str = "mine", *, seed: int = 5, verdict: dict = ACCEPTED) -> Path:
    path = adapter_of(base, home.parent / f"{name}.safetensors", seed=seed)
    spec = replace(base.spec, source="", base=str(base.folder), licence="MIT")
    return register(home, name, spec, card="# Card\n", verdict=verdict, adapter=path)


def test_a_registered_adapter_is_found_by_its_name(home, base):
    folder = tuned(home, base)
    assert folder == home / "encoders" / "mine"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("adapter.safetensors", "card.md", "encoder.toml", "verdict.json")
    ]
    assert (folder / "card.md").read_text() == "# Card\n"
    assert json.loads((folder / "verdict.json").read_text()) == ACCEPTED
    found = resolve("mine", home)
    assert found.spec == replace(
        base.spec,
        name="mine",
        source="",
        base=str(base.folder),
        adapter=str(folder / "adapter.safetensors"),
        licence="MIT",
    )
    assert found.spec.query_prefix == "query: "
    assert found.fingerprint != base.fingerprint
    assert resolve("mine", home, max_tokens=20).spec.max_tokens == 20
    assert encoders_of(home) == {"mine": folder}


def test_a_registered_model_is_found_by_its_name(home, base):
    folder = register(home, "whole", base.spec, card="", verdict=ACCEPTED, model=base.folder)
    shutil.rmtree(base.folder)
    found = resolve("whole", home)
    assert found.spec == replace(base.spec, name="whole", source=f"folder:{folder / 'model'}")
    assert found.fingerprint == base.fingerprint


def test_an_encoder_tuned_from_one_of_the_same_home_moves_with_the_home(home, base, tmp_path):
    tuned(home, base)
    first = resolve("mine", home)
    spec = replace(first.spec, base="mine", adapter="")
    path = adapter_of(first, tmp_path / "second.safetensors", seed=6)
    register(home, "again", spec, card="", verdict=ACCEPTED, adapter=path)
    fingerprint = resolve("again", home).fingerprint
    moved = home.rename(tmp_path / "moved")
    assert resolve("again", moved).fingerprint == fingerprint
    assert resolve("again", moved).spec.base == str(moved / "encoders" / "mine")


def test_a_name_means_the_packages_encoder_first_then_the_homes(home, base, tmp_path, monkeypatch):
    tuned(home, base)
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    assert resolve_spec("mine", home).name == "mine"
    shutil.copytree(home / "encoders" / "mine", home / "encoders" / "all-MiniLM-L6-v2")  # not by `register`
    assert resolve_spec("all-MiniLM-L6-v2", home) == REGISTRY["all-MiniLM-L6-v2"]


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "", ".hidden", "a/b", "../up", "a b", "ü", "-x", "*"])
def test_a_name_that_is_the_packages_or_no_folder_is_refused(home, base, name):
    with pytest.raises(EncoderError, match="cannot be called") as caught:
        tuned(home, base, name) if name.isalpha() else register(
            home, name, base.spec, card="", verdict=ACCEPTED, model=base.folder
        )
    assert "all-MiniLM-L6-v2" in caught.value.expected
    assert encoders_of(home) == {}


def test_an_encoder_is_not_its_own_base(home, base):
    tuned(home, base)
    first = resolve("mine", home)
    path = adapter_of(first, home.parent / "second.safetensors")
    with pytest.raises(EncoderError, match="cannot be called 'mine'"):
        register(home, "mine", replace(first.spec, base="mine"), card="", verdict=ACCEPTED, adapter=path)
    assert resolve("mine", home) == first


def test_an_unknown_name_is_refused_with_those_of_the_package_and_of_the_home(home, base):
    tuned(home, base, "second")
    tuned(home, base, "first")
    with pytest.raises(EncoderError, match="The encoder is unknown") as caught:
        check_encoder("third", home)
    assert "all-MiniLM-L6-v2" in caught.value.expected
    assert "one of this home: first, second;" in caught.value.expected
    assert caught.value.found == "'third'"


def test_a_refused_encoder_is_refused_by_name_and_used_by_its_folder(home, base):
    folder = tuned(home, base, verdict=REFUSED)
    with pytest.raises(EncoderError, match="mine was refused by the gate of its training") as caught:
        check_encoder("mine", home)
    assert caught.value.found == "nDCG@10 fell by 0.02"
    assert caught.value.todo.endswith(f"give its folder: {folder}")
    found = resolve(str(folder))
    (folder / "verdict.json").write_text(json.dumps(ACCEPTED))
    assert resolve("mine", home) == found


@pytest.mark.parametrize("verdict", ["", "[]", "{}", '{"verdict": 1}', "null"])
def test_a_verdict_that_says_nothing_does_not_accept(home, base, verdict):
    (tuned(home, base) / "verdict.json").write_text(verdict)
    with pytest.raises(EncoderError, match="was refused by the gate of its training"):
        resolve("mine", home)


def test_a_new_one_of_the_same_name_takes_the_place_of_the_old(home, base):
    tuned(home, base)
    before = resolve("mine", home).fingerprint
    tuned(home, base, seed=6)
    assert resolve("mine", home).fingerprint != before
    assert [path.name for path in (home / "encoders").iterdir()] == ["mine"]


def test_what_does_not_make_the_encoder_is_not_registered(home, base, tmp_path):
    tuned(home, base)
    before = resolve("mine", home)
    other = resolve(str(make_tiny_model(tmp_path / "other", seed=8)))
    with pytest.raises(EncoderError, match="trained on another base"):
        register(
            home,
            "mine",
            replace(base.spec, source="", base=str(base.folder)),
            card="",
            verdict=ACCEPTED,
            adapter=adapter_of(other, tmp_path / "foreign.safetensors"),
        )
    with pytest.raises(EncoderError, match="do not match its spec"):
        register(home, "mine", replace(base.spec, dimensions=64), card="", verdict=ACCEPTED, model=base.folder)
    assert resolve("mine", home) == before
    assert [path.name for path in (home / "encoders").iterdir()] == ["mine"]


@pytest.mark.parametrize("text", ["", "dimensions = ", 'dimensions = "many"', "dimensions = 32"])
def test_an_entry_that_cannot_be_read_is_refused(home, base, text):
    folder = tuned(home, base)
    (folder / "encoder.toml").write_text(text)
    with pytest.raises(EncoderError, match="cannot be used") as caught:
        resolve("mine", home)
    assert "encoder.toml" in caught.value.expected


def test_two_processes_may_register_at_once(home, base):
    code = (
        "import sys; from pathlib import Path; from viberary_pipeline.encoders import resolve\n"
        "from viberary_pipeline.encoders.home import register\n"
        f"base = resolve({str(base.folder)!r})\n"
        f"register(Path({str(home)!r}), 'mine', base.spec, card='', verdict={ACCEPTED!r}, model=base.folder)\n"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code], env={**os.environ}) for _ in range(2)]
    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    assert resolve("mine", home).fingerprint == base.fingerprint
    assert [path.name for path in (home / "encoders").iterdir()] == ["mine"]
