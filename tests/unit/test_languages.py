"""Languages: codes made one, and guesses from texts (sources/languages.py)."""

import tomllib
from collections import Counter
from pathlib import Path

import duckdb
import pyarrow as pa
import pycld2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viberary_pipeline.sources.languages import (
    LONGEST,
    detect_language,
    normalise_language,
    register_languages,
)

BLURBS = tomllib.loads((Path(__file__).parents[2] / "benchmarks" / "language_texts.toml").read_text("utf-8"))
FRENCH = "Une femme découvre un secret de famille dans la maison de sa grand-mère."
ENGLISH = "A woman comes home to sell her grandmother's house and finds a box of letters."


@pytest.fixture
def connection(tmp_path):
    with duckdb.connect(tmp_path / "languages.duckdb", config={"threads": 2}) as connection:
        register_languages(connection)
        yield connection


@pytest.mark.parametrize(
    ("code", "language"),
    [
        *[(code, "en") for code in ("eng", "en", "en-US", "en-GB", "en-CA", "en-IN", "EN-gb", "en_US", " eng ")],
        ("enm", "enm"),
        ("spa", "es"),
        ("ita", "it"),
        ("ara", "ar"),
        ("por", "pt"),
        ("pt-BR", "pt"),
        ("nl", "nl"),
        ("dut", "nl"),
        ("fre", "fr"),
        ("fra", "fr"),
        ("ger", "de"),
        ("per", "fa"),
        ("gre", "el"),
        ("grc", "grc"),
        ("zho", "zh"),
        ("chi", "zh"),
        ("rum", "ro"),
        ("cze", "cs"),
        ("scr", "hr"),
        ("ind", "id"),
        ("nor", "no"),
        ("nob", "nb"),
        ("fil", "fil"),
        *[(code, None) for code in ("", "--", "---", " ", "und", "mul", "zxx", "mis", "qaa", "qqq", "x-book")],
        *[(code, None) for code in ("english", "xyzzy", "12", "e", "*", "eng;fre", "\x00", "a" * 300, "ﬀ")],
    ],
)
def test_codes(code, language):
    assert normalise_language(code) == language


@settings(deadline=None)
@given(st.text(max_size=20))
def test_no_code_is_too_odd(code):
    language = normalise_language(code)
    assert language is None or normalise_language(language) == language


def test_guesses_for_blurbs():
    """Whatever is guessed for two hundred blurbs in nineteen languages, and how often nothing is."""
    wrong, silent, total = [], Counter(), 0
    for language, texts in BLURBS.items():
        for text, guess in zip(texts, detect_language(texts), strict=True):
            total += 1
            silent[language] += guess is None
            if guess not in (language, None):
                wrong.append((language, guess, text))
    assert total == 190
    assert wrong == [
        ("bg", "ru", "Избрани стихотворения."),
        ("da", "no", "Noveller om regn, hav og ensomhed."),
    ]
    assert sum(silent.values()) == 15  # all but one of at most two dozen characters


def test_what_gives_no_guess():
    assert (
        detect_language(
            [
                None,
                "",
                "No.",
                "Selected poems.",
                "123 456 789 123 456 789 123 456 789 123 456 789",
                "!" * 200,
                "\x00" * 200,
            ]
        )
        == [None] * 7
    )
    assert detect_language([]) == []


def test_characters_that_one_library_refuses():
    """CLD2 raises for noncharacters and control characters; the text gets its guess all the same."""
    with pytest.raises(pycld2.error):
        pycld2.detect(f"\ufffe\ufdd0 {ENGLISH}")
    assert detect_language([f"\ufffe\ufdd0 {ENGLISH}", f"\x01\x0b {FRENCH}"]) == ["en", "fr"]


def test_only_the_beginning_counts():
    beginning = (FRENCH * 3)[:LONGEST]
    assert detect_language([beginning + ENGLISH * 20]) == ["fr"]


def test_in_sql(connection):
    register_languages(connection)
    rows = connection.execute(
        """
        SELECT normalise_language(code), detect_language(words), typeof(detect_language(words))
        FROM (VALUES ('fre', $french), ('--', 'x'), (NULL, NULL), ('eng', $english)) AS t (code, words)
        """,
        {"french": FRENCH, "english": ENGLISH},
    ).fetchall()
    assert rows == [
        ("fr", "fr", "VARCHAR"),
        (None, None, "VARCHAR"),
        (None, None, "VARCHAR"),
        ("en", "en", "VARCHAR"),
    ]


def test_only_where_needed(connection):
    """As the ingest asks: the given code where it names a language, the guess where it does not."""
    rows = connection.execute(
        """
        SELECT coalesce(normalise_language(code), detect_language(words))
        FROM (VALUES ('ger', $english), ('', $english), (NULL, $french), ('mul', NULL)) AS t (code, words)
        """,
        {"french": FRENCH, "english": ENGLISH},
    ).fetchall()
    assert rows == [("de",), ("en",), ("fr",), (None,)]


def test_two_threads_at_once(connection):
    """A table of several row groups, which both threads of the connection take parts of."""
    texts = [text for texts in BLURBS.values() for text in texts] + [None, ""]
    expected = Counter(zip(texts, detect_language(texts), strict=True))
    connection.register("blurbs", pa.table({"words": pa.array(texts, pa.string())}))
    connection.execute("CREATE TABLE t AS SELECT words FROM blurbs, range(1500)")
    counted = connection.execute("SELECT words, detect_language(words) AS l, count(*) FROM t GROUP BY ALL").fetchall()
    assert {(text, language): count for text, language, count in counted} == {
        key: count * 1500 for key, count in expected.items()
    }


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=80)), max_size=5))
def test_any_text(texts):
    languages = detect_language(texts)
    assert len(languages) == len(texts)
    assert all(language is None or normalise_language(language) == language for language in languages)
