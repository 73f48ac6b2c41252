"""Tuning: the training loop, and the same adapter whether it was killed or not."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from small_training import DOCUMENTS, QUERIES
from small_training import write_small_training as write
from tiny_model import DIMENSIONS, make_tiny_model

from viberary_pipeline.encoders import ResolvedEncoder, resolve
from viberary_pipeline.encoders.adapter import save_adapter
from viberary_pipeline.encoders.files import model_folder
from viberary_pipeline.errors import ArtifactError
from viberary_pipeline.tuning.fit import _backward, _backward_apart
from viberary_pipeline.tuning.objectives import Example, FindDocuments, ImitateQueries, Teacher, first_projection
from viberary_pipeline.tuning.recipe import Recipe
from viberary_pipeline.tuning.training import (
    ADAPTER,
    CHECKPOINT,
    DONE,
    run_training,
    trainable,
)


@pytest.fixture
def base(tmp_path) -> ResolvedEncoder:
    return resolve(str(make_tiny_model(tmp_path / "tiny")))


def teacher() -> Teacher:
    rows = np.random.default_rng(3).normal(size=(len(QUERIES) + len(DOCUMENTS), 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Teacher(rows[: len(QUERIES)], rows[len(QUERIES) :], neighbours=3)


@pytest.mark.parametrize("with_teacher", [False, True])
@pytest.mark.parametrize("architecture", ["distilbert", "mpnet"])
def test_gradients_in_parts_are_those_of_the_whole_batch(tmp_path, with_teacher, architecture):
    base = resolve(str(make_tiny_model(tmp_path / "tiny", architecture=architecture)))
    torch.manual_seed(0)
    encoder = trainable(base, Recipe(rank=3, word_rank=2), "cpu")
    for name, value in encoder.trained().items():
        if name.endswith("up"):  # zero at the start: `down` would have no gradient
            torch.nn.init.normal_(value, std=0.1)
    examples = [Example(query, row % len(DOCUMENTS), row % 3 > 0) for row, query in enumerate(QUERIES)]
    objective = FindDocuments(encoder, DOCUMENTS, examples, teacher=teacher() if with_teacher else None)
    texts, loss_of = objective.texts(range(len(QUERIES)), random.Random(1))

    whole = loss_of(encoder(texts))
    whole.backward()
    expected = {name: value.grad.clone() for name, value in encoder.trained().items()}
    encoder.zero_grad()
    loss = _backward(encoder, objective, range(len(QUERIES)), random.Random(1), 5)
    assert loss == pytest.approx(float(whole), abs=1e-5)
    assert len(expected) > 10
    for name, value in encoder.trained().items():
        assert expected[name].abs().max() > 0, name
        torch.testing.assert_close(value.grad, expected[name], rtol=0, atol=1e-5)


def test_gradients_of_a_loss_apart_are_those_of_the_whole_batch(tmp_path):
    encoder = trainable(resolve(str(make_tiny_model(tmp_path / "tiny"))), Recipe(rank=3, projection=8), "cpu")
    theirs = teacher()
    objective = ImitateQueries(encoder, QUERIES, theirs.queries, theirs.documents)
    rows = range(len(QUERIES))
    gradients, losses = [], []
    for backward, part in ((_backward, 5), (_backward_apart, 5), (_backward_apart, 3)):
        encoder.zero_grad()
        losses.append(backward(encoder, objective, rows, random.Random(1), part))
        gradients.append({name: value.grad.clone() for name, value in encoder.trained().items()})
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-5)
    for other in gradients[1:]:
        torch.testing.assert_close(other, gradients[0], rtol=0, atol=1e-5)
    assert max(float(gradient.abs().max()) for gradient in gradients[0].values()) > 1e-3


class Killed(Exception):
    pass


def killed_after(steps: int):
    def report(progress):
        if progress.step > steps:
            raise Killed

    return report


@pytest.mark.parametrize("steps", [1, 4, 8])
def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path, base, steps):
    whole, resumed = write(tmp_path / "whole", base), write(tmp_path / "resumed", base)
    assert run_training(whole, device="cpu").examples == len(QUERIES)

    with pytest.raises(Killed):
        run_training(resumed, device="cpu", report=killed_after(steps), seconds_between_checkpoints=0)
    assert (resumed / CHECKPOINT).exists()
    assert not (resumed / DONE).exists()
    seen = []
    run_training(resumed, device="cpu", report=seen.append, seconds_between_checkpoints=0)
    assert [progress.step for progress in seen] == list(range(steps + 1, 10))
    assert (resumed / ADAPTER).read_bytes() == (whole / ADAPTER).read_bytes()
    assert not (resumed / CHECKPOINT).exists()


def test_what_another_training_left_is_not_gone_on_with(tmp_path, base):
    first, other = write(tmp_path / "first", base), write(tmp_path / "other", base, identity="two")
    with pytest.raises(Killed):
        run_training(first, device="cpu", report=killed_after(4), seconds_between_checkpoints=0)
    (first / CHECKPOINT).rename(other / CHECKPOINT)
    seen = []
    run_training(other, device="cpu", report=seen.append)
    assert seen[0].step == 1


@pytest.mark.parametrize("damage", [b"", b"no checkpoint"])
def test_a_damaged_checkpoint_costs_the_work_and_nothing_else(tmp_path, base, damage):
    folder = write(tmp_path / "job", base)
    (folder / CHECKPOINT).write_bytes(damage)
    seen = []
    run_training(folder, device="cpu", report=seen.append)
    assert seen[0].step == 1


def test_a_finished_training_is_not_done_again(tmp_path, base):
    folder = write(tmp_path / "job", base)
    done, seen = run_training(folder, device="cpu"), []
    assert run_training(folder, device="cpu", report=seen.append) == done
    assert seen == []


def test_seeds_differ(tmp_path, base):
    folders = [write(tmp_path / str(seed), base, seed=seed) for seed in (0, 1)]
    tensors = []
    for folder in folders:
        run_training(folder, device="cpu")
        tensors.append(load_file(folder / ADAPTER))
    assert any((tensors[0][name] != tensors[1][name]).any() for name in tensors[0])


def test_an_adapter_on_the_word_vectors_is_merged_as_it_was_trained(tmp_path, base):
    recipe = Recipe(rank=2, word_rank=3)
    encoder = trainable(base, recipe, "cpu")
    for value in encoder.trained().values():
        torch.nn.init.normal_(value, std=0.2)
    path = tmp_path / "adapter.safetensors"
    save_adapter(path, encoder.adapter(), base=base, scale=recipe.scale)
    (words,) = [name for name in load_file(path) if "word_embeddings.up" in name]
    assert load_file(path)[words].shape[1] == 3
    merged = model_folder(replace(base.spec, name="mine", source="", base=str(base.folder), adapter=str(path)))
    expected = encoder.encode(DOCUMENTS)
    found = trainable(ResolvedEncoder(base.spec, merged, ""), Recipe(rank=1), "cpu").encode(DOCUMENTS)
    assert (expected * found).sum(1).min() > 0.9999
    assert (trainable(base, Recipe(rank=1), "cpu").encode(DOCUMENTS) * expected).sum(1).min() < 0.99


def test_a_folder_without_a_training_says_so(tmp_path):
    with pytest.raises(ArtifactError, match="This folder holds no training"):
        run_training(tmp_path, device="cpu")


def test_the_vectors_of_a_student_begin_near_to_its_teachers():
    random_numbers = np.random.default_rng(0)
    x = random_numbers.normal(size=(500, DIMENSIONS)).astype(np.float32)
    true = random_numbers.normal(size=(48, DIMENSIONS)).astype(np.float32)
    np.testing.assert_allclose(first_projection(x, x @ true.T, ridge=1e-6), true, atol=1e-3)
