"""The tables of UCSD's catalogue, and those of every source by name."""

from dataclasses import replace

from viberary_pipeline.sources.columns import IS_MISSING, IS_NAN, UNREADABLE, Column, Table
from viberary_pipeline.sources.openlibrary.tables import OPENLIBRARY


def _column(name: str, sql: str, lost: str = UNREADABLE) -> Column:
    return Column(name, sql, name, lost=lost)


def _id(name: str) -> Column:
    return _column(name, "canonical_id({raw})")


def _opaque_id(name: str) -> Column:
    return _column(name, "opaque_id({raw})")


def _name(name: str) -> Column:
    """A cleaned text that stays as it is where it is nothing but markup."""
    return _column(name, "coalesce(clean_text({raw}), blank_to_null({raw}))", IS_NAN)


def _text(name: str, sql: str = "blank_to_null({raw})") -> Column:
    return _column(name, sql, IS_MISSING)


def _whole(name: str, low: int, high: int, kind: str = "INTEGER") -> Column:
    return _column(name, f"whole_number({{raw}}, {low}, {high})::{kind}")


def _count(name: str, high: int = 10**12, kind: str = "BIGINT") -> Column:
    return _whole(name, 0, high, kind)


def _list(name: str, item: str, sql: str, read_as: str, *, bare: bool = False, most: int | None = None) -> Column:
    first, number = (
        (f"{{raw}}[:{most}]", f"{{raw}} IS NOT NULL AND least(len({{raw}}), {most})")
        if most
        else ("{raw}", "len({raw})")
    )
    typed = f"coalesce({sql.replace('{raw}', first)}, [])"
    return Column(name, typed, name, read_as, f"{number} > len({{column}})", item, bare)


_MOST_RATINGS = "ratings_count DESC NULLS LAST"
_MEAN_RATING = _column("average_rating", "in_range(try_cast({raw} AS DOUBLE), 0, 5)")
_RATINGS = (_count("ratings_count"), _count("text_reviews_count"))

_MOST_SHELVES = 100
"""UCSD's files list no more of a book."""

_BOOKS = Table(
    "books",
    "one edition",
    (
        _id("book_id"),
        # A book without a work is a work of its own, which documents names 'b' and its book_id.
        _column("work_id", "CASE WHEN try_cast(canonical_id({raw}) AS BIGINT) > 0 THEN canonical_id({raw}) END"),
        _name("title"),
        _column("title_without_series", "clean_text({raw})", IS_NAN),
        _text("description", "clean_text({raw})"),
        _text("language_code"),
        Column("language", "coalesce(language_given, language_detected)"),
        Column(
            "language_source",
            "CASE WHEN language_given IS NOT NULL THEN 'given' WHEN language_detected IS NOT NULL THEN 'detected' END",
        ),
        _text("isbn", "isbn_text({raw})"),
        _text("isbn13", "isbn_text({raw})"),
        # Open Library's editions have several, and say which of Goodreads' they are.
        Column("other_isbns", "[]::VARCHAR[]"),
        Column("goodreads_ids", "[]::VARCHAR[]"),
        _text("asin"),
        _text("kindle_asin"),
        _text("format"),
        _text("publisher"),
        _column("is_ebook", "try_cast({raw} AS BOOLEAN)"),
        _whole("publication_year", 1, 2100),
        _whole("publication_month", 1, 12),
        _whole("publication_day", 1, 31),
        _whole("num_pages", 1, 20_000),
        _MEAN_RATING,
        *_RATINGS,
        _text("link"),
        _column("image_url", "picture_address({raw})", f"{UNREADABLE} AND NOT is_stand_in({{raw}})"),
        _list(
            "authors",
            "author_id",
            "list_filter([{{'author_id': canonical_id(a.author_id), 'role': trim(coalesce(a.\"role\", ''))}}"
            " FOR a IN {raw}], lambda a: a.author_id IS NOT NULL)",
            'STRUCT(author_id VARCHAR, "role" VARCHAR)[]',
        ),
        _list("series", "series_id", "canonical_ids({raw})", "VARCHAR[]", bare=True),
        _list("similar_books", "book_id", "canonical_ids({raw})", "VARCHAR[]", bare=True),
        _list(
            "popular_shelves",
            "name",
            '[s."name" FOR s IN {raw} IF s."name" IS NOT NULL]',
            'STRUCT("name" VARCHAR, "count" VARCHAR)[]',
            most=_MOST_SHELVES,
        ),
        # In parallel to their names. A shelf that is listed holds the book at least once.
        Column(
            "shelf_counts",
            f'[coalesce(whole_number(s."count", 1, {10**9}), 1)::INTEGER'
            f' FOR s IN coalesce(raw_popular_shelves, [])[:{_MOST_SHELVES}] IF s."name" IS NOT NULL]',
        ),
    ),
    required=("book_id", "title"),
    known_by=("book_id", "title", "work_id", "authors", "link"),
    preference=_MOST_RATINGS,
    step="books",
)

_AUTHORS = Table(
    "authors",
    "one author",
    (_id("author_id"), _name("name"), _MEAN_RATING, *_RATINGS),
    required=("author_id", "name"),
    known_by=("author_id", "name", "ratings_count"),
    preference=_MOST_RATINGS,
)

_REVIEWS = Table(
    "reviews",
    "one review",
    (
        _opaque_id("review_id"),
        _id("book_id"),
        _opaque_id("user_id"),
        # 0 means "not rated".
        replace(_whole("rating", 1, 5), lost=f"coalesce(try_cast({{raw}} AS DOUBLE), 1) <> 0 AND {UNREADABLE}"),
        # As written: documents cleans the few that it takes.
        _text("review_text"),
        Column("text_length", "coalesce(length(review_text), 0)::INTEGER"),
        Column("text_hash", "CASE WHEN review_text IS NOT NULL THEN hash(review_text) END"),
        # 'Sun Jul 30 07:44:10 -0700 2017'
        _column("date_added", "try_strptime({raw}, '%a %b %d %H:%M:%S %z %Y')"),
        # A few counts in the files are negative, which says nothing.
        _count("n_votes", 10**9, "INTEGER"),
        _count("n_comments", 10**9, "INTEGER"),
    ),
    required=("review_id", "book_id"),
    known_by=("review_id", "book_id", "user_id", "review_text"),
)

_WORKS = Table(
    "works",
    "one work, as Goodreads groups editions",
    (
        _id("work_id"),
        _id("best_book_id"),
        _column("original_title", "clean_text({raw})", IS_NAN),
        # The Odyssey's is -720; there is no year 0.
        _column("original_publication_year", "nullif(whole_number({raw}, -3000, 2100), 0)::INTEGER"),
        # UCSD's files do not say so.
        Column("year_is_uncertain", "NULL::BOOLEAN"),
        _count("books_count"),
        _count("ratings_count"),
        _count("reviews_count"),
        _count("text_reviews_count"),
    ),
    required=("work_id",),
    known_by=("work_id", "best_book_id", "books_count", "ratings_count"),
    preference=_MOST_RATINGS,
    optional=True,
)

_GENRES = Table(
    "genres",
    "one edition and its genres",
    (
        _id("book_id"),
        # How many readers shelved the book under each, most first; a genre without a count above 0 is lost.
        Column(
            "genres",
            "coalesce([{{'name': g.\"name\", 'count': g.\"count\"}} FOR g IN list_reverse_sort("
            "[{{'count': whole_number(m.value, 1, 1000000000000), 'name': trim(m.key)}} FOR m IN map_entries({raw})"
            " IF whole_number(m.value, 1, 1000000000000) IS NOT NULL])], [])",
            "genres",
            "MAP(VARCHAR, VARCHAR)",
            "cardinality({raw}) > len({column})",
        ),
    ),
    required=("book_id",),
    known_by=("book_id", "genres"),
    optional=True,
)

_SERIES = Table(
    "series",
    "one series",
    (
        _id("series_id"),
        _name("title"),
        replace(_count("work_count", 10**6, "INTEGER"), field="series_works_count"),
    ),
    required=("series_id", "title"),
    known_by=("series_id", "title"),
    optional=True,
)

UCSD = (_BOOKS, _AUTHORS, _REVIEWS, _WORKS, _GENRES, _SERIES)

TABLES = {table.name: table for table in (*UCSD, *OPENLIBRARY)}
