"""Works and editions that nothing touches are counted; the others are linked, with whatever they are linked with."""

import numpy as np

from viberary_pipeline.sources.openlibrary.untouched import FileKeys, Untouched, split_untouched

NONE: list[int] = []


def keys(*columns: list[int]) -> FileKeys:
    """The keys of a file whose first line is 1: the numbers in them and, of editions, those of their works."""
    lines = range(1, len(columns[0]) + 1)
    return FileKeys(*(np.array(column, np.int32) for column in (lines, *columns)))


def aside(
    works: list[int], editions: list[tuple[int, int]], named_works: list[int], named_editions: list[int]
) -> tuple[list[int], list[int], Untouched]:
    """The lines of works, and of editions, that are to be linked; and what the others come to."""
    linked_works, linked_editions, untouched = split_untouched(
        keys(works),
        keys([edition for edition, _ in editions], [work for _, work in editions]),
        np.array(named_works, int),
        np.array(named_editions, int),
    )
    return linked_works.lines.tolist(), linked_editions.lines.tolist(), untouched


def test_where_nothing_is_named_all_are_counted_by_their_link() -> None:
    found = aside([1, 2, 3], [(1, 1), (2, 1), (3, 3), (4, 9)], NONE, NONE)
    assert found == ([], [], Untouched(3, {"given": 3, "lost": 1, "work alone": 1}))


def test_a_named_work_is_linked_with_all_its_editions() -> None:
    found = aside([1, 2, 3], [(1, 1), (2, 2), (3, 2)], [2], NONE)
    assert found == ([2], [2, 3], Untouched(2, {"given": 1, "lost": 0, "work alone": 1}))


def test_a_named_edition_is_linked_with_its_work_and_the_other_editions_of_that() -> None:
    found = aside([1, 2, 3], [(1, 1), (2, 2), (3, 2)], NONE, [3])
    assert found == ([2], [2, 3], Untouched(2, {"given": 1, "lost": 0, "work alone": 1}))


def test_all_lines_of_what_is_named_are_linked_and_so_are_the_works_of_each() -> None:
    found = aside([1, 1, 2, 3], [(7, 2), (7, 3), (8, 3), (9, 4)], [1], [7])
    assert found == ([1, 2, 3, 4], [1, 2, 3], Untouched(0, {"given": 0, "lost": 1, "work alone": 0}))


def test_names_of_what_is_not_told_at_sight_are_passed_over() -> None:
    found = aside([1], [(1, 1)], [2, 999_999_999_999], [5, 10**15])
    assert found == ([], [], Untouched(1, {"given": 1, "lost": 0, "work alone": 0}))


def test_files_without_a_line_have_nothing_to_link() -> None:
    assert aside([], [], [1], [1]) == ([], [], Untouched(0, {"given": 0, "lost": 0, "work alone": 0}))


def test_the_numbers_that_several_lines_have() -> None:
    joined = FileKeys.joined([keys([5, 3], [1, 1]), keys([3, 4, 5, 5], [2, 1, 1, 2])])
    assert joined.repeated.tolist() == [3, 5]
    assert {name: column.tolist() for name, column in joined.columns.items()} == {
        "line": [1, 2, 1, 2, 3, 4],
        "id": [5, 3, 3, 4, 5, 5],
        "work": [1, 1, 2, 1, 1, 2],
    }
    assert FileKeys.joined([]).repeated.tolist() == []
