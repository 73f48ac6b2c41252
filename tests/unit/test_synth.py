"""The synthetic catalogue: the shape of every record, the shares of UCSD's files, and the same bytes every time."""

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from statistics import mean, median
from typing import Any

import duckdb
import pytest

from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.errors import SettingsError
from viberary_pipeline.synth.plan import Plan
from viberary_pipeline.synth.vocabulary import load_vocabulary
from viberary_pipeline.synth.write import TABLES, Written, write_synthetic

BOOKS, REVIEWS = 20_000, 60_000

# The fields of UCSD's files in their order. A list is a list, int an integer, a dict a dict, all else a string.
FIELDS = {
    "books": "isbn text_reviews_count series country_code language_code popular_shelves asin is_ebook average_rating "
    "kindle_asin similar_books description format link authors publisher num_pages publication_day isbn13 "
    "publication_month edition_information publication_year url image_url book_id ratings_count work_id "
    "title title_without_series",
    "authors": "average_rating author_id text_reviews_count name ratings_count",
    "works": "books_count reviews_count original_publication_month default_description_language_code "
    "text_reviews_count best_book_id original_publication_year original_title rating_dist "
    "default_chaptering_book_id original_publication_day original_language_id ratings_count media_type ratings_sum "
    "work_id",
    "genres": "book_id genres",
    "series": "numbered note description title series_works_count series_id primary_work_count",
    "reviews": "user_id book_id review_id rating review_text date_added date_updated read_at started_at n_votes "
    "n_comments",
}
OTHER_TYPES = {
    "books": {"series": list, "popular_shelves": list, "similar_books": list, "authors": list},
    "genres": {"genres": dict},
    "reviews": {"rating": int, "n_votes": int, "n_comments": int},
}
DATE = "%a %b %d %H:%M:%S %z %Y"

Tables = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Written]:
    return write_synthetic(tmp_path_factory.mktemp("synth"), books=BOOKS, reviews=REVIEWS)


@pytest.fixture(scope="module")
def tables(written: dict[str, Written]) -> Tables:
    """Every record of every file; gzip checks the checksums."""
    return {
        name: [json.loads(line) for line in gzip.decompress(file.path.read_bytes()).splitlines()]
        for name, file in written.items()
    }


def digests(written: dict[str, Written]) -> dict[str, str]:
    return {name: hashlib.sha256(file.path.read_bytes()).hexdigest() for name, file in written.items()}


def share(rows: list[dict[str, Any]], field: str, value: Any = "") -> float:
    return sum(row[field] == value for row in rows) / len(rows)


@pytest.mark.parametrize("table", FIELDS)
def test_every_record_has_the_fields_of_ucsd_in_order_and_type(tables: Tables, table: str) -> None:
    types = [(field, OTHER_TYPES.get(table, {}).get(field, str)) for field in FIELDS[table].split()]

    assert {tuple((field, type(value)) for field, value in row.items()) for row in tables[table]} == {tuple(types)}


def test_entries_of_lists_have_their_fields(tables: Tables) -> None:
    books = tables["books"]

    assert {tuple(shelf) for book in books for shelf in book["popular_shelves"]} == {("count", "name")}
    assert {tuple(author) for book in books for author in book["authors"]} == {("author_id", "role")}
    assert {type(value) for book in books for shelf in book["popular_shelves"] for value in shelf.values()} == {str}
    assert max(len(book["popular_shelves"]) for book in books) == 100
    assert {book["popular_shelves"][0]["name"] for book in books} == {"to-read"}
    assert all(re.fullmatch(r"[1-9]\d*", book["book_id"]) for book in books)


def test_counts_are_those_asked_for_and_those_that_ucsd_has_per_book(written: dict[str, Written]) -> None:
    assert {name: file.lines for name, file in written.items()} == {
        "books": 20_000, "authors": 7_028, "works": 12_900, "genres": 20_000, "series": 3_392, "reviews": 60_000,
    }  # fmt: skip
    for name, file in written.items():
        assert file.path.name == TABLES[name].file
        assert file.bytes == file.path.stat().st_size
        assert gzip.decompress(file.path.read_bytes()).count(b"\n") == file.lines


def test_the_files_are_read_by_gunzip_and_by_duckdb(written: dict[str, Written]) -> None:
    for file in written.values():
        subprocess.run(["gzip", "--test", str(file.path)], check=True)
        with duckdb.connect() as connection:
            rows = connection.execute("SELECT count(*) FROM read_json($path)", {"path": str(file.path)}).fetchone()
        assert rows == (file.lines,)


def test_the_same_bytes_whatever_the_threads_and_the_memory(tmp_path: Path) -> None:
    # More than one range of books and of reviews, so that threads could finish out of turn.
    size = {"books": 20_000, "reviews": 70_000, "seed": 7}
    one = write_synthetic(tmp_path / "one", **size, limits=DuckLimits("4GB", 1))
    four = write_synthetic(tmp_path / "four", **size, limits=DuckLimits("500MB", 4))
    other = write_synthetic(tmp_path / "other", books=20_000, reviews=70_000, seed=8)

    assert digests(one) == digests(four)
    assert {name for name in TABLES if digests(one)[name] == digests(other)[name]} == set()


def test_ids_are_unique_and_refer_to_each_other(tables: Tables) -> None:
    ids = {name: [row[TABLES[name].id] for row in tables[name]] for name in TABLES}
    assert {name: len(set(values)) for name, values in ids.items()} == {name: len(ids[name]) for name in ids}
    books, authors, works, series = (set(ids[name]) for name in ("books", "authors", "works", "series"))

    assert set(ids["genres"]) == books
    assert {similar for book in tables["books"] for similar in book["similar_books"]} <= books
    assert {serial for book in tables["books"] for serial in book["series"]} <= series
    assert {book["work_id"] for book in tables["books"]} - works <= {""}
    unknown = sum(review["book_id"] not in books for review in tables["reviews"])
    assert 4 <= unknown <= 25  # one in 5,000
    links = [author["author_id"] for book in tables["books"] for author in book["authors"]]
    assert 0 < sum(link not in authors for link in links) < len(links) / 500


def test_works_know_their_editions(tables: Tables) -> None:
    editions = defaultdict(set)
    for book in tables["books"]:
        editions[book["work_id"]].add(book["book_id"])
    bare = editions.pop("", set())
    counted = {work["work_id"]: int(work["books_count"]) for work in tables["works"]}

    assert sum(counted.values()) == BOOKS
    assert BOOKS / len(counted) == pytest.approx(1.55, abs=0.01)
    assert sum(counted[work] - len(books) for work, books in editions.items()) <= len(bare)
    assert all(work["best_book_id"] in editions[work["work_id"]] | bare for work in tables["works"])
    assert max(counted.values()) > 100
    assert 0.7 < sum(count == 1 for count in counted.values()) / len(counted) < 0.85


@pytest.mark.parametrize(
    ("field", "expected"),
    [("language_code", 0.449), ("description", 0.175), ("isbn13", 0.331), ("num_pages", 0.324), ("publisher", 0.277),
     ("publication_year", 0.254)],
)  # fmt: skip
def test_as_many_books_lack_a_field_as_in_ucsd(tables: Tables, field: str, expected: float) -> None:
    # Four standard deviations of a share of 20,000.
    assert share(tables["books"], field) == pytest.approx(expected, abs=0.014)


def test_a_bare_book_has_neither_work_nor_link_nor_ratings(tables: Tables) -> None:
    bare = [book for book in tables["books"] if not book["work_id"]]

    assert 0 < len(bare) < 20  # 0.02 %
    fields = ("link", "url", "ratings_count", "text_reviews_count", "average_rating", "is_ebook")
    assert {book[field] for book in bare for field in fields} == {""}


def test_languages_have_the_spellings_of_ucsd_and_their_own_text(tables: Tables) -> None:
    codes = Counter(book["language_code"] for book in tables["books"])
    english = {code: codes[code] for code in ("eng", "en-US", "en-GB", "en-CA", "en", "en-IN")}

    assert min(english.values()) > 0
    assert english["eng"] / sum(english.values()) == pytest.approx(0.82, abs=0.02)
    assert {"spa", "fre", "ger", "ita", "por", "ara", "enm", "--"} <= set(codes)
    telling = {"spa": " que ", "fre": " et ", "ger": " und ", "ita": " che ", "por": " uma ", "eng": " the "}
    for code, word in telling.items():
        texts = [book["description"] for book in tables["books"] if book["language_code"] == code]
        long = [text for text in texts if len(text) > 600]
        assert mean(word in text for text in long) > 0.95, code


def test_numbers_are_out_of_range_now_and_then(tables: Tables) -> None:
    years = [int(book["publication_year"]) for book in tables["books"] if book["publication_year"]]
    wrong = [year for year in years if not 1500 <= year <= 2017]

    assert 0 < len(wrong) < len(years) / 1000
    assert median(years) > 2000


def test_isbns_have_their_check_digits(tables: Tables) -> None:
    for book in tables["books"]:
        if book["isbn13"]:
            assert sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(book["isbn13"])) % 10 == 0
        if book["isbn"]:
            values = [10 if digit == "X" else int(digit) for digit in book["isbn"]]
            assert sum(value * weight for value, weight in zip(values, range(10, 0, -1), strict=True)) % 11 == 0


def test_authors_per_book_and_their_roles(tables: Tables) -> None:
    links = [book["authors"] for book in tables["books"]]

    assert mean(map(len, links)) == pytest.approx(1.41, abs=0.03)
    assert mean(authors[0]["role"] == "" for authors in links) > 0.97
    later = Counter(author["role"] for authors in links for author in authors[1:])
    assert {"Illustrator", "Translator", "Editor", "Photographs"} <= set(later)


def test_reviews_fall_on_books_as_in_ucsd() -> None:
    plan = Plan(2_360_655, 15_739_967, 0)
    numbers = plan.variables()
    low, high, offset, beta = (numbers[key] for key in ("rank_low", "rank_high", "rank_offset", "beta"))

    def until(rank: float) -> float:
        """Share of reviews of the books up to a rank (the distribution that the SQL inverts)."""
        return ((rank / plan.books + offset) ** beta - low) / (high - low)

    assert (plan.works, plan.authors, plan.series) == (1_522_622, 829_535, 400_368)
    assert plan.reviews * until(1) == pytest.approx(16_000, rel=0.2)  # the most reviewed book
    steps = [plan.books * (step + 0.5) / 2000 for step in range(2000)]
    reviewed = mean(1 - 2.718281828 ** -(plan.reviews * (until(rank + 1) - until(rank))) for rank in steps)
    assert reviewed == pytest.approx(2_080_190 / 2_360_655, abs=0.02)


def test_reviews_per_book_are_heavy_tailed(tables: Tables) -> None:
    per_book = Counter(review["book_id"] for review in tables["reviews"])

    assert 0.6 < len(per_book) / BOOKS < 0.8
    assert median(per_book.values()) <= 3
    assert max(per_book.values()) > 100


def test_review_texts_and_ratings(tables: Tables) -> None:
    reviews = tables["reviews"]
    lengths = [len(review["review_text"]) for review in reviews]
    ratings = Counter(review["rating"] for review in reviews)

    assert 300 < median(lengths) < 420
    assert 600 < mean(lengths) < 850
    assert 10_000 < max(lengths) < 40_000
    assert set(ratings) == {0, 1, 2, 3, 4, 5}
    assert (ratings[4] + ratings[5]) / len(reviews) == pytest.approx(0.654, abs=0.01)
    assert share(reviews, "rating", 0) == pytest.approx(0.036, abs=0.005)
    assert 0.7 < share(reviews, "n_votes", 0) < 0.8
    assert max(review["n_votes"] for review in reviews) > 500
    assert 0 < share(reviews, "review_text") < 0.001


def test_dates_are_those_of_goodreads(tables: Tables) -> None:
    zones = Counter()
    for review in tables["reviews"][:5000]:
        added, updated = (datetime.strptime(review[field], DATE) for field in ("date_added", "date_updated"))
        assert 2007 <= added.year <= 2017
        assert added.strftime(DATE) == review["date_added"]  # the weekday is right
        assert (updated - added).days <= 31
        zones[review["date_added"][-10:-5]] += 1
        for field in ("read_at", "started_at"):
            assert review[field] == "" or " 00:00:00 " in review[field]
    assert set(zones) == {"-0700", "-0800"}


def test_some_readers_post_their_review_again_on_another_edition(tables: Tables) -> None:
    work = {book["book_id"]: book["work_id"] for book in tables["books"]}
    posted = defaultdict(set)
    for review in tables["reviews"]:
        if len(review["review_text"]) > 100:
            posted[review["user_id"], review["review_text"]].add(review["book_id"])
    again = [books for books in posted.values() if len(books) > 1]

    # The same short text twice in a language of few sentences is no repetition.
    same_work = [books for books in again if len({work.get(book, "") for book in books} - {""}) == 1]
    assert 50 < len(same_work) < 300
    assert len(again) - len(same_work) < 50


@pytest.mark.parametrize(
    ("pattern", "low", "high"),
    [
        (r"<(br|i|b|a|p|em|u|img|script|strong|blockquote)\b", 0.02, 0.05),
        (r"&[a-z#0-9]+;", 0.01, 0.03),
        (r"https?://", 0.005, 0.03),
        (r"\(view spoiler\)\[.*\(hide spoiler\)\]", 0.02, 0.04),
        (r"[\u200b\ufeff\u200d]", 0.001, 0.01),
        (r"[\x00\x07\x1f]", 0.001, 0.01),
    ],
)
def test_texts_are_as_dirty_as_real_ones(tables: Tables, pattern: str, low: float, high: float) -> None:
    dirty = mean(bool(re.search(pattern, review["review_text"])) for review in tables["reviews"])

    assert low < dirty < high


def test_nothing_of_the_templates_is_left(tables: Tables) -> None:
    left = [
        text
        for rows, field in (("books", "description"), ("books", "title"), ("reviews", "review_text"))
        for text in (row[field] for row in tables[rows])
        if re.search(r"[{}]", text)
    ]
    assert left == []


def test_editions_and_reviews_of_a_work_are_of_one_theme(tables: Tables) -> None:
    """Words that only this work's texts have in common: descriptions of two editions share more than of two works."""
    by_work = defaultdict(list)
    for book in tables["books"]:
        if book["language_code"] == "eng" and len(book["description"]) > 400:
            by_work[book["work_id"]].append(set(book["description"].split()))
    pairs = [texts[:2] for texts in by_work.values() if len(texts) > 1][:200]

    def overlap(one: set[str], two: set[str]) -> float:
        return len(one & two) / len(one | two)

    same = mean(overlap(one, two) for one, two in pairs)
    others = mean(overlap(pairs[place][0], pairs[place - 1][1]) for place in range(len(pairs)))
    assert len(pairs) == 200
    assert same > 1.5 * others


def test_some_works_share_title_and_author(tables: Tables) -> None:
    works = defaultdict(set)
    for book in tables["books"]:
        if book["work_id"] and book["title"]:
            works[book["title"], book["authors"][0]["author_id"]].add(book["work_id"])
    doubles = sum(len(ids) > 1 for ids in works.values())

    assert 10 < doubles < len(works) / 50


def test_damage_comes_in_eleven_kinds_at_its_share(tmp_path: Path) -> None:
    clean = write_synthetic(tmp_path / "clean", books=2000, reviews=4000)
    damaged = write_synthetic(tmp_path / "damaged", books=2000, reviews=4000, damage=0.1)
    expected = set(gzip.decompress(clean["reviews"].path.read_bytes()).split(b"\n"))
    lines = gzip.decompress(damaged["reviews"].path.read_bytes()).split(b"\n")[:-1]
    odd = [line for line in lines if line not in expected]
    twice = len(lines) - 4000

    assert len(lines) == damaged["reviews"].lines
    assert len(odd) + twice == pytest.approx(400, abs=80)
    kinds = {
        "carriage return": sum(line.endswith(b"\r") for line in odd),
        "byte order mark": sum(line.startswith(b"\xef\xbb\xbf") for line in odd),
        "NUL": sum(b"\0" in line for line in odd),
        "not UTF-8": sum(b"\xff\xfe" in line for line in odd),
        "no JSON": sum(line.startswith(b"<html>") for line in odd),
        "cut": sum(line.startswith(b'{"user_id') and not line.rstrip(b"\r").endswith(b"}") for line in odd),
        "unknown field": sum(line.startswith(b'{"unknown"') for line in odd),
        "no id": sum(b'"lost_id"' in line for line in odd),
        "number for string": sum(bool(re.search(rb'"book_id": \d', line)) for line in odd),
        "null for string": sum(b": null" in line for line in odd),
        "twice": twice,
    }
    assert {kind: 10 < count < 80 for kind, count in kinds.items()} == dict.fromkeys(kinds, True)


@pytest.mark.parametrize(("books", "reviews"), [(0, 0), (1, 3), (9, 9), (10, 20), (11, 30)])
def test_tiny_catalogues(tmp_path: Path, books: int, reviews: int) -> None:
    written = write_synthetic(tmp_path, books=books, reviews=reviews)

    rows = {name: gzip.decompress(file.path.read_bytes()).splitlines() for name, file in written.items()}
    assert (len(rows["books"]), len(rows["reviews"])) == (books, reviews)
    assert {json.loads(line)["book_id"] for line in rows["reviews"]} <= {
        json.loads(line)["book_id"] for line in rows["books"]
    }


@pytest.mark.parametrize(
    ("books", "reviews", "damage"), [(-1, 0, 0.0), (5, -1, 0.0), (0, 5, 0.0), (5, 5, 1.5), (10**10, 0, 0.0)]
)
def test_counts_that_cannot_be_are_refused(tmp_path: Path, books: int, reviews: int, damage: float) -> None:
    with pytest.raises(SettingsError, match="No catalogue has such counts"):
        write_synthetic(tmp_path / "new", books=books, reviews=reviews, damage=damage)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(SettingsError, match="cannot be written"):
        write_synthetic(tmp_path / "file" / "below", books=5, reviews=5)


def test_own_files_are_replaced_and_foreign_ones_stay(tmp_path: Path) -> None:
    first = write_synthetic(tmp_path, books=20, reviews=20)
    again = write_synthetic(tmp_path, books=30, reviews=20)
    assert (first["books"].lines, again["books"].lines) == (20, 30)

    foreign = tmp_path / TABLES["series"].file
    foreign.write_bytes(gzip.compress(b'{"series_id": "1"}\n'))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(SettingsError, match="files of other origin"):
        write_synthetic(tmp_path, books=40, reviews=20)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead, alive = int(ended.stdout), os.getpid()
    for pid in (dead, alive):
        (tmp_path / f".synth-{pid}-12345678-goodreads_books.json.gz").write_bytes(b"half")
        (tmp_path / f".synth-{pid}-12345678-scratch").mkdir()
    write_synthetic(tmp_path, books=20, reviews=20)
    assert sorted(path.name for path in tmp_path.glob(".*")) == [
        f".synth-{alive}-12345678-goodreads_books.json.gz",
        f".synth-{alive}-12345678-scratch",
    ]


def test_every_slot_of_the_vocabulary_has_its_words() -> None:
    vocabulary = load_vocabulary(3)

    sentences = vocabulary.tables["texts"].column("sentences").to_pylist()
    slots = {slot for texts in sentences for text in texts for slot in re.findall(r"\{(\w+)\}", text)}
    assert slots == {"name", "town"}
    assert len({text for texts in sentences for text in texts}) > 20_000
    assert len(vocabulary.variables["languages"]) == 2000
