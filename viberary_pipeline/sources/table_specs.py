"""The tables of the catalogue: what they are called, and which row is kept of several with one id."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """One table, its raw file and its Parquet.

    Attributes:
        name: 'books': the asset, `sql/books.sql`, `books.parquet`, `contracts/books.json`.
        row: What one row is.
        key: The column that identifies a row.
        preference: Of several rows with one key, the first in this order is kept (then the earliest).
        optional: Whether a catalogue may do without its file.
    """

    name: str
    row: str
    key: str
    preference: str
    optional: bool = False


_MOST_RATINGS = "ratings_count DESC NULLS LAST"

TABLES = {
    table.name: table
    for table in (
        Table("books", "one edition", "book_id", _MOST_RATINGS),
        Table("authors", "one author", "author_id", _MOST_RATINGS),
        Table("reviews", "one review", "review_id", "filename"),
        Table("works", "one work, as Goodreads groups editions", "work_id", _MOST_RATINGS, optional=True),
        Table("genres", "one edition and its genres", "book_id", "filename", optional=True),
        Table("series", "one series", "series_id", "filename", optional=True),
    )
}
