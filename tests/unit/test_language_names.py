"""Languages as people spell them."""

import random
from itertools import product
from string import ascii_lowercase

import pytest

from viberary_pipeline.errors import QueryError
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.language_names import language_subtag
from viberary_pipeline.sources.languages import normalise_language


@pytest.mark.parametrize(
    ("typed", "subtag"),
    [
        *((typed, "en") for typed in ("en", "EN", "eng", "en-US", "en_GB", "English", " english ", "British English")),
        *((typed, "de") for typed in ("de", "ger", "deu", "German", "Deutsch", "allemand")),
        *((typed, "fr") for typed in ("fre", "fra", "French", "français", "Francais", "Französisch")),
        *((typed, "es") for typed in ("español", "Spanish", "castellano", "es-419")),
        *((typed, "zh") for typed in ("zh-Hans", "chi", "Chinese (Simplified)", "中文", "Mandarin")),
        *((typed, "ja") for typed in ("Japanese", "日本語", "jpn")),
        *((typed, "ru") for typed in ("русский", "Russian", "rus")),
        *((typed, "und") for typed in ("und", "Unknown")),
        *((typed, None) for typed in ("", "-", "xx", "elvish", "engish", "e n", "en}|*", "mul", "123", "fr en")),
    ],
)
def test_a_language_by_code_or_name(typed, subtag):
    assert language_subtag(typed) == subtag


def test_every_code_means_what_it_means_to_the_tables():
    codes = ["".join(letters) for n in (2, 3) for letters in product(ascii_lowercase, repeat=n)]
    sample = [*random.Random(0).sample(codes, 400), "nob", "cmn", "sh", "tl", "iw", "scc"]
    assert [language_subtag(code) for code in sample] == [normalise_language(code) for code in sample]


def test_a_filter_takes_languages_in_every_spelling_once():
    assert Filters.of(["English, fre", "eng", "Deutsch"], 0, None) == Filters(("en", "fr", "de"))
    assert Filters(("français",)).to_query() == "@language:{fr}"


@pytest.mark.parametrize("languages", [["Elvish"], ["en", "xx"], ["en,klingonese"]])
def test_what_is_no_language_is_refused_by_name(languages):
    with pytest.raises(QueryError, match="No language is called") as refused:
        Filters.of(languages, 0, None)
    assert repr(languages[-1].split(",")[-1]) in refused.value.what


def test_a_filter_in_words():
    assert (
        str(Filters(("en", "fr"), 1000, (1990, None)))
        == "language en or fr, at least 1,000 reviews, published from 1990"
    )
    assert str(Filters()) == ""
