"""Lines cut at their tabs: which cells there are, which lines repeat a cell, and what is not cut."""

import duckdb
import pytest

from viberary_pipeline.sources.cells import cut

LINES = ["/a\tOL1\t{}", "/a\tOL2\t{}", "/b\tOL1\t{'ä'}", "/a\t\t{}", "/a\tOL2\t{}", "/a\t\t{}"]
TEXT = "".join(f"{line}\n" for line in LINES).encode()


def test_each_cell_is_had_with_its_separator():
    connection = duckdb.connect().register("written", cut(TEXT, 3).table())
    rows = connection.execute("SELECT cells[1], cells[2], cells[3] FROM written").fetchall()
    split = [line.split("\t") for line in LINES]
    assert rows == [(f"{first}\t", f"{key}\t", f"{last}\n") for first, key, last in split]


def test_a_line_that_repeats_a_cell_of_an_earlier_one_is_found():
    cells = cut(TEXT, 3)
    assert cells.repeated(1) == [2, 4, 5]
    assert [cells.line(number) for number in (2, 5)] == ["/b\tOL1\t{'ä'}\n".encode(), b"/a\t\t{}\n"]
    assert cut(b"/a\t1\n/a\t2\n", 2).repeated(1) == []


def test_a_text_without_lines_has_no_cells():
    cells = cut(b"", 3)
    assert cells.table().num_rows == 0
    assert cells.repeated(1) == []


@pytest.mark.parametrize(
    "text",
    [
        b"a\tb\n",  # too few
        b"a\tb\tc\td\n",  # too many
        b"a\tb\na\tb\tc\td\n",  # as many as there should be, on other lines
        b"a\tb\t\xff\n",
        b"a\tb\t\xc3\n\xa4\tb\tc\n",  # a character that a line feed divides
    ],
)
def test_lines_with_other_columns_and_bytes_that_are_no_text_are_not_cut(text):
    assert cut(text, 3) is None


def test_separators_are_found_beyond_the_first_stretch(monkeypatch):
    monkeypatch.setattr("viberary_pipeline.sources.cells._STRETCH", 5)
    assert [cut(TEXT, 3).line(number).decode() for number in range(6)] == [f"{line}\n" for line in LINES]
