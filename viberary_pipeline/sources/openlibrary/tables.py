"""The tables of Open Library's dumps, as the files have them: what is merged, deleted or of no interest is still there.

Most fields have come in several shapes: a description is a text or an object with one, an author's key stands in an
object, in an object in an object, or alone. They are read as JSON, or as text where nearly all are text. The macros are
in `sql/macros.sql`; each sees the usual shape at a glance, and only the rest costs.
"""

from dataclasses import replace

from viberary_pipeline.sources.columns import Column, Table
from viberary_pipeline.sources.layouts import Layout

_RECORD = Layout((b"dump_type", b"dump_key", b"", b""))

_LOST, _LOST_LIST = "json_is_lost({raw}, {column} IS NULL)", "json_is_lost({raw}, len({column}) = 0)"
_LOST_PROSE = "json_text_is_lost({raw}, {column})"
_LOST_TEXT = "plain_text_is_lost({raw}, {column})"


def _text(name: str, sql: str = "blank_to_null({raw})") -> Column:
    return Column(name, sql, name, "VARCHAR", _LOST_TEXT, first="plain_text({raw})")


def _clean(name: str) -> Column:
    """A cleaned text that stays as it is where it is nothing but markup."""
    return _text(name, "coalesce(clean_text({raw}), blank_to_null({raw}))")


def _prose(name: str) -> Column:
    return Column(name, "clean_text({raw})", name, "JSON", _LOST_PROSE, first="prose(json_text({raw}))")


def _key(name: str, letter: str, field: str) -> Column:
    return Column(name, f"column_id({{raw}}, '{letter}')", field)


def _list(name: str, sql: str, field: str | None = None) -> Column:
    return Column(name, sql, field or name, "JSON", _LOST_LIST)


def _keys(name: str, letter: str, field: str) -> Column:
    first = f"lone_key({{raw}}, '{letter}')"
    return replace(_list(name, f"ids_of(\"{field}\", {{raw}}, '{letter}')", field), first=first)


def _texts(name: str, field: str | None = None) -> Column:
    return _list(name, "json_texts({raw})", field)


_KIND = Column("kind", "kind_of_record({raw})", "dump_type")
"""'work', 'edition', 'author'; 'redirect' of what was merged into another, 'delete' of what was removed."""

_REDIRECTED_TO = Column(
    *("redirected_to", "CASE WHEN {raw} IS NOT NULL THEN ol_id(json_text({raw}), 'AMW') END", "location", "JSON", _LOST)
)
_TITLES = (_clean("title"), _clean("subtitle"))
_PROSE = (_prose("description"), _prose("first_sentence"))
_COVERS = Column("covers", "cover_ids({raw})", "covers", "JSON", "false")  # -1 stands for none


def _of_records(name: str, row: str, columns: tuple[Column, ...]) -> Table:
    """A table of records with keys of their own; the first column is the key."""
    return Table(
        name,
        row,
        columns,
        required=(columns[0].name,),
        known_by=("dump_key",),
        optional=True,
        source="openlibrary",
        layout=_RECORD,
        in_threads=True,
    )


_WORKS = _of_records(
    "ol_works",
    "one work of Open Library",
    (
        _key("work_id", "W", "dump_key"),
        _KIND,
        _REDIRECTED_TO,
        *_TITLES,
        *_PROSE,
        _text("first_publish_date"),
        Column("first_publish_year", "year_in(first_publish_date)"),
        Column("year_is_uncertain", "year_is_uncertain(first_publish_date)"),
        replace(_list("author_ids", "ids_found(authors, {raw}, 'A')", "authors"), first="keys_found({raw}, 'A')"),
        _texts("subjects"),
        _texts("subject_places"),
        _texts("subject_people"),
        _texts("subject_times"),
        _COVERS,
    ),
)

_EDITIONS = _of_records(
    "ol_editions",
    "one edition of Open Library",
    (
        _key("edition_id", "M", "dump_key"),
        _KIND,
        _REDIRECTED_TO,
        _keys("work_ids", "W", "works"),
        *_TITLES,
        *_PROSE,
        _text("publish_date"),
        Column("publish_year", "year_in(publish_date)"),
        Column("year_is_uncertain", "year_is_uncertain(publish_date)"),
        replace(_list("languages", "languages_of(languages, {raw})"), first="lone_language({raw})"),
        _texts("isbn10s", "isbn_10"),
        _texts("isbn13s", "isbn_13"),
        _texts("publishers"),
        _text("physical_format"),
        Column(
            *("num_pages", "whole_number({raw}, 1, 20000)::INTEGER", "number_of_pages", "VARCHAR"),
            "unreadable(plain_text({raw}), {column})",
            first="plain_text({raw})",
        ),
        _keys("author_ids", "A", "authors"),
        _list("contributors", "json_people({raw})"),
        _texts("subjects"),
        _COVERS,
        Column("goodreads_ids", "json_texts(json_extract({raw}, '$.goodreads'))", "identifiers", "JSON", "false"),
        Column("asins", "json_texts(json_extract(raw_identifiers, '$.amazon'))"),
    ),
)

_AUTHORS = _of_records(
    "ol_authors",
    "one author of Open Library",
    (
        _key("author_id", "A", "dump_key"),
        _KIND,
        _REDIRECTED_TO,
        _clean("name"),
        _clean("personal_name"),
    ),
)

_REDIRECTS = _of_records(
    "ol_redirects",
    "one work, edition or author that was merged into another",
    (_key("merged_id", "AMW", "dump_key"), _REDIRECTED_TO),
)


def _of_readers(name: str, row: str, value: Column) -> Table:
    return Table(
        name,
        row,
        (
            _key("work_id", "W", "work"),
            _key("edition_id", "M", "edition"),
            value,
            Column("added", "try_cast({raw} AS DATE)", "date"),
        ),
        required=("work_id",),
        known_by=("work", "date"),
        optional=True,
        source="openlibrary",
        layout=Layout((b"work", b"edition", b"value", b"date"), has_object=False),
        keyed=False,
        in_threads=True,
    )


_RATINGS = _of_readers(
    "ol_ratings", "one rating by one reader", Column("rating", "whole_number({raw}, 1, 5)::INTEGER", "value")
)
_READING_LOG = _of_readers(
    "ol_reading_log", "one work that one reader has shelved", Column("shelf", "blank_to_null({raw})", "value")
)

OPENLIBRARY = (_WORKS, _EDITIONS, _AUTHORS, _REDIRECTS, _RATINGS, _READING_LOG)
