"""What a search can be narrowed to, what it is narrowed by, and which of it leaves nothing."""

import pytest

from viberary_pipeline.errors import QueryError
from viberary_pipeline.search.facets import FacetCounts, Facets
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.web.narrowing import (
    Chip,
    chips,
    language_choices,
    reason_for_nothing,
    reviews_label,
    set_fields,
    years_label,
)


@pytest.mark.parametrize(
    ("languages", "choices"),
    [
        ({}, []),
        ({"en": 9}, []),
        ({"en": 9, "und": 9}, []),
        ({"en": 990, "fr": 9, "und": 9_000}, []),
        ({"en": 990, "fr": 10}, ["en", "fr"]),
        ({"en": 50, "und": 40, "fr": 30, "de": 20, "es": 10}, ["en", "fr", "de"]),
    ],
)
def test_a_reader_may_switch_between_the_languages_of_many_books(languages, choices):
    assert language_choices(languages) == choices


def test_a_build_counts_its_languages_decades_and_genres():
    counts = FacetCounts()
    counts.add([{"language": "de", "publication_year": 1994, "genres": ["poetry", "fantasy"]}])
    counts.add(
        [{"language": None, "publication_year": -720, "genres": [], "shelves": ["epic|sea"]}, {"language": "de"}]
    )
    facets = counts.facets()
    assert facets == Facets(
        {"de": 2, "und": 1}, {"1990-1999": 1, "-1899": 1}, {"epic sea": 1, "fantasy": 1, "poetry": 1}
    )
    assert Facets.read(facets.to_json()) == facets
    assert Facets.read("") == Facets()
    for years in facets.years:
        assert Filters.of([], 0, years).years != (None, None)


def test_a_genre_is_one_value_of_the_index_whatever_its_letters():
    assert Filters.of([], 0, "", " fantasy,  paranormal ").to_query() == r"@genre_tags:{fantasy\,\ paranormal}"
    assert Filters(genre="a|b} @x:{y").to_query() == r"@genre_tags:{a\|b\}\ \@x\:\{y}"
    assert str(Filters(("de",), genre="Poésie")) == "language de, genre Poésie"
    with pytest.raises(QueryError, match="No genre"):
        Filters(genre="a\0b")


def test_an_address_carries_only_what_is_set():
    typed = {"language": "French, en", "min_reviews": "0", "years": "", "genre": "poetry"}
    filters = Filters.of(typed["language"].split(","), typed["min_reviews"], typed["years"], typed["genre"])
    assert set_fields(typed, filters) == {"language": "fr,en", "genre": "poetry"}
    assert set_fields(dict.fromkeys(typed, ""), Filters()) == {}
    assert set_fields({**dict.fromkeys(typed, ""), "years": "-"}, Filters.of([], 0, "-")) == {}


def test_each_chip_takes_one_thing_away():
    fields = {"language": "fr,en", "years": "1990-1999", "min_reviews": "1000"}
    assert chips(fields) == [
        Chip("French", {"years": "1990-1999", "min_reviews": "1000", "language": "en"}),
        Chip("English", {"years": "1990-1999", "min_reviews": "1000", "language": "fr"}),
        Chip("1990s", {"language": "fr,en", "min_reviews": "1000"}),
        Chip("at least 1,000 reviews", {"language": "fr,en", "years": "1990-1999"}),
    ]
    assert chips({}) == []


@pytest.mark.parametrize(
    ("kept", "reason"),
    [({"years"}, "Swahili"), ({"language"}, "1990s"), (set(), "Swahili, 1990s"), (None, None)],
    ids=["language", "years", "both together", "no words of it"],
)
def test_the_filter_that_leaves_nothing_is_named(kept, reason):
    def finds(fields):
        return kept is not None and set(fields) <= kept

    chip = reason_for_nothing(chips({"language": "sw", "years": "1990-1999"}), finds)
    assert (chip.label if chip else None) == reason
    assert chip is None or finds(chip.without)


@pytest.mark.parametrize(
    ("years", "said"),
    [
        ("1990-1999", "1990s"),
        ("-1899", "before 1900"),
        ("1990-", "from 1990"),
        ("1990-1994", "1990 to 1994"),
        ("1991-2000", "1991 to 2000"),
        ("1984", "1984"),
        ("long ago", "long ago"),
        ("-", ""),
    ],
)
def test_years_are_said_as_people_say_them(years, said):
    assert years_label(years) == said
    assert reviews_label("x") == "x"
