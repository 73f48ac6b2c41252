"""Open Library's dumps: what becomes of each shape of a line, and which books, works and authors are made of them."""

import gzip
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import duckdb
import pytest
from openlibrary import DATE, LIMITS, by, joined, of, record, rows_of, said, shelved, typed, write_dump

from viberary_pipeline.duck import open_in_memory, parquet_glob, sql
from viberary_pipeline.errors import RawDataError
from viberary_pipeline.sources.blocks import blocks
from viberary_pipeline.sources.load import prepared
from viberary_pipeline.sources.openlibrary.catalogue import MADE, make_spellings, set_variables
from viberary_pipeline.sources.openlibrary.subjects import subject_rules
from viberary_pipeline.sources.openlibrary.tables import OPENLIBRARY
from viberary_pipeline.sources.raw_files import find, source_at
from viberary_pipeline.sources.reader import PartReader
from viberary_pipeline.sources.table_specs import TABLES

WORKS = f"ol_dump_works_{DATE}.txt.gz"
EDITIONS = f"ol_dump_editions_{DATE}.txt.gz"
CONTRACTS = Path(__file__).parents[2] / "contracts"
WHALE = "A captain hunts the white whale that took his leg, and takes his ship and crew with him."


@pytest.fixture(scope="module")
def duck(tmp_path_factory) -> duckdb.DuckDBPyConnection:
    return prepared(open_in_memory(LIMITS, tmp_path_factory.mktemp("duck")))


def test_a_work_with_everything_is_typed(tmp_path):
    line = record(
        "OL1W",
        title="Moby Dick",
        subtitle="or, The <i>Whale</i>",
        description={"type": "/type/text", "value": f"{WHALE}\r\n"},
        first_sentence={"type": "/type/text", "value": "Call me Ishmael."},
        first_publish_date="c. 1851",
        authors=by("OL2A", "OL1A"),
        subjects=["Whaling", "Accessible book"],
        subject_places=["Nantucket"],
        subject_people=["Ahab"],
        subject_times=["19th century"],
        covers=[12, -1],
    )
    facts, rows = typed(write_dump(tmp_path / "raw", works=[line]), tmp_path / "out", "ol_works")
    assert rows == [
        {
            "file": WORKS,
            "line": 1,
            "work_id": "OL1W",
            "kind": "work",
            "redirected_to": None,
            "title": "Moby Dick",
            "subtitle": "or, The Whale",
            "description": WHALE,
            "first_sentence": "Call me Ishmael.",
            "first_publish_date": "c. 1851",
            "first_publish_year": 1851,
            "year_is_uncertain": True,
            "author_ids": ["OL2A", "OL1A"],
            "subjects": ["Whaling", "Accessible book"],
            "subject_places": ["Nantucket"],
            "subject_people": ["Ahab"],
            "subject_times": ["19th century"],
            "covers": [12],
            "nulled": None,
        }
    ]
    assert {name: facts[name] for name in ("lines", "rows", "rejected", "nulled", "repaired")} == {
        "lines": 1,
        "rows": 1,
        "rejected": {},
        "nulled": {},
        "repaired": {},
    }


def test_an_edition_with_everything_is_typed(tmp_path):
    line = record(
        "OL7M",
        works=of("OL1W"),
        title="Moby Dick",
        subtitle="The Whale",
        description="An edition with notes.",
        first_sentence="Call me Ishmael.",
        publish_date="[1894?]",
        languages=[{"key": "/languages/eng"}, {"key": "/languages/fre"}],
        isbn_10=["0142437247"],
        isbn_13=["9780142437247", "9780142437248"],
        publishers=["Penguin"],
        physical_format="Paperback",
        number_of_pages=720,
        authors=[{"key": "/authors/OL1A"}],
        contributors=[{"role": "Illustrator", "name": "Rockwell Kent"}, {"name": " Ann "}, {"role": "Translator"}],
        subjects=["Whaling"],
        covers=[5],
        identifiers={"goodreads": ["153747"], "amazon": ["B000FC1PJI"]},
    )
    _, rows = typed(write_dump(tmp_path / "raw", editions=[line]), tmp_path / "out", "ol_editions")
    assert rows == [
        {
            "file": EDITIONS,
            "line": 1,
            "edition_id": "OL7M",
            "kind": "edition",
            "redirected_to": None,
            "work_ids": ["OL1W"],
            "title": "Moby Dick",
            "subtitle": "The Whale",
            "description": "An edition with notes.",
            "first_sentence": "Call me Ishmael.",
            "publish_date": "[1894?]",
            "publish_year": 1894,
            "year_is_uncertain": True,
            "languages": ["eng", "fre"],
            "isbn10s": ["0142437247"],
            "isbn13s": ["9780142437247", "9780142437248"],
            "publishers": ["Penguin"],
            "physical_format": "Paperback",
            "num_pages": 720,
            "author_ids": ["OL1A"],
            "contributors": [{"name": "Rockwell Kent", "role": "Illustrator"}, {"name": "Ann", "role": "Contributor"}],
            "subjects": ["Whaling"],
            "covers": [5],
            "goodreads_ids": ["153747"],
            "asins": ["B000FC1PJI"],
            "nulled": None,
        }
    ]


@pytest.mark.parametrize(
    ("table", "lines", "expected"),
    [
        (
            "ol_authors",
            [
                record("OL1A", name="Herman Melville", personal_name="Melville"),
                record("OL2A", "redirect", location="/a/OL1A"),
            ],
            [
                {"author_id": "OL1A", "kind": "author", "name": "Herman Melville", "personal_name": "Melville"},
                {"author_id": "OL2A", "kind": "redirect", "redirected_to": "OL1A"},
            ],
        ),
        (
            "ol_redirects",
            [record("OL5W", "redirect", location="/works/OL1W"), record("OL6M", "redirect", location="/books/OL1M")],
            [{"merged_id": "OL5W", "redirected_to": "OL1W"}, {"merged_id": "OL6M", "redirected_to": "OL1M"}],
        ),
        (
            "ol_reading_log",
            ["/works/OL1W\t/books/OL2M\tAlready Read\t2021-01-02", "/works/OL1W\t\tWant to Read\t2021-01-03"],
            [
                {"work_id": "OL1W", "edition_id": "OL2M", "shelf": "Already Read", "added": "2021-01-02"},
                {"work_id": "OL1W", "shelf": "Want to Read", "added": "2021-01-03"},
            ],
        ),
        (
            "ol_ratings",
            ["/works/OL1W\t\t5\t2021-01-02", "/works/OL1W\t\t5\t2021-01-02", "/works/OL1W\tNone\t9\tnever"],
            [
                {"work_id": "OL1W", "rating": 5, "added": "2021-01-02"},
                {"work_id": "OL1W", "rating": 5, "added": "2021-01-02"},
                {"work_id": "OL1W", "nulled": "edition_id rating added"},
            ],
        ),
    ],
)
def test_the_other_tables_are_typed(tmp_path, table, lines, expected):
    raw = write_dump(tmp_path / "raw", **{table.removeprefix("ol_"): lines})
    _, rows = typed(raw, tmp_path / "out", table)
    name = f"ol_dump_{table.removeprefix('ol_').replace('_', '-')}_{DATE}.txt.gz"
    assert [{k: str(v) if k == "added" else v for k, v in said(row).items()} for row in rows] == [
        {"file": name, "line": line, **row} for line, row in enumerate(expected, 1)
    ]


DESCRIPTIONS = [
    (WHALE, WHALE),
    ({"type": "/type/text", "value": WHALE}, WHALE),
    ([WHALE], WHALE),
    ([{"type": "/type/text", "value": "One."}, "Two."], "One. Two."),
    (None, None),
    ("", None),
    ([], None),
    ({}, None),
    (1984, "1984"),
    ({"type": "/type/text", "value": None}, None),
    (True, None),
    ({"en": "A whale."}, None),
    ("{not an object}", "{not an object}"),
    (f"{WHALE}\r\n\r\n([source][1])\r\n\r\n  [1]: https://example.org/x", WHALE),
    (f"{WHALE}\n\n----------\nAlso contained in:\n\n - [Works](https://openlibrary.org/works/OL2W)", WHALE),
    (f"{WHALE} ([Source](https://example.org))", WHALE),
    ("See [the film](https://example.org) first.", "See the film first."),
    ("Sea -- sky -- whale.", "Sea -- sky -- whale."),
]


def test_a_description_of_any_shape_is_read(tmp_path):
    lines = [record(f"OL{n}W", title="T", description=given) for n, (given, _) in enumerate(DESCRIPTIONS)]
    facts, rows = typed(write_dump(tmp_path / "raw", works=lines), tmp_path / "out", "ol_works")
    assert [row["description"] for row in rows] == [expected for _, expected in DESCRIPTIONS]
    lost = [given for row, (given, _) in zip(rows, DESCRIPTIONS, strict=True) if row["nulled"]]
    assert lost == [{"type": "/type/text", "value": None}, True, {"en": "A whale."}]
    assert facts["nulled"] == {"description": 3}


AUTHORS = [
    (by("OL1A", "OL2A"), ["OL1A", "OL2A"]),
    ([{"author": {"key": "/a/OL1A"}}], ["OL1A"]),
    (
        [{"author": "/authors/OL1A"}, {"key": "/authors/OL2A"}, "/authors/OL3A", "OL4A"],
        ["OL1A", "OL2A", "OL3A", "OL4A"],
    ),
    ({"author": {"key": "/authors/OL1A"}}, ["OL1A"]),
    ("/authors/OL1A", ["OL1A"]),
    (by("OL1A", "OL1A"), ["OL1A"]),
    ([{"type": "/type/author_role"}, None, {"author": None}, 5], []),
    ([{"author": {"key": "/works/OL1W"}}], []),
    (None, []),
    ([], []),
]


def test_author_keys_of_any_shape_are_read(tmp_path):
    lines = [record(f"OL{n}W", title="T", authors=given) for n, (given, _) in enumerate(AUTHORS)]
    _, rows = typed(write_dump(tmp_path / "raw", works=lines), tmp_path / "out", "ol_works")
    assert [row["author_ids"] for row in rows] == [expected for _, expected in AUTHORS]


def test_an_author_field_without_a_key_is_counted_as_lost(tmp_path):
    lines = [record("OL1W", title="T", authors=[{"author": None}]), record("OL2W", title="T", authors=[])]
    facts, _ = typed(write_dump(tmp_path / "raw", works=lines), tmp_path / "out", "ol_works")
    assert facts["nulled"] == {"author_ids": 1}


def test_a_short_value_is_not_counted_as_lost(tmp_path):
    pages = {"OL1M": 8, "OL2M": 96, "OL3M": "96 p.", "OL4M": 0}
    lines = [record(key, title="T", number_of_pages=number) for key, number in pages.items()]
    facts, rows = typed(write_dump(tmp_path / "raw", editions=lines), tmp_path / "out", "ol_editions")
    assert [row["num_pages"] for row in rows] == [8, 96, None, None]
    assert [row["nulled"] for row in rows] == [None, None, "num_pages", "num_pages"]
    assert facts["nulled"] == {"num_pages": 2}


def test_each_faulty_line_is_a_reject_under_its_reason(tmp_path):
    good = [record(f"OL{n}W", title="T") for n in range(1, 4)]
    columns = good[0].split("\t")
    bad = {
        "missing_column": "\t".join(columns[:4]),
        "not_a_record": columns[4],
        "not_an_object": "\t".join([*columns[:4], "[]"]),
        "truncated_line": good[0][:-10],
        "malformed_json": "\t".join([*columns[:4], '{"title": }']),
        "invalid_work_id": record("OL1W", title="T").replace("\t/works/OL1W\t", "\t/books/OL1M\t"),
        "missing_work_id": record("OL1W", title="T").replace("\t/works/OL1W\t", "\t\t"),
        "duplicate_work_id": record("OL2W", title="again"),
    }
    lines = [good[0], *bad.values(), *good[1:]]
    # The duplicate comes before the row that it repeats, which is the one that goes.
    raw = write_dump(tmp_path / "raw", works=lines)
    facts, rows = typed(raw, tmp_path / "out", "ol_works")
    assert facts["rejected"] == dict.fromkeys(sorted(bad), 1)
    assert [(row["line"], row["work_id"], row["title"]) for row in rows] == [
        (1, "OL1W", "T"),
        (9, "OL2W", "again"),
        (11, "OL3W", "T"),
    ]
    rejects = rows_of(tmp_path / "out" / "ol_works_rejects.parquet")
    assert {row["reason"]: row["line"] for row in rejects} == {
        **{reason: line for line, reason in enumerate(bad, 2) if reason != "duplicate_work_id"},
        "duplicate_work_id": 10,
    }
    assert {row["raw"] for row in rejects if row["reason"] != "duplicate_work_id"} == {
        text for reason, text in bad.items() if reason != "duplicate_work_id"
    }


def test_a_line_that_is_no_record_changes_nothing_about_the_others(tmp_path):
    """A block without one is read without a way through Python; both ways read the same."""
    lines = [
        record("OL1W", title="Plain", authors=by("OL1A", "OL2A"), subjects=["Whales", " Sea "], covers=[-1, 7]),
        record("OL2W", title={"type": "/type/text", "value": "An object"}, description=["one", {"value": "two"}]),
        record("OL3W", title=["a", "list"], authors=["/a/OL1A", {"key": "/authors/OL1A"}], first_publish_date=1960),
        record("OL4W", title="[1984]", subtitle='{"not": "an object', first_publish_date="[1894?]", covers=[5]),
        record("OL5W", title=True, subtitle="Größe \u00e9", authors=[{"author": {}}], subjects="one"),
        record("OL6W", "redirect", location="/works/OL1W"),
    ]
    facts, rows = typed(write_dump(tmp_path / "sound", works=lines), tmp_path / "out" / "sound", "ol_works")
    faulty = write_dump(tmp_path / "faulty", works=[*lines, "no record"])
    other_facts, other_rows = typed(faulty, tmp_path / "out" / "faulty", "ol_works")
    assert rows == other_rows
    assert (facts["nulled"], facts["rejected"]) == (other_facts["nulled"], {})
    assert facts["nulled"] == {"author_ids": 1, "title": 1}
    assert other_facts["rejected"] == {"not_a_record": 1}
    assert [row["title"] for row in rows] == ["Plain", "An object", "a list", "[1984]", None, None]


def test_bytes_that_are_no_text_reject_their_line_alone(tmp_path):
    raw = write_dump(tmp_path / "raw")
    lines = [record(key, title=f"Title of {key}").encode() for key in ("OL1M", "OL2M", "OL3M")]
    bad = lines[1].replace(b"Title", b"Ti\xff\xfetle")
    with gzip.open(raw / EDITIONS, "wb") as file:
        file.writelines(line + b"\n" for line in (lines[0], bad, lines[2]))
    facts, rows = typed(raw, tmp_path / "out", "ol_editions")
    assert [(row["line"], row["title"]) for row in rows] == [(1, "Title of OL1M"), (3, "Title of OL3M")]
    assert facts["rejected"] == {"invalid_utf8": 1}


def test_a_duplicate_is_found_in_its_own_block_and_in_another(tmp_path, monkeypatch):
    monkeypatch.setattr("viberary_pipeline.sources.ingest.blocks", partial(blocks, block_bytes=1))
    monkeypatch.setattr("viberary_pipeline.sources.reader.PartReader.chunks", chunks_of_lines(3))
    keys = ["OL1W", "OL1W", "OL2W", "OL3W", "OL1W", "OL3W", "OL4W", "OL2W", "OL5W"]
    raw = write_dump(tmp_path / "raw", works=[record(key, title=f"T{n}") for n, key in enumerate(keys)])
    facts, rows = typed(raw, tmp_path / "out", "ol_works")
    assert [(row["line"], row["title"]) for row in rows] == [(1, "T0"), (3, "T2"), (4, "T3"), (7, "T6"), (9, "T8")]
    assert {name: facts[name] for name in ("lines", "rows", "rejected")} == {
        "lines": 9,
        "rows": 5,
        "rejected": {"duplicate_work_id": 4},
    }
    rejects = rows_of(tmp_path / "out" / "ol_works_rejects.parquet")
    assert [(row["line"], row["record_id"]) for row in rejects] == [
        (2, "OL1W"),
        (5, "OL1W"),
        (6, "OL3W"),
        (8, "OL2W"),
    ]
    assert [path.suffix for path in (tmp_path / "out" / "ol_works.parquet").iterdir()] == [".parquet"] * 3


def chunks_of_lines(lines: int) -> Callable[[PartReader], Iterator[bytes]]:
    """What reads a file in chunks of so many lines, each of which is a block."""

    def chunks(reader: PartReader) -> Iterator[bytes]:
        read = b""
        while more := reader._read(1 << 20):
            read += more
        whole = read.splitlines(keepends=True)
        for first in range(0, len(whole), lines):
            yield b"".join(whole[first : first + lines])

    return chunks


@pytest.mark.parametrize("depth", [100, 5_000])
@pytest.mark.parametrize(
    ("table", "key", "name"), [("works", "OL1W", "title"), ("editions", "OL1M", "title"), ("authors", "OL1A", "name")]
)
def test_a_list_in_lists_however_deep_costs_its_field_alone(tmp_path, table, key, name, depth):
    fields = sorted({*TABLES[f"ol_{table}"].fields} - {"dump_type", "dump_key", name})
    deep = "".join(f', "{field}": {"[" * depth}"x"{"]" * depth}' for field in fields)
    lines = [record(key, **{name: "Deep"})[:-1] + deep + "}", record(key.replace("1", "2"), **{name: "Flat"})]
    facts, rows = typed(write_dump(tmp_path / "raw", **{table: lines}), tmp_path / "out", f"ol_{table}")
    assert [row[name] for row in rows] == ["Deep", "Flat"]
    assert facts["rejected"] == {}
    assert {*facts["nulled"].values()} == {1}


def test_tabs_in_the_json_are_no_columns(tmp_path):
    line = record("OL1W", title="Moby Dick").replace('"Moby Dick"', '\t"Moby\tDick"\t')
    _, rows = typed(
        write_dump(tmp_path / "raw", works=[line, f"{line.replace('OL1W', 'OL2W')}\r"]), tmp_path / "out", "ol_works"
    )
    assert [row["title"] for row in rows] == ["Moby Dick", "Moby Dick"]


def test_quotes_and_backslashes_in_a_column_are_text(tmp_path):
    raw = write_dump(tmp_path / "raw", reading_log=['/works/OL1W\t\tWant "to" \\ Read\t2021-01-02'])
    _, rows = typed(raw, tmp_path / "out", "ol_reading_log")
    assert rows[0]["shelf"] == 'Want "to" \\ Read'


@pytest.mark.parametrize(
    ("date", "year", "uncertain"),
    [
        ("1960", 1960, False),
        ("June 1987", 1987, False),
        ("1987-06-01", 1987, False),
        ("01/06/1987", 1987, False),
        ("June 1, 1987", 1987, False),
        ("c1960", 1960, False),
        ("©1960", 1960, False),
        ("1960, c1959", 1960, False),
        ("c. 1900", 1900, True),
        ("ca. 1900", 1900, True),
        ("ca 1900", 1900, True),
        ("circa 1900", 1900, True),
        ("[c. 1900]", 1900, True),
        ("about 1900", 1900, True),
        ("before 1900", 1900, True),
        ("1900?", 1900, True),
        ("[1894?]", 1894, True),
        ("[1894]", 1894, False),
        ("1900 or 1901", 1900, True),
        ("1370 [1991 or 1992]", 1991, True),
        ("1960 [i.e. 1961]", 1961, False),
        ("1894-1896", 1894, True),
        ("1894-96", 1894, True),
        ("1987-06", 1987, False),
        ("1960s", 1960, True),
        ("189-", 1890, True),
        ("189-?", 1890, True),
        ("[198-?]", 1980, True),
        ("198u", 1980, True),
        ("720 B.C.", -720, True),
        ("868", 868, False),
        ("١٩٨٤", 1984, False),
        ("昭和35 [1960]", 1960, False),
        ("2015年", 2015, False),
        ("二〇一五年", 2015, False),
        ("n.d.", None, None),
        ("[n.d.]", None, None),
        ("s.d.", None, None),
        ("undated", None, None),
        ("18--", None, None),
        ("19th century", None, None),
        ("9999", None, None),
        ("0000", None, None),
        ("19601", None, None),
        ("06/87", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_the_year_of_a_date_in_words(duck, date, year, uncertain):
    found = duck.execute("SELECT year_in(d), year_is_uncertain(d) FROM (SELECT $date::VARCHAR AS d)", {"date": date})
    assert found.fetchone() == (year, uncertain)


def names_of(duck: duckdb.DuckDBPyConnection, *subjects: str) -> dict[str, tuple[str, list[str]]]:
    """{subject: (kind, names)} by the rules of subjects.toml."""
    set_variables(duck, subject_rules())
    duck.execute(
        "CREATE OR REPLACE TEMP TABLE subjects_used AS SELECT unnest($used) AS written", {"used": list(subjects)}
    )
    make_spellings(duck)
    duck.execute("DROP TABLE IF EXISTS subject_names")
    duck.execute(sql("sources/openlibrary", "subject_names"))
    found = duck.execute('SELECT written, kind, list_sort(list("name")) FROM subject_names GROUP BY ALL').fetchall()
    return {written: (kind, [name for name in names if name is not None]) for written, kind, names in found}


def test_subjects_become_names_by_the_rules(duck):
    expected = {
        # Marks of programs.
        "Accessible book": ("machine", []),
        "Protected DAISY": ("machine", []),
        "In library": ("machine", []),
        "Reading Level-Grade 9": ("machine", []),
        "nyt:combined-print-and-e-book-fiction=2012-01-01": ("machine", []),
        "award:hugo_award=1966": ("machine", []),
        "Large type books": ("machine", []),
        "813.54": ("machine", []),
        "PS3568.O855": ("machine", []),
        "collectionID:ABC": ("machine", []),
        # Headings.
        "Fiction, science fiction, general": ("heading", ["science fiction"]),
        "FICTION / Romance / Historical": ("heading", ["historical fiction", "romance"]),
        "Whaling -- Fiction": ("heading", ["whaling"]),
        "Whales, fiction": ("heading", ["whales"]),
        "Orphans--Fiction.": ("heading", ["orphans"]),
        "Juvenile Fiction / Animals / Dogs": ("heading", ["animals", "dogs"]),
        "Fiction, general": ("silent", []),
        "Fiction": ("silent", []),
        "World War, 1939-1945": ("plain", ["world war two"]),
        "World War, 1939-1945 -- Fiction": ("heading", ["world war two"]),
        "Austen, Jane, 1775-1817": ("silent", []),
        "Holmes, Sherlock (Fictitious character), fiction": ("heading", ["sherlock holmes"]),
        "Novelists, American": ("plain", ["american novelists"]),
        "London (England)": ("plain", ["london"]),
        "Love stories": ("plain", ["romance"]),
        "Detective and mystery stories, English": ("plain", ["mystery"]),
        # Other languages.
        "Ciencia ficción": ("plain", ["science fiction"]),
        "Roman policier": ("plain", ["mystery"]),
        "Liebesroman": ("plain", ["romance"]),
        "Научная фантастика": ("plain", ["science fiction"]),
        "推理小説": ("plain", ["mystery"]),
        "Novela histórica": ("plain", ["historical fiction"]),
        "Coches de caballos": ("plain", ["coches de caballos"]),
        # No names.
        "A very long sentence that somebody has put where a subject belongs": ("silent", []),
        "1984": ("machine", []),
        "...": ("machine", []),
    }
    assert names_of(duck, *expected) == expected


def test_books_works_and_authors_are_made_of_a_dump(tmp_path):
    works = [
        record(
            "OL1W",
            title="Moby Dick",
            subtitle="or, The Whale",
            description=WHALE,
            authors=by("OL3A"),
            subjects=["Whaling -- Fiction", "Sea stories"],
            subject_places=["Nantucket (Mass.)"],
            first_publish_date="1851",
            covers=[-1, 12],
        )
    ]
    editions = [
        record(
            "OL1M",
            works=of("OL1W"),
            title="Moby Dick",
            subtitle="The Whale",
            languages=[{"key": "/languages/eng"}],
            isbn_10=["0142437247"],
            isbn_13=["9780142437247", "9780142437256"],
            contributors=[{"name": "Rockwell Kent", "role": "Illustrator"}],
            publishers=["Penguin"],
            physical_format="Ebook",
            publish_date="December 31, 2002",
            number_of_pages=720,
            subjects=["Sea stories"],
            covers=[34],
            identifiers={"amazon": ["B000FC1PJI"], "goodreads": ["153747"]},
        ),
        record("OL2M", works=of("OL2W"), title="Der Wal", languages=[{"key": "/languages/ger"}]),
        record("OL3M", title="An edition alone", description="The lord and the lady of that house would not speak."),
    ]
    authors = [record("OL1A", name="Herman Melville"), record("OL3A", "redirect", location="/authors/OL1A")]
    facts, found = joined(
        write_dump(
            tmp_path / "raw",
            works=works,
            editions=editions,
            authors=authors,
            redirects=[record("OL2W", "redirect", location="/works/OL1W")],
            reading_log=[*shelved("OL1W", 3, "OL1M"), *shelved("OL2W", 2, "OL2M"), *shelved("OL1W", 4)],
            ratings=[*shelved("OL1W", 2, "OL1M", "5"), *shelved("OL1W", 1, "", "2")],
        ),
        tmp_path / "out",
    )
    nothing = {
        **dict.fromkeys(("kindle_asin", "publication_month", "publication_day", "nulled")),
        "series": [],
        "similar_books": [],
    }
    of_the_work = {
        "work_id": "OL1W",
        "description": WHALE,
        "link": "https://openlibrary.org/works/OL1W",
    }
    assert found["books"] == [
        {
            "file": EDITIONS,
            "line": 1,
            "book_id": "OL1M",
            "title": "Moby Dick: The Whale",
            "title_without_series": "Moby Dick",
            "language_code": "eng",
            "language": "en",
            "language_source": "given",
            "isbn": "0142437247",
            "isbn13": "9780142437247",
            "other_isbns": ["9780142437256"],
            "goodreads_ids": ["153747"],
            "authors": [
                {"author_id": "OL1A", "role": ""},
                {"author_id": "contributor Rockwell Kent", "role": "Illustrator"},
            ],
            "asin": "B000FC1PJI",
            "format": "Ebook",
            "publisher": "Penguin",
            "is_ebook": True,
            "publication_year": 2002,
            "num_pages": 720,
            "average_rating": 4.0,
            "ratings_count": 3,
            "text_reviews_count": 7,
            "image_url": "https://covers.openlibrary.org/b/id/34-M.jpg?default=false",
            "popular_shelves": ["sea stories", "whaling", "nantucket"],
            "shelf_counts": [7, 6, 2],
            **of_the_work,
            **nothing,
        },
        {
            "file": EDITIONS,
            "line": 2,
            "book_id": "OL2M",
            "title": "Der Wal",
            "title_without_series": "Der Wal",
            "language_code": "ger",
            "language": "de",
            "language_source": "given",
            **dict.fromkeys(
                ("isbn", "isbn13", "asin", "format", "publisher", "is_ebook", "publication_year", "num_pages")
            ),
            "other_isbns": [],
            "goodreads_ids": [],
            "authors": [{"author_id": "OL1A", "role": ""}],
            "average_rating": None,
            "ratings_count": 0,
            "text_reviews_count": 2,
            "image_url": "https://covers.openlibrary.org/b/id/12-M.jpg?default=false",
            "popular_shelves": [],
            "shelf_counts": [],
            **of_the_work,
            **nothing,
        },
    ]
    assert found["works"] == [
        {
            "file": WORKS,
            "line": 1,
            "work_id": "OL1W",
            "best_book_id": "OL1M",
            "original_title": "Moby Dick",
            "original_publication_year": 1851,
            "year_is_uncertain": False,
            "books_count": 2,
            "ratings_count": 3,
            "reviews_count": 9,
            "text_reviews_count": None,
            "nulled": None,
        }
    ]
    assert [said(row) for row in found["authors"]] == [
        {"file": f"ol_dump_authors_{DATE}.txt.gz", "line": 1, "author_id": "OL1A", "name": "Herman Melville"},
        {"file": EDITIONS, "line": 1, "author_id": "contributor Rockwell Kent", "name": "Rockwell Kent"},
    ]
    assert facts == {
        "rows": {"books": 2, "authors": 2, "works": 1},
        "works": 2,
        "works_left_out": {"few_readers": 1},
        "redirects": 2,
        "redirects_in_a_circle": 0,
        "deleted": {},
        "edition_links": {"given": 1, "moved": 1, "none": 1},
        "subjects": {"heading": 1, "plain": 2},
        "described": 1,
    }


def everybody(*works: str) -> list[str]:
    return [line for work in works for line in shelved(work, 1)]


def test_redirects_are_followed_to_their_end_and_circles_end_nowhere(tmp_path):
    chain = [record(f"OL{n}W", "redirect", location=f"/works/OL{n + 1}W") for n in range(10, 40)]
    circle = [record(f"OL{a}W", "redirect", location=f"/works/OL{b}W") for a, b in ((1, 2), (2, 3), (3, 1), (4, 4))]
    lost = [record("OL5W", "redirect"), record("OL6W", "redirect", location="/works/OL600W")]
    editions = [
        record(f"OL{n}M", works=of(f"OL{work}W"), title=f"T{n}", description=WHALE)
        for n, work in enumerate((10, 39, 40, 1, 4, 5, 6, 7), 1)
    ]
    raw = write_dump(
        tmp_path / "raw",
        works=[record("OL40W", title="End"), record("OL7W", "delete"), *chain[:15]],
        editions=editions,
        redirects=[*circle, *lost, *chain[15:]],
    )
    facts, found = joined(raw, tmp_path / "out")
    assert {row["book_id"]: row["work_id"] for row in found["books"]} == {
        **dict.fromkeys(("OL1M", "OL2M", "OL3M"), "OL40W"),
        **dict.fromkeys(("OL4M", "OL5M", "OL6M", "OL7M", "OL8M")),
    }
    assert (facts["redirects"], facts["redirects_in_a_circle"]) == (35, 4)
    assert facts["edition_links"] == {"given": 1, "lost": 5, "moved": 2}
    assert facts["deleted"] == {"ol_works": 1}


def test_a_merged_edition_or_author_is_no_book_and_no_author(tmp_path):
    raw = write_dump(
        tmp_path / "raw",
        works=[record("OL1W", title="T", description=WHALE, authors=by("OL1A", "OL2A", "OL8A", "OL9A"))],
        editions=[
            record("OL1M", works=of("OL1W"), title="T"),
            record("OL2M", "redirect", location="/books/OL1M"),
            record("OL3M", "delete"),
        ],
        authors=[
            record("OL1A", "redirect", location="/authors/OL2A"),
            record("OL2A", name="Two"),
            record("OL9A", "delete"),
        ],
        reading_log=[*shelved("OL1W", 2, "OL2M")],
    )
    facts, found = joined(raw, tmp_path / "out")
    assert [(row["book_id"], row["text_reviews_count"]) for row in found["books"]] == [("OL1M", 2)]
    # Unknown authors are counted where documents look for them.
    assert [link["author_id"] for link in found["books"][0]["authors"]] == ["OL2A", "OL8A", "OL9A"]
    assert [(row["author_id"], row["name"]) for row in found["authors"]] == [("OL2A", "Two")]
    assert facts["deleted"] == {"ol_editions": 1, "ol_authors": 1}


def test_an_edition_without_a_work_and_a_work_without_an_edition_stand_for_themselves(tmp_path):
    raw = write_dump(
        tmp_path / "raw",
        works=[record("OL1W", title="Alone", description=WHALE)],
        editions=[record("OL1M", title="Orphan", description="The lord and the lady of that house would not speak.")],
    )
    _, found = joined(raw, tmp_path / "out")
    assert [(row["book_id"], row["work_id"], row["title"], row["link"]) for row in found["books"]] == [
        ("OL1M", None, "Orphan", "https://openlibrary.org/books/OL1M"),
        ("OL1W", "OL1W", "Alone", "https://openlibrary.org/works/OL1W"),
    ]


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ({}, ["OL1W", "OL2W", "OL3W", "OL5W"]),
        ({"least_subjects": 2}, ["OL1W", "OL2W", "OL3W", "OL4W", "OL5W"]),
        ({"least_subjects": 0}, ["OL1W", "OL2W", "OL3W", "OL4W", "OL5W", "OL6W"]),
        ({"least_readers": 2}, ["OL2W"]),
        ({"least_readers": 0}, ["OL1W", "OL2W", "OL3W", "OL5W", "OL7W"]),
    ],
)
def test_works_that_are_worth_indexing(tmp_path, rules, kept):
    works = [
        record("OL1W", title="Described", description=WHALE),
        record("OL2W", title="First sentence", first_sentence="Call me Ishmael."),
        record("OL3W", title="Three subjects", subjects=["Whaling", "Ships", "Sea stories"]),
        record(
            "OL4W", title="Two", subjects=["Whaling", "Ships", "Fiction", "In library"], subject_places=["Nantucket"]
        ),
        record("OL5W", title="Its edition is described"),
        record("OL6W", title="Nothing"),
        record("OL7W", title="Nobody reads it", description=WHALE),
        record("OL8W", description=WHALE),
    ]
    raw = write_dump(
        tmp_path / "raw",
        works=works,
        editions=[record("OL5M", works=of("OL5W"), description=WHALE)],
        reading_log=everybody("OL1W", "OL2W", "OL2W", "OL3W", "OL4W", "OL5W", "OL6W", "OL8W"),
    )
    facts, found = joined(raw, tmp_path / "out", **rules)
    assert [row["work_id"] for row in found["works"]] == kept
    assert sum(facts["works_left_out"].values()) + len(kept) == facts["works"] == len(works)


def test_without_reading_log_and_ratings_nobody_is_asked_for_readers(tmp_path):
    raw = write_dump(tmp_path / "raw", works=[record("OL1W", title="T", description=WHALE)])
    facts, found = joined(raw, tmp_path / "out", least_readers=5)
    assert [row["work_id"] for row in found["works"]] == ["OL1W"]
    assert facts["works_left_out"] == {}


def test_a_dump_without_a_work_worth_indexing_is_refused(tmp_path):
    raw = write_dump(tmp_path / "raw", works=[record("OL1W", title="T")])
    with pytest.raises(RawDataError) as error:
        joined(raw, tmp_path / "out")
    assert error.value.what == "No work of Open Library is worth indexing"
    assert error.value.found == "1 works; left out: {'without_text': 1}"


def test_forty_thousand_subjects_become_a_hundred_shelves(tmp_path):
    letters = "abcdefghij"
    subjects = [f"on {''.join(letters[int(d)] for d in f'{n:05}')}" for n in range(40_000)]
    raw = write_dump(tmp_path / "raw", works=[record("OL1W", title="T", subjects=subjects)])
    _, found = joined(raw, tmp_path / "out")
    assert found["books"][0]["popular_shelves"] == subjects[:100]


def test_a_language_is_that_of_the_record_and_else_that_of_its_own_words(tmp_path):
    french = "Une histoire d'amour et de vengeance qui se passe dans un petit village au bord de la mer."
    english = "The lord and the lady of that house would not speak to each other, and that was the end."
    editions = [
        record("OL1M", works=of("OL1W"), title="Given", languages=[{"key": "/languages/eng"}]),
        record("OL2M", works=of("OL1W"), title="Le village", description=french),
        record("OL3M", works=of("OL1W"), title="Xyz"),
        record("OL4M", works=of("OL2W"), title="Xyz"),
        record("OL6M", works=of("OL1W"), title="t"),
        record("OL5M", works=of("OL1W"), title="Xyz", languages=[{"key": "/languages/und"}]),
    ]
    works = [record("OL1W", title="T", description=english), record("OL2W", title="T", description=english)]
    _, found = joined(write_dump(tmp_path / "raw", works=works, editions=editions), tmp_path / "out")
    assert {row["book_id"]: (row["language"], row["language_source"]) for row in found["books"]} == {
        "OL1M": ("en", "given"),
        "OL2M": ("fr", "detected"),
        # A translation has the work's description, too: it says nothing of this edition's language.
        "OL3M": (None, None),
        "OL4M": ("en", "detected"),
        "OL5M": (None, None),
        "OL6M": ("en", "detected"),
    }


def names(*tables: str, date: str = DATE) -> list[str]:
    return [f"ol_dump_{table}_{date}.txt.gz" for table in tables]


ALL = ("works", "editions", "authors")


@pytest.mark.parametrize(
    ("present", "read", "notes"),
    [
        (names(*ALL), names(*ALL), 0),
        (names(*ALL, date="latest"), names(*ALL, date="latest"), 0),
        (names(*ALL, "ratings", "reading-log", "redirects"), names(*ALL, "ratings", "reading-log", "redirects"), 0),
        # The newest that is whole.
        ([*names(*ALL, date="2026-09-30"), *names(*ALL)], names(*ALL), 1),
        ([*names(*ALL), *names("works", date="2026-11-30")], names(*ALL), 1),
        ([*names(*ALL), "ol_dump_works_2026-10-31.txt", "ol_dump_2026-10-31.txt.gz", "notes.txt"], names(*ALL), 1),
        # All records in one file: where the files of single types are not whole.
        (["ol_dump_2026-10-31.txt.gz", *names("ratings")], ["ol_dump_2026-10-31.txt.gz"] * 3 + names("ratings"), 0),
        (["ol_dump_latest.txt.gz", *names("works", "redirects", date="latest")], ["ol_dump_latest.txt.gz"] * 3, 1),
        (["ol_dump_works.txt", "ol_dump_editions.txt.gz", "ol_dump_authors.txt"],) * 2 + (0,),
    ],
)
def test_the_files_of_one_dump_are_read(tmp_path, present, read, notes):
    for name in present:
        (tmp_path / name).write_bytes(b"\x1f\x8b" if name.endswith(".gz") else b"x")
    found = [part for table in TABLES if (part := find(table, str(tmp_path)))]
    assert sorted(part.name for raw in found for part in raw.parts) == sorted(read)
    assert sum(len(raw.notes) for raw in found) == notes
    assert source_at(str(tmp_path)) == "openlibrary"


def test_one_file_with_the_records_of_all_types_gives_the_same_tables(tmp_path):
    lines = {
        "works": [
            record("OL1W", title="Moby Dick", description=WHALE),
            record("OL2W", "redirect", location="/works/OL1W"),
        ],
        "editions": [record("OL1M", works=of("OL2W"), title="Moby Dick"), record("OL2M", "delete")],
        "authors": [record("OL1A", name="Herman Melville")],
    }
    others = [
        '/type/list\t/people/ann/lists/OL1L\t1\t2026-10-01T10:00:00\t{"name": "Whales"}',
        '/type/language\t/languages/eng\t1\t2026-10-01T10:00:00\t{"name": "English"}',
        '/type/redirect\t/subjects/whale\t1\t2026-10-01T10:00:00\t{"location": "/subjects/whales"}',
    ]
    apart, together = write_dump(tmp_path / "apart", **lines), tmp_path / "together"
    together.mkdir()
    mixed = [line for some in (others[:1], *lines.values(), others[1:], ["no record"]) for line in some]
    (together / "ol_dump_2026-10-31.txt.gz").write_bytes(gzip.compress("\n".join(mixed).encode()))
    for table in ("ol_works", "ol_editions", "ol_authors"):
        facts, rows = typed(together, tmp_path / "out" / "together" / table, table)
        assert facts["rejected"] == ({"not_a_record": 1} if table == "ol_works" else {})
        _, expected = typed(apart, tmp_path / "out" / "apart" / table, table)
        places = [(row.pop("file"), row.pop("line")) for row in rows]
        assert [mixed[line - 1].split("\t")[1].rpartition("/")[2] for _, line in places] == [
            row[f"{table[3:-1]}_id"] for row in rows
        ]
        assert {file for file, _ in places} == {"ol_dump_2026-10-31.txt.gz"}
        assert rows == [
            {name: value for name, value in row.items() if name not in ("file", "line")} for row in expected
        ]


MIXED = [*names("works", "authors", date="2026-09-30"), *names("editions")]


@pytest.mark.parametrize(
    ("present", "what"),
    [
        (MIXED, "The files of Open Library are of different dates"),
        ([*names(*ALL), *names("reading-log", date="2026-09-30")], "The files of Open Library are of different dates"),
        (names("works", "editions"), "The raw file of ol_authors is missing"),
        ([*names(*ALL), "goodreads_books.json.gz"], "One folder holds the raw files of two sources"),
    ],
)
def test_what_is_no_dump_of_one_date_is_told(tmp_path, present, what):
    for name in present:
        (tmp_path / name).write_bytes(b"\x1f\x8b")
    with pytest.raises(RawDataError) as error:
        [find(table, str(tmp_path)) for table in TABLES]
    assert error.value.what == what


def test_files_of_different_dates_are_read_where_that_is_meant_and_one_file_names_a_date(tmp_path):
    for name in [*MIXED, *names("works")]:
        (tmp_path / name).write_bytes(b"\x1f\x8b")
    found = {table: find(table, str(tmp_path), mixed_dates=True) for table in ("ol_works", "ol_editions", "ol_authors")}
    assert [raw.parts[0].name for raw in found.values()] == [*names("works", "editions"), MIXED[1]]
    (tmp_path / "goodreads_books.json.gz").write_bytes(b"\x1f\x8b")
    for name in [*names("editions", date="2026-09-30"), *names("authors")]:
        (tmp_path / name).write_bytes(b"\x1f\x8b")
    older = find("ol_editions", f"{tmp_path}/{MIXED[0]}")
    assert [part.name for part in older.parts] == names("editions", date="2026-09-30")
    assert find("ol_works", f"{tmp_path}/goodreads_books.json.gz") is None
    assert source_at(f"{tmp_path}/goodreads_books.json.gz") == "ucsd"


def test_every_table_has_the_columns_of_its_contract(tmp_path):
    joined(write_dump(tmp_path / "raw", works=[record("OL1W", title="T", description=WHALE)]), tmp_path / "out")
    folders = {table.name: tmp_path / "out" / table.name / f"{table.name}.parquet" for table in OPENLIBRARY}
    for name, path in {**folders, **{name: tmp_path / "out" / "joined" / f"{name}.parquet" for name in MADE}}.items():
        promised = json.loads((CONTRACTS / f"{name}.json").read_text(encoding="utf-8"))["columns"]
        found = duckdb.execute("DESCRIBE FROM read_parquet($path)", {"path": parquet_glob(path)}).fetchall()
        assert [(column, kind) for column, kind, *_ in found] == [(one["name"], one["type"]) for one in promised], name
        never = [one["name"] for one in promised if not one["nullable"]]
        assert all(row[column] is not None for row in rows_of(path) for column in never), name
