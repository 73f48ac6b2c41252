"""The pipeline from Python: what people and notebooks call."""

import doctest
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from homes import Published

import viberary_pipeline as viberary
from viberary_pipeline import library as module
from viberary_pipeline import redis_server
from viberary_pipeline.errors import BookNotFound, BuildStopped, EncoderError, QueryError, SearchUnavailable


@pytest.fixture(scope="module")
def library(published: Published) -> viberary.Library:
    return viberary.open(published.home)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[viberary.Library]:
    yield viberary.open(tmp_path / "home")
    redis_server.stop(tmp_path / "home")


def test_the_examples_of_the_docstrings(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIBERARY_HOME", str(published.home))
    names = {"open": viberary.open, "library": viberary.open()}
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, tried = doctest.testmod(module, extraglobs=names, optionflags=flags)
    assert (failed, tried > 6) == (0, True)


def test_results_are_those_of_the_command_line(library: viberary.Library, published: Published) -> None:
    found = library.search("a quiet sad book", k=3, language="English", years="1900-", min_reviews=1)
    command = ["search", "a quiet sad book", "-k", "3", "--language", "en", "--years", "1900-", "--min-reviews", "1"]
    told = json.loads(published.cli(*command, "--json").stdout)
    assert json.loads(json.dumps(found.to_dicts())) == told["results"]
    assert (found.query, found.build, len(found)) == (told["query"], told["build"], 3)
    assert [found[0], *found[1:]] == list(found)


def test_results_print_as_a_list_and_show_as_a_table(library: viberary.Library) -> None:
    found = library.search("jane austne", k=1)
    assert repr(found).splitlines() == [
        "jane austne",
        "  (searched for: jane austen)",
        f"  1. {found[0].score:.3f}  {found[0].title} — {found[0].author}",
    ]
    assert f"<td>{found[0].title}</td>" in found._repr_html_()
    nothing = library.search("9780000000002")
    assert repr(nothing).splitlines()[-1] == "  no book was found"
    hostile = library.search("<b>love</b>", k=1)
    assert "<b>love</b>" not in hostile._repr_html_()


def test_results_turn_into_tables(library: viberary.Library) -> None:
    found = library.search("love", k=4)
    rows = found.to_dicts()
    assert found.to_arrow().to_pylist() == rows
    assert found.to_pandas()["book_id"].tolist() == [row["book_id"] for row in rows]
    assert library.search("9780000000002").to_pandas().empty


def test_vectors_are_in_the_order_of_their_ids(library: viberary.Library) -> None:
    works = library.documents(["work_id"])["work_id"].to_pylist()[:4]
    vectors = library.vectors(works)
    assert (vectors.shape, vectors.dtype) == ((4, 384), np.float32)
    np.testing.assert_array_equal(library.vectors(works[::-1]), vectors[::-1])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    (nearest,) = library.similar(works[0], k=1)
    score = vectors[0] @ library.vectors([nearest.work_id])[0]
    assert nearest.score == pytest.approx(score, abs=1e-5)
    assert library.vectors([]).shape == (0, 384)
    with pytest.raises(BookNotFound, match="no work"):
        library.vectors([works[0], "no work"])


def test_a_library_at_the_address_of_a_redis(
    library: viberary.Library, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIBERARY_HOME", str(published.home))
    assert published.settings.redis.url
    there = viberary.open(published.settings.redis.url)
    assert there.search("love").to_dicts() == library.search("love").to_dicts()
    assert repr(there) == repr(library)


def test_what_cannot_be_answered_is_said(library: viberary.Library, empty: viberary.Library) -> None:
    with pytest.raises(QueryError):
        library.search(" ")
    with pytest.raises(QueryError, match="Elvish"):
        library.search("love", language="Elvish")
    with pytest.raises(BookNotFound):
        library.book("no such book")
    assert repr(empty) == "<Library: Nothing is published yet>"
    for ask in (lambda: empty.search("love"), lambda: len(empty), empty.documents):
        with pytest.raises(SearchUnavailable, match="Nothing is published"):
            ask()


def test_documents_of_a_build_that_another_home_made_are_not_guessed(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIBERARY_HOME", str(tmp_path / "home"))
    assert published.settings.redis.url
    with pytest.raises(EncoderError, match="is not in this VIBERARY_HOME"):
        viberary.open(published.settings.redis.url).documents()


def test_a_build_that_cannot_begin_or_end_says_why(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="no setting colour"):
        viberary.build(colour="red")
    try:
        with pytest.raises(BuildStopped, match="The folder with the raw files is missing") as caught:
            viberary.build(tmp_path / "nowhere", home=tmp_path / "home")
    finally:
        redis_server.stop(tmp_path / "home")
    assert caught.value.exit_code == 1
    assert not (tmp_path / "home" / "artifacts").exists()  # not even an encoder was exported
    assert "DAGSTER_HOME" not in os.environ  # another build may be of another home
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_the_package_imports_nothing_before_it_is_asked_for() -> None:
    code = "import sys, viberary_pipeline as v; print('redis' in sys.modules, 'open' in dir(v), v.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", viberary.__version__]
    with pytest.raises(AttributeError, match="no attribute 'close'"):
        _ = viberary.close
