"""What a page should look like: pure steps over works in their order."""

from viberary_pipeline.search.arrangement import Result, authors_later, companions_later, later


def work(title, author="Somebody Else", named=""):
    return Result(0.5, named, {"title": title, "author": author})


def titles(results):
    return [result.fields["title"] for result in results]


def test_what_belongs_later_follows_the_first_ten_in_its_order():
    works = [work(str(n)) for n in range(15)]
    arranged = later(works, lambda w: w.fields["title"] in {"1", "3", "12"})
    assert titles(arranged) == ["0", "2", "4", "5", "6", "7", "8", "9", "10", "11", "1", "3", "12", "13", "14"]


def test_what_belongs_later_fills_a_page_that_has_no_others():
    works = [work(str(n)) for n in range(4)]
    assert titles(later(works, lambda w: w.fields["title"] < "3")) == ["3", "0", "1", "2"]
    assert titles(later([], lambda _: True)) == []


def test_no_more_works_are_read_than_are_shown():
    read = []
    works = (read.append(n) or work(str(n)) for n in range(100))
    arranged = later(works, lambda w: w.fields["title"] == "0")
    assert titles([next(arranged), next(arranged)]) == ["1", "2"]
    assert read == [0, 1, 2]


def test_an_author_has_three_works_on_the_first_page_unless_asked_for():
    works = [work(str(n), "Ann Other, Ill U. Strator (Illustrator)") for n in range(5)] + [work("x", "Z")]
    assert titles(later(works, authors_later(3, lambda _: False))) == ["0", "1", "2", "x", "3", "4"]
    assert titles(later(works, authors_later(3, lambda name: name == "Ann Other"))) == ["0", "1", "2", "3", "4", "x"]


def test_nobody_is_no_author_and_neither_is_an_illustrator():
    for nobody in ("", "Anonymous", "Various"):
        works = [work(str(n), nobody) for n in range(6)]
        assert titles(later(works, authors_later(3, lambda _: False))) == list("012345")
    drawn = [work(str(n), f"Writer {n}, Quentin B. (Illustrator)") for n in range(6)]
    assert titles(later(drawn, authors_later(3, lambda _: False))) == list("012345")


def test_a_title_that_is_named_stays_where_it_is():
    works = [work(str(n), "Ann Other", "title" if n > 2 else "") for n in range(5)]
    assert titles(later(works, authors_later(3, lambda _: False))) == list("01234")
    guide = work("SparkNotes: Dune", named="title")
    assert titles(later([guide, work("Dune")], companions_later([], ""))) == ["SparkNotes: Dune", "Dune"]


def test_guides_and_collections_belong_later_unless_their_kind_is_asked_for():
    works = [work("SparkNotes: Dune"), work("Dune Boxed Set"), work("Dune")]
    assert titles(later(works, companions_later([], ""))) == ["Dune", "SparkNotes: Dune", "Dune Boxed Set"]
    assert titles(later(works, companions_later([], "guide"))) == ["SparkNotes: Dune", "Dune", "Dune Boxed Set"]
