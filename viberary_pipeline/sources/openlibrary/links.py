"""The records of a dump linked: redirects followed, editions with their works, readers with both.

The statements in `sql/` read the tables, or views, `ol_works`, `ol_editions`, `ol_authors`, `ol_redirects`,
`ol_ratings` and `ol_reading_log`. Of works and editions only keys, kinds and links are read.
"""

from typing import Any

import duckdb

from viberary_pipeline.duck import sql

_MOST_DOUBLINGS = 8
"""Of the steps that are followed in a chain of redirects: 2^8 of them, and what is left leads in a circle."""

_CIRCLES = "moved SEMI JOIN (SELECT id AS next_id FROM moved) AS ends USING (next_id)"
"""What is merged in a circle ends at what was merged itself, so that its work is not found."""


def link_records(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Make the tables `moved`, `live_works`, `edition_links` and `readings`.

    Returns:
        `redirects` and `redirects_in_a_circle`; `edition_links` ({kind: editions}); `works` (with editions that are a
        work of their own).
    """
    redirects = _follow_redirects(connection)
    for step in ("live_works", "edition_links", "works_alone", "readings"):
        connection.execute(sql("sources/openlibrary", step))
    links = counts(connection, "SELECT link, count(*) FROM edition_links GROUP BY 1 ORDER BY 1")
    return {
        "redirects": redirects,
        "redirects_in_a_circle": count(connection, _CIRCLES),
        "edition_links": links,
        "works": count(connection, "live_works") + links.get("none", 0) + links.get("lost", 0),
    }


def count(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    """The rows of what may stand behind FROM."""
    return int((connection.execute(f"SELECT count(*) FROM {source}").fetchone() or (0,))[0])


def counts(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, int]:
    """{name: count} of a query that gives both."""
    return dict(connection.execute(query).fetchall())


def _follow_redirects(connection: duckdb.DuckDBPyConnection) -> int:
    """Make `moved`, each redirect followed to its end; how many there are."""
    connection.execute(sql("sources/openlibrary", "moved"))
    for _ in range(_MOST_DOUBLINGS):
        if not count(connection, _CIRCLES):
            break
        connection.execute(sql("sources/openlibrary", "moved_on"))
        connection.execute("DROP TABLE moved")
        connection.execute("ALTER TABLE moved_on RENAME TO moved")
    return count(connection, "moved")
