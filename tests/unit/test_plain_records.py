"""Works and editions that nothing touches are counted; the others are linked, with whatever they are linked with."""

import numpy as np

from viberary_pipeline.sources.openlibrary.plain_records import Plain, Told, set_aside

NONE: list[int] = []


def told(rows: list[tuple[int, int]]) -> Told:
    """The lines of a file: (number in the key, number of the work), the first of which is line 1."""
    ids, works = (np.array([row[place] for row in rows], np.int32) for place in (0, 1))
    return Told(np.arange(1, len(rows) + 1, dtype=np.int32), ids, works)


def aside(
    works: list[int], editions: list[tuple[int, int]], named_works: list[int], named_editions: list[int]
) -> tuple[list[int], list[int], Plain]:
    """The lines of works, and of editions, that are to be linked; and what the others come to."""
    linked_works, linked_editions, plain = set_aside(
        told([(work, -1) for work in works]), told(editions), np.array(named_works, int), np.array(named_editions, int)
    )
    return linked_works.lines.tolist(), linked_editions.lines.tolist(), plain


def test_where_nothing_is_named_all_are_counted_by_their_link() -> None:
    found = aside([1, 2, 3], [(1, 1), (2, 1), (3, 3), (4, 9)], NONE, NONE)
    assert found == ([], [], Plain(3, {"given": 3, "lost": 1, "work alone": 1}))


def test_a_named_work_is_linked_with_all_its_editions() -> None:
    found = aside([1, 2, 3], [(1, 1), (2, 2), (3, 2)], [2], NONE)
    assert found == ([2], [2, 3], Plain(2, {"given": 1, "lost": 0, "work alone": 1}))


def test_a_named_edition_is_linked_with_its_work_and_the_other_editions_of_that() -> None:
    found = aside([1, 2, 3], [(1, 1), (2, 2), (3, 2)], NONE, [3])
    assert found == ([2], [2, 3], Plain(2, {"given": 1, "lost": 0, "work alone": 1}))


def test_all_lines_of_what_is_named_are_linked_and_so_are_the_works_of_each() -> None:
    found = aside([1, 1, 2, 3], [(7, 2), (7, 3), (8, 3), (9, 4)], [1], [7])
    assert found == ([1, 2, 3, 4], [1, 2, 3], Plain(0, {"given": 0, "lost": 1, "work alone": 0}))


def test_names_of_what_is_not_told_at_sight_are_passed_over() -> None:
    found = aside([1], [(1, 1)], [2, 999_999_999_999], [5, 10**15])
    assert found == ([], [], Plain(1, {"given": 1, "lost": 0, "work alone": 0}))


def test_files_without_a_line_have_nothing_to_link() -> None:
    assert aside([], [], [1], [1]) == ([], [], Plain(0, {"given": 0, "lost": 0, "work alone": 0}))


def test_the_numbers_that_several_lines_have() -> None:
    lines = Told.joined([told([(5, 1), (3, 1)]), told([(3, 2), (4, 1), (5, 1), (5, 2)])])
    assert lines.repeated.tolist() == [3, 5]
    assert Told.joined([]).repeated.tolist() == []
