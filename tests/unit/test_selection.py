"""Which lines of Open Library's works and editions are read; the join makes the same rows of them as of all lines."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openlibrary import DATE, LIMITS, by, of, read_dump, record, rows_of, shelved, typed, write_dump

from viberary_pipeline.errors import RawDataError
from viberary_pipeline.sources.blocks import Block, Numbers, blocks
from viberary_pipeline.sources.openlibrary.catalogue import MADE, join_dump
from viberary_pipeline.sources.openlibrary.keys import keys_at_sight
from viberary_pipeline.sources.openlibrary.rules import OpenLibraryRules
from viberary_pipeline.sources.openlibrary.selection import select_lines, wanted_lines
from viberary_pipeline.sources.openlibrary.tables import OPENLIBRARY
from viberary_pipeline.sources.raw_files import find
from viberary_pipeline.synth.write import write_dumps

WHALE = "A captain hunts the white whale that took his leg, and takes his ship and crew with him."
ALL_LINES = {"all_lines": True}


def from_all_lines(location: str, out: Path) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """What the join says and makes of a dump of which every line is read."""
    tables = {table.name: out / table.name / f"{table.name}.parquet" for table in OPENLIBRARY}
    for table in tables:
        typed(Path(location), out / table, table, ceiling=0.5)
    (out / "joined").mkdir()
    facts = join_dump(tables, out / "joined", LIMITS, OpenLibraryRules(), ALL_LINES)
    return facts, {name: by_id(out, name) for name in MADE}


def by_id(out: Path, name: str) -> list[dict[str, Any]]:
    return sorted(rows_of(out / "joined" / f"{name}.parquet"), key=lambda row: [*map(str, row.values())][2])


def chosen(raw: Path, out: Path) -> dict[str, list[int]]:
    """The lines that are read of each file; and proof that the join says and makes the same of them as of all."""
    tables, facts = read_dump(str(raw), out / "chosen", ceiling=0.5)
    expected, rows = from_all_lines(str(raw), out / "all")
    assert facts == expected
    assert {name: by_id(out / "chosen", name) for name in MADE} == rows
    return {name: [row["line"] for row in rows_of(tables[name])] for name in ("ol_works", "ol_editions")}


def test_records_of_works_that_nobody_reads_are_not_read(tmp_path):
    raw = write_dump(
        tmp_path / "raw",
        works=[record(f"OL{n}W", title=f"T{n}", description=WHALE, authors=by("OL1A")) for n in range(1, 5)],
        editions=[record(f"OL{n}M", works=of(f"OL{1 + n % 4}W"), title=f"E{n}") for n in range(1, 9)],
        authors=[record("OL1A", name="Herman Melville")],
        reading_log=shelved("OL2W", 3, "OL1M"),
        ratings=shelved("OL4W", 1, "", "5"),
    )
    assert chosen(raw, tmp_path) == {"ol_works": [2, 4], "ol_editions": [1, 3, 5, 7]}
    facts, rows = typed(
        raw, tmp_path / "typed", "ol_works", wanted=wanted_lines("ol_works", tmp_path / "chosen/selected")
    )
    assert {name: facts[name] for name in ("lines", "rows", "not_read", "rejected")} == {
        "lines": 4,
        "rows": 2,
        "not_read": 2,
        "rejected": {},
    }
    assert facts["files"] == [
        {
            "file": f"ol_dump_works_{DATE}.txt.gz",
            "bytes": facts["files"][0]["bytes"],
            "lines": 4,
            "rows": 2,
            "not_read": 2,
            "rejected": {},
        }
    ]
    _, every = typed(raw, tmp_path / "every", "ol_works")
    assert rows == [row for row in every if row["work_id"] in ("OL2W", "OL4W")]


LINKS: list[tuple[str, Any, bool]] = [
    ("the usual", of("OL1W"), True),
    ("of another work", of("OL2W"), False),
    ("several works, the first is read", [*of("OL1W"), *of("OL2W")], True),
    ("several works, the first is not read", [*of("OL2W"), *of("OL1W")], False),
    ("keys alone", ["/works/OL1W"], True),
    ("one key alone", "/works/OL1W", True),
    ("one object", {"key": "/works/OL1W"}, True),
    ("without a folder", [{"key": "OL1W"}], True),
    ("in small letters", [{"key": "/works/ol1w"}], True),
    ("with a zero in front", [{"key": "/works/OL01W"}], False),
    ("a long number", [{"key": "/works/OL12345678901234567890W"}], False),
    ("an object in an object", [{"work": {"key": "/works/OL1W"}}], True),
    ("more fields", [{"key": "/works/OL1W", "type": {"key": "/type/work"}}], True),
    ("no list", [], False),
    ("null", None, False),
    ("no key", [{"key": 7}], False),
    ("merged into one that is read", of("OL3W"), True),
    ("merged into one that is not", of("OL4W"), False),
    ("deleted", of("OL5W"), False),
    ("unknown", of("OL6W"), False),
]


@pytest.mark.parametrize("number", [2**29 - 1, 2**29, 2**31 - 1, 2**31, 10**9 - 1, 10**9, 2**53])
def test_numbers_may_be_as_large_as_they_like(tmp_path, number):
    raw = write_dump(
        tmp_path / "raw",
        works=[record("OL1W", title="T", description=WHALE), record(f"OL{number}W", title="U", description=WHALE)],
        editions=[
            record("OL1M", works=of(f"OL{number}W"), title="E"),
            record(f"OL{number}M", works=of("OL1W"), title="F"),
            record("OL2M", works=of(f"OL{number - 1}W"), title="G"),
            record(f"OL{number - 1}M", works=of("OL3W"), title="H"),
        ],
        reading_log=[*shelved(f"OL{number}W", 1), *shelved("OL1W", 1, f"OL{number}M"), *shelved("OL4W", 1, "OL2M")],
    )
    assert chosen(raw, tmp_path) == {"ol_works": [1, 2], "ol_editions": [1, 2, 3]}


def test_an_edition_is_read_where_its_work_is_however_it_names_it(tmp_path):
    raw = write_dump(
        tmp_path / "raw",
        works=[
            record("OL1W", title="Read", description=WHALE),
            record("OL2W", title="Unread", description=WHALE),
            record("OL5W", "delete"),
        ],
        editions=[record(f"OL{n}M", works=works, title="It") for n, (_, works, _) in enumerate(LINKS, 1)],
        redirects=[
            record("OL3W", "redirect", location="/works/OL1W"),
            record("OL4W", "redirect", location="/works/OL2W"),
        ],
        reading_log=shelved("OL1W", 1),
    )
    lines = chosen(raw, tmp_path)
    assert lines["ol_works"] == [1, 3]
    assert [LINKS[line - 1][0] for line in lines["ol_editions"]] == [name for name, _, read in LINKS if read]


def test_the_word_works_elsewhere_in_a_record_is_no_link(tmp_path):
    usual = json.dumps(of("OL1W"))
    lines = [
        record("OL1M", title='All "works": [{"key": "/works/OL1W"}]', works=of("OL2W")),
        record("OL2M", title="T", notes={"works": of("OL1W")}, works=of("OL2W")),
        record("OL3M", title="T", notes={"works": of("OL2W")}, works=of("OL1W")),
        record("OL4M", title="T").replace('"title"', f'"w\\u006frks": {usual}, "title"'),
        record("OL5M", title="T", subjects=["works"], works=of("OL1W")),
        record("OL6M", title="T", works=of("OL1W")).replace(": ", ":").replace(", ", ","),
    ]
    raw = write_dump(
        tmp_path / "raw",
        works=[record("OL1W", title="Read", description=WHALE), record("OL2W", title="Unread", description=WHALE)],
        editions=lines,
        reading_log=shelved("OL1W", 1),
    )
    assert chosen(raw, tmp_path) == {"ol_works": [1], "ol_editions": [3, 4, 5, 6]}


def test_redirects_of_works_and_editions_lead_to_what_is_read(tmp_path):
    raw = write_dump(
        tmp_path / "raw",
        works=[
            record("OL1W", title="Read as OL10W", description=WHALE),
            record("OL2W", title="Read as OL20W", description=WHALE),
            record("OL3W", title="Unread", description=WHALE),
            record("OL20W", "redirect", location="/works/OL2W"),
            record("OL4W", title="Read by its edition's old key", description=WHALE),
            record("OL30W", "redirect", location="/works/OL31W"),
        ],
        editions=[
            record("OL1M", works=of("OL11W"), title="By two redirects"),
            record("OL2M", works=of("OL20W"), title="By one of the works' file"),
            record("OL3M", works=of("OL3W"), title="Unread"),
            record("OL4M", works=of("OL4W"), title="New"),
            record("OL40M", "redirect", location="/books/OL4M"),
        ],
        redirects=[
            record("OL10W", "redirect", location="/works/OL11W"),
            record("OL11W", "redirect", location="/works/OL1W"),
            record("OL31W", "redirect", location="/works/OL30W"),
        ],
        reading_log=[*shelved("OL10W", 1), *shelved("OL20W", 1), *shelved("OL99W", 1, "OL40M"), *shelved("OL30W", 1)],
    )
    assert chosen(raw, tmp_path) == {"ol_works": [1, 2, 4, 5, 6], "ol_editions": [1, 2, 4, 5]}


def test_a_reader_of_a_work_that_is_gone_counts_for_the_edition_and_its_work(tmp_path):
    raw = write_dump(
        tmp_path / "raw",
        works=[record("OL1W", title="It", description=WHALE), record("OL2W", title="Unread", description=WHALE)],
        editions=[
            record("OL1M", works=of("OL1W"), title="Named by the reader"),
            record("OL2M", works=of("OL1W"), title="Another of that work"),
            record("OL3M", title="Its own work, named by the reader", description=WHALE),
            record("OL4M", title="Its own work, unread", description=WHALE),
            record("OL5M", works=of("OL98W"), title="Its work is gone", description=WHALE),
            record("OL6M", works=of("OL98W"), title="Its work is gone, unread", description=WHALE),
        ],
        reading_log=[*shelved("OL99W", 1, "OL1M"), *shelved("OL99W", 2, "OL3M"), *shelved("OL98W", 1, "OL5M")],
    )
    assert chosen(raw, tmp_path) == {"ol_works": [1], "ol_editions": [1, 2, 3, 5]}


def test_what_is_no_record_is_a_reject_as_far_as_its_key_does_not_tell(tmp_path):
    works = [
        record("OL1W", title="Read", description=WHALE),
        "no record",
        "/type/work\t/works/OL2W\t1",
        record("OL1W", title="Read", description=WHALE).replace("/works/OL1W", "/books/OL1M"),
        record("OL2W", title="Unread").replace('"title"', "title"),
        record("OL1W", title="Again"),
        record("OL2W", title="Unread, again"),
        record("OL1W", title="Cut")[:-5],
    ]
    raw = write_dump(tmp_path / "raw", works=works, reading_log=shelved("OL1W", 1))
    tables, _ = read_dump(str(raw), tmp_path / "out", ceiling=0.5)
    rejects = rows_of(tables["ol_works"].with_name("ol_works_rejects.parquet"))
    assert [(row["line"], row["reason"]) for row in rejects] == [
        (2, "not_a_record"),
        (3, "missing_column"),
        (4, "invalid_work_id"),
        (6, "duplicate_work_id"),
        (8, "truncated_line"),
    ]
    assert [row["line"] for row in rows_of(tables["ol_works"])] == [1]


def test_a_record_that_is_there_twice_is_read_with_both_of_its_works(tmp_path):
    editions = [
        record("OL1M", works=of("OL2W"), title="Unread, and counts"),
        record("OL1M", works=of("OL1W"), title="Read, and does not count"),
        record("OL2M", works=of("OL2W"), title="No JSON").replace('"title"', "title"),
        record("OL2M", works=of("OL1W"), title="Counts, since the one before is none"),
    ]
    raw = write_dump(
        tmp_path / "raw",
        works=[record("OL1W", title="Read", description=WHALE), record("OL2W", title="Unread", description=WHALE)],
        editions=editions,
        reading_log=shelved("OL1W", 1),
    )
    tables, _ = read_dump(str(raw), tmp_path / "chosen", ceiling=0.9)
    _, rows = from_all_lines(str(raw), tmp_path / "all")
    assert {name: by_id(tmp_path / "chosen", name) for name in MADE} == rows
    assert [row["book_id"] for row in rows["books"]] == ["OL2M"]
    assert [row["line"] for row in rows_of(tables["ol_editions"])] == [1, 4]


@pytest.mark.parametrize("least", [0, 1, 2])
def test_the_least_number_of_readers_counts_them_all(tmp_path, least):
    raw = write_dump(
        tmp_path / "raw",
        works=[record(f"OL{n}W", title=f"T{n}", description=WHALE) for n in (1, 2, 3)],
        redirects=[record("OL4W", "redirect", location="/works/OL2W")],
        reading_log=[*shelved("OL1W", 1), *shelved("OL2W", 1), *shelved("OL4W", 1)],
    )
    tables, facts = read_dump(str(raw), tmp_path / "out", least_readers=least)
    assert [row["work_id"] for row in rows_of(tables["ol_works"])] == ["OL1W", "OL2W", "OL3W"][: 3 if not least else 2]
    assert (facts["works"], facts["works_left_out"]) == (3, {"few_readers": least} if least else {})


def test_every_line_is_read_where_the_dump_does_not_say_who_reads_what(tmp_path):
    raw = write_dump(tmp_path / "raw", works=[record("OL1W", title="T", description=WHALE)])
    assert chosen(raw, tmp_path) == {"ol_works": [1], "ol_editions": []}
    assert wanted_lines("ol_works", tmp_path / "chosen" / "selected") is None


def test_one_file_with_the_records_of_all_types_is_chosen_from_by_its_own_line_numbers(tmp_path):
    lines = [
        record("OL1A", name="Herman Melville"),
        record("OL1W", title="Read", description=WHALE, authors=by("OL1A")),
        record("OL2W", title="Unread", description=WHALE),
        record("OL3W", "redirect", location="/works/OL1W"),
        record("OL1M", works=of("OL2W"), title="Unread"),
        record("OL2M", works=of("OL3W"), title="Read"),
        '/type/list\t/people/ann/lists/OL1L\t1\t2026-10-01T10:00:00\t{"name": "Whales"}',
        "no record",
    ]
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / f"ol_dump_{DATE}.txt.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    (raw / f"ol_dump_reading-log_{DATE}.txt.gz").write_bytes(gzip.compress("\n".join(shelved("OL3W", 2)).encode()))
    assert chosen(raw, tmp_path) == {"ol_works": [2, 4], "ol_editions": [6]}


def test_a_damaged_file_is_told_while_its_lines_are_chosen(tmp_path):
    raw = write_dump(tmp_path / "raw", works=[record("OL1W", title="T")], reading_log=shelved("OL1W", 1))
    path = raw / f"ol_dump_works_{DATE}.txt.gz"
    path.write_bytes(path.read_bytes()[:-6])
    tables = {}
    for table in ("ol_authors", "ol_redirects", "ol_ratings", "ol_reading_log"):
        typed(raw, tmp_path / table, table)
        tables[table] = tmp_path / table / f"{table}.parquet"
    (tmp_path / "out").mkdir()
    files = {table: find(table, str(raw)) for table in ("ol_works", "ol_editions")}
    with pytest.raises(RawDataError, match="A raw file is damaged"):
        select_lines(files, tables, tmp_path / "out", LIMITS, OpenLibraryRules())


@pytest.mark.parametrize("ceiling", [0.5, 0.2])
def test_rejects_are_a_share_of_the_lines_that_were_read(tmp_path, ceiling):
    broken = [record(f"OL{n}W", title="T").replace('"title"', "title") for n in range(1, 13)]
    raw = write_dump(
        tmp_path / "raw", works=[*broken, *(record(f"OL{n}W", title="T", description=WHALE) for n in range(13, 101))]
    )
    wanted = wanted_of(range(1, 31))
    if ceiling == 0.5:
        facts, _ = typed(raw, tmp_path / "out", "ol_works", ceiling=ceiling, wanted=wanted)
        assert (facts["rows"], facts["not_read"], facts["rejected"]) == (18, 70, {"malformed_json": 12})
        return
    with pytest.raises(RawDataError, match="Too much of the ol_works file is rejected") as error:
        typed(raw, tmp_path / "out", "ol_works", ceiling=ceiling, wanted=wanted)
    assert "12 of 100, of which 70 were not asked for" in error.value.found


def wanted_of(numbers: range) -> Numbers:
    return np.array(numbers, np.int64)


@pytest.mark.parametrize("size", [1, 7, 40, 10_000])
def test_wanted_lines_are_the_same_wherever_the_chunks_end(size):
    lines = [record(f"OL{n}W", title=f"T{n}").encode() for n in range(1, 12)]
    lines[4] = b"no record"
    text = b"\n".join([*lines[:7], b"", *lines[7:]])
    layout = OPENLIBRARY[0].layout
    chunks = [text[start : start + size] for start in range(0, len(text), size)]
    found = list(blocks(chunks, layout, wanted=wanted_of(range(2, 12, 3)), block_bytes=200))
    numbers = [number for block in found for number in block.all_numbers]
    assert numbers == [2, 11]
    assert b"".join(bytes(piece) for block in found for piece in block.pieces) == lines[1] + b"\n" + lines[9] + b"\n"
    assert [bad.line for block in found for bad in block.bad] == [5]
    assert (sum(block.unwanted for block in found), sum(block.repaired["blank_line"] for block in found)) == (8, 1)


def test_keys_are_told_at_sight_only_in_their_usual_spelling():
    lines = [
        record("OL123M", works=of("OL45W"), title="T"),
        record("OL999999999M", works=of("OL1W"), title="T"),
        record("OL1234567890M", works=of("OL1W"), title="T"),
        record("OL012M", works=of("OL1W"), title="T"),
        record("OL7M", works=[{"key": "/works/OL1234567890W"}], title="T"),
        record("OL8M", title="T"),
        record("OL9M", "redirect", location="/books/OL8M"),
        record("OL10M", works=of("OL10W")).replace("/books/OL10M\t", "/books/OL10M \t"),
    ]
    block = Block()
    for number, line in enumerate(lines, 11):
        block.add(line.encode() + b"\n", number)
    keys = keys_at_sight(block, b"/type/edition\t/books/OL", b"M", of_works=True)
    assert [column.tolist() for column in (keys.lines, keys.ids, keys.works)] == [[11, 12], [123, 999999999], [45, 1]]
    assert keys.others.all_numbers.tolist() == [*range(13, 19)]
    assert [bytes(piece).decode() for piece in keys.others.pieces] == [line + "\n" for line in lines[2:]]


def ids_at_sight(*keys: str) -> list[int]:
    """The numbers that are told at sight of lines of editions with these keys."""
    block = Block()
    for key in keys:
        block.add(record("OL1M", works=of("OL1W")).encode().replace(b"OL1M", key.encode("latin-1"), 1) + b"\n", 1)
    return keys_at_sight(block, b"/type/edition\t/books/OL", b"M", of_works=True).ids.tolist()


def test_a_number_is_told_whatever_its_length():
    numbers = [int("987654321"[:length]) for length in range(1, 10)] + [10**place for place in range(9)]
    assert ids_at_sight(*(f"OL{number}M" for number in numbers)) == numbers


@pytest.mark.parametrize("byte", ["/", ":", " ", "\0", "\x7f", "\x80", "\xb0", "\xff", "A", "\t"])
def test_whatever_stands_among_digits_is_none(byte):
    keys = [f"OL{'1' * before}{byte}{'1' * after}M" for before in range(10) for after in range(3)]
    assert ids_at_sight(*keys) == []


def test_a_made_up_dump_gives_the_same_rows(tmp_path):
    write_dumps(tmp_path / "raw", works=3_000, limits=LIMITS)
    lines = chosen(tmp_path / "raw", tmp_path)
    assert 0 < len(lines["ol_works"]) < 1_000
