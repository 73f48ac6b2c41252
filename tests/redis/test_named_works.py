"""What a query names, found first: by letters, through typos, under any title, by number, as a volume of a series."""

import pytest
from catalogue import OTHERS, Catalogue, publish_catalogue

from viberary_pipeline.errors import QueryError
from viberary_pipeline.redis_contract import NAME_WORDS, record_key
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.searcher import Searcher
from viberary_pipeline.search.weights import SearchSettings


def work(title, author, description="A novel.", reviews=100, **fields):
    return {"title": title, "author": author, "description": description, "review_count": reviews, **fields}


@pytest.fixture
def publish(client, published, tmp_path):
    """Publishes works beside `OTHERS`."""

    def make(*works) -> Catalogue:
        return publish_catalogue(client, published.home, tmp_path, [*OTHERS, *works])

    return make


TYPED = {
    "Georgia X.Q. Marlin": [
        "georgia xq marlin",
        "Georgia X. Q. Marlin",
        "Marlin, Georgia X.Q.",
        "GXQ Marlin",
        "G. Marlin",
    ],
    "Uma K. Le Brin": ["uma k lebrin", "uma lebrin", "UK Le Brin", "le brin", "lebrin", "Le Brin, Uma"],
    "Walter de la Mere": ["walter delamere", "w. de la mere", "de la mere walter"],
    "Antonin de Saint-Exupry": ["antonin de saint exupry", "antonin desaintexupry", "Antonin de SaintExupry"],
    "Madeleine L'Angle": ["madeleine langle", "madeleine l angle", "Madeleine L’Angle"],
    "Søren Kjærgård": ["soren kjaergard", "SØREN KJÆRGÅRD"],
    "Stanisław Łem": ["stanislaw lem"],
    "村山春子": ["村山 春子", "村山春子"],
    "한 강우": ["한강우", "강우 한"],
    "نجيب أحمد": ["نجيب احمد", "نجيباحمد"],
    "Фёдор Толстов": ["федор толстов", "Толстов Фёдор"],
}


def test_an_author_is_found_however_the_name_is_typed(publish):
    catalogue = publish(
        *(work(f"Book {n} {part}", author) for n, author in enumerate(TYPED) for part in ("First", "Second"))
    )
    for author, queries in TYPED.items():
        for query in queries:
            hits = catalogue.search(query)
            assert [(hit.author, hit.named) for hit in hits[:2]] == [(author, "author")] * 2, query
            assert [hit.named for hit in hits[2:]] == [""] * 8, query


def test_a_title_is_found_however_it_is_typed(publish):
    catalogue = publish(
        work("Smilla’s Sense of Snow", "Peter Hoy"),
        work("Brød & Smør", "Lis Dam"),
        work("Sans Famille-Fantôme", "H. Malot"),
        work("雪の国", "川端康子"),
    )
    for query, title in {
        "smillas senseofsnow": "Smilla’s Sense of Snow",
        "brod and smor": "Brød & Smør",
        "brod&smor": "Brød & Smør",
        "sansfamille fantome": "Sans Famille-Fantôme",
        "雪 の 国": "雪の国",
        "雪の国 川端 康子": "雪の国",
    }.items():
        assert catalogue.named(query) == [(title, "title")], query


def famous(reviews=5000):
    return [
        work(title, "Kurt Vonnegard", reviews=reviews) for title in ("Barn Five", "Bluebeard Shed", "Cradle of Cats")
    ]


def authors_of(catalogue, query):
    return [hit.author for hit in catalogue.search(query, 3)]


def test_an_author_is_found_through_a_typo(publish):
    catalogue = publish(*famous())
    for query in ("vonegard", "vonnegrad", "Kurt Vonegard", "curt vonnegard", "kurt vonnegaard"):
        assert authors_of(catalogue, query) == ["Kurt Vonnegard"] * 3, query


@pytest.mark.parametrize("where", ["description", "title", "author"])
def test_a_typo_that_a_book_holds_is_a_typo(publish, where):
    slip = {"title": "Rings and Roads", "author": "Ann Tester", "description": "A walk.", "review_count": 1}
    slip[where] = {"description": "For admirers of Vonegard.", "title": "To Vonegard", "author": "Kurt Vonegard"}[where]
    catalogue = publish(*famous(), slip)
    # Where an author is called so, he comes first; a surname alone means the one who is read.
    whole = ["Kurt Vonegard"] * (where == "author") + ["Kurt Vonnegard"] * 3
    assert authors_of(catalogue, "kurt vonegard") == whole[:3]
    assert authors_of(catalogue, "vonegard") == ["Kurt Vonnegard"] * 3


def test_half_a_title_is_found_through_a_typo(publish):
    potterby = [
        work(f"Barry Potterby and the {thing} (Barry Potterby, #{n})", "June Rowan", "A school of magic.", 9000 - n)
        for n, thing in enumerate(("Stone Cup", "Hidden Stair", "Goblet of Rain"), start=1)
    ]
    catalogue = publish(*potterby, work("Barry Hole and the Redbreast", "Ann Tester", "A detective called Barry."))
    for query in ("barry poterby", "bary potterby", "poterby goblet"):
        assert "Potterby" in catalogue.titles(query)[0], query


@pytest.mark.parametrize("query", ["hose of leaves", "House of Leaver"])
def test_a_whole_title_is_found_through_a_typo_that_is_a_word(publish, query):
    leaves = work("House of Leaves", "June Rowan", "A family measures its rooms.", 5000)
    others = [work(f"The Garden, part {n}", "Ann Tester", "Watered by a hose, raked by its leaver.") for n in range(3)]
    catalogue = publish(leaves, *others, *famous())
    assert catalogue.titles(query)[0] == "House of Leaves"


def test_words_of_the_language_are_not_corrected(publish):
    """Names are one letter away: Lonelly, Kitty, Warr, Stary. Without the words of names nothing is corrected."""
    names = [work("Lonelly", "Bitty Warr", "Nothing of it.", 9000), work("Stary", "Fanny Funn", "Other.", 9000)]
    catalogue = publish(*names)
    queries = ["lonely winter", "witty banter", "a lovely story", "cold sea", "a funny love story", "war"]
    found = [catalogue.search(query) for query in queries]
    catalogue.client.hdel(record_key(catalogue.build), NAME_WORDS)
    without = Searcher(catalogue.client, catalogue.searcher._home)
    assert found == [list(without.search(query).results) for query in queries]


def test_a_work_is_found_by_any_of_its_titles_under_the_one_that_is_shown(publish):
    catalogue = publish(
        work("The Golden Sextant (Dark Tides, #1)", "Philippa Pull", other_titles=["Southern Lamps (Dark Tides, #1)"]),
        work("The Shade of the Wind", "Carla Zafra", other_titles=["La penumbra del viento", "Тень ветра"]),
        work("La fortaleza del silencio", "Ann Tester"),
    )
    for query, title in {
        "southern lamps": "The Golden Sextant (Dark Tides, #1)",
        "southern lamps philippa pull": "The Golden Sextant (Dark Tides, #1)",
        "the golden sextant": "The Golden Sextant (Dark Tides, #1)",
        "La Penumbra del Viento": "The Shade of the Wind",
        "la penumbra del vientto": "The Shade of the Wind",
        "zafra penumbra del viento la": "",
        "тень ветра": "The Shade of the Wind",
    }.items():
        assert catalogue.named(query) == ([(title, "title")] if title else []), query
    assert catalogue.titles("la penumbra del viento", 1) == ["The Shade of the Wind"]


NUMBERS = [
    work(
        "Lantern Hill",
        "Lucy Mont",
        isbns=["0306406152"],
        edition_ids=["4242", "B00LANTERN"],
        book_id="41",
        work_id="77",
    ),
    work("Other Hill", "Lucy Mont", isbns=["9780439785969", "439785960"], book_id="1984"),
    work("1984", "George Orville", book_id="43"),
]


def test_an_isbn_finds_its_work_alone_or_nothing(publish):
    catalogue = publish(*NUMBERS)
    for query, titles in {
        "9780306406157": ["Lantern Hill"],
        "978-0-306-40615-7": ["Lantern Hill"],
        "978 0 306 40615 7": ["Lantern Hill"],
        "0-306-40615-2": ["Lantern Hill"],
        "ISBN 0306406152": ["Lantern Hill"],
        "0439785960": ["Other Hill"],
        "b00lantern": ["Lantern Hill"],
        "B00LANTERN": ["Lantern Hill"],
        "9780306406158": [],
        "0306406153": [],
        "9791234567896": [],
        "B0012345AB": [],
        "isbn 99": [],
    }.items():
        for k in (1, 100):
            hits = catalogue.search(query, k)
            assert [(hit.title, hit.named) for hit in hits] == [(title, "number") for title in titles], query


def test_an_id_finds_its_work_first_and_an_ordinary_number_stays_a_title(publish):
    catalogue = publish(*NUMBERS)
    for query in ("41", "4242", "77", "book id 4242"):
        assert catalogue.named(query) == [("Lantern Hill", "number")], query
    assert catalogue.named("1984") == [("1984", "title"), ("Other Hill", "number")]
    assert catalogue.named("22") == []
    assert [len(catalogue.search(query)) for query in ("1984", "22", "4242", "book id 4242")] == [10, 10, 10, 1]


def test_filters_hold_for_numbers_and_volumes(publish):
    catalogue = publish(*NUMBERS)
    assert catalogue.searcher.search("9780306406157", 10, Filters(languages=("fr",))).results == ()
    assert catalogue.searcher.search("77", 10, Filters(min_reviews=101)).results == ()


def test_names_that_are_left_out_leave_numbers_out(publish):
    catalogue = publish(*NUMBERS)
    searcher = Searcher(catalogue.client, catalogue.searcher._home, SearchSettings(find_names=False))
    hits = searcher.search("9780306406157").results
    assert [hit.named for hit in hits] == [""] * 10


def test_books_like_one_are_asked_for_by_any_number_of_it(publish):
    catalogue = publish(*NUMBERS)
    expected = catalogue.searcher.similar("41").results
    for number in ("77", "4242", "9780306406157", "0-306-40615-2", "B00LANTERN"):
        assert catalogue.searcher.similar(number).results == expected, number
    with pytest.raises(QueryError, match="No such book"):
        catalogue.searcher.similar("9780306406158")


def test_a_short_title_is_found_beside_its_author_among_more_read_books(publish):
    more_read = [work(f"Dread {n}", "Stefan Kingsley", "Fear.", 9000 + n) for n in range(60)]
    catalogue = publish(*more_read, work("It", "Stefan Kingsley", "A clown.", 5))
    for query in (
        *("it stefan kingsley", "stefan kingsley it", "It by Stefan Kingsley", "It (Stefan Kingsley)"),
        *("Stefan Kingsley's It", "kingsley it", "it kingsly"),
    ):
        for k in (1, 10, 50):
            assert catalogue.named(query, k)[0] == ("It", "title"), query


def series():
    dune = [
        "Sand (Sand Chronicles, #1)",
        "Sand Messiah (Sand Chronicles, #2)",
        "Children of Sand (Sand Chronicles, #3)",
    ]
    return [
        *(work(title, "Frank Gerbert", "Desert.", 900 - n) for n, title in enumerate(dune)),
        work(
            "The Shadow Falling", "Bob Gordon", series=["The Wheel of Rhyme"], other_titles=["The Shadow Falling (#4)"]
        ),
        work("Mortal (Discland, #4; Reaper, #1)", "Terry Pratt", "An apprentice."),
        *(work(f"Saga, Vol. {n}", "Brian Vaugh", "A space opera in pictures.", 500 - n) for n in (1, 2, 3)),
        *(work(f"Storms of Light (Part {n} of 2)", "Brandon Sander", "Storms.", 50 - n) for n in (1, 2)),
        work("Storms of Light", "Brandon Sander", "Storms.", 5000),
        work("Fabels", "Bill Willing", "Pictures of exile.", 5000),
        work("Fabels: Legends at Home", "Bill Willing", "Pictures of exile.", 50),
        work("Fabels: Vegetable Farm", "Bill Willing", "Pictures of exile.", 40),
    ]


def test_a_volume_is_found_first_by_its_series_and_number(publish):
    catalogue = publish(*series())
    for query, title in {
        "sand 3": "Children of Sand (Sand Chronicles, #3)",
        "Sand Chronicles #2": "Sand Messiah (Sand Chronicles, #2)",
        "the second sand book": "Sand Messiah (Sand Chronicles, #2)",
        "sand book three": "Children of Sand (Sand Chronicles, #3)",
        "Wheel of Rhyme book 4": "The Shadow Falling",
        "book 4 of the wheel of rhyme": "The Shadow Falling",
        "Discland #4": "Mortal (Discland, #4; Reaper, #1)",
        "first reaper novel": "Mortal (Discland, #4; Reaper, #1)",
        "saga 2": "Saga, Vol. 2",
        "Saga volume three": "Saga, Vol. 3",
        "storms of light part 2": "Storms of Light (Part 2 of 2)",
        "fabels legends at home": "Fabels: Legends at Home",
        "fabels: vegetable farm": "Fabels: Vegetable Farm",
    }.items():
        for k in (1, 10):
            assert catalogue.named(query, k)[:1] == [(title, "title")], query


def test_volumes_are_all_shown_in_search_and_beside_each_other(publish):
    catalogue = publish(*series())
    sagas = {"Saga, Vol. 1", "Saga, Vol. 2", "Saga, Vol. 3"}
    assert sagas <= set(catalogue.titles("a space opera in pictures", 10))
    saga = catalogue.search("saga 1", 1)[0]
    assert sagas - {"Saga, Vol. 1"} <= {hit.title for hit in catalogue.searcher.similar(saga.book_id).results}
    exile = {"Fabels", "Fabels: Legends at Home", "Fabels: Vegetable Farm"}
    assert exile <= set(catalogue.titles("pictures of exile", 10))
    storms = {"Storms of Light", "Storms of Light (Part 1 of 2)", "Storms of Light (Part 2 of 2)"}
    assert storms <= set(catalogue.titles("storms", 10))


def test_a_build_of_an_older_version_is_searched_without_what_it_lacks(publish, caplog):
    catalogue = publish(*NUMBERS, *famous())
    client, build = catalogue.client, catalogue.build
    client.hset(record_key(build), "search_fields", "1")
    client.hdel(record_key(build), NAME_WORDS)
    older = Searcher(client, catalogue.searcher._home)
    assert [len(older.search(query).results) for query in ("9780306406157", "saga 2", "kurt vonegard")] == [10] * 3
    assert older.search("lantern hill").results[0].named == "title"
    assert older.similar("41").results == catalogue.searcher.similar("41").results
    assert "was made by an older version" in caplog.text
