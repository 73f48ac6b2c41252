"""What of the query log is popular: `python -m viberary_pipeline.web.log_counts LOG DAYS SEARCHES` prints it.

A process of its own, at the lowest priority: the log may be large and damaged, and DuckDB takes memory that a web
worker would never give back. It moves to disk what exceeds `MEMORY`.
"""

import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from viberary_pipeline.duck import sql
from viberary_pipeline.query_lines import load_lines

MOST = 10
WINDOW_DAYS = 30
MEMORY = "128MB"


@dataclass(frozen=True)
class Popular:
    """Queries with how often they were searched, and works with for how many queries they were shown; most first."""

    queries: tuple[tuple[str, int], ...] = ()
    works: tuple[tuple[str, int], ...] = ()


def count(log: Path, *, days: int, searches: int, most: int = MOST) -> Popular:
    """What is popular in the last `WINDOW_DAYS` days of a query log.

    Args:
        log: Its live file.
        days: On how many different days a query must be searched, and a work shown.
        searches: How often a query must be searched, and for how many a work must be shown.
        most: How many of each.
    """
    import duckdb

    # On disk, so that memory does not grow with the log.
    with (
        tempfile.TemporaryDirectory(prefix="viberary-popular-") as folder,
        duckdb.connect(Path(folder) / "log.duckdb") as connection,
    ):
        connection.execute(f"SET threads = 1; SET memory_limit = '{MEMORY}'")
        load_lines(connection, log, days=WINDOW_DAYS)
        bounds = {"days": days, "searches": searches, "most": most}
        queries, works = (
            tuple(connection.execute(sql("web", name), bounds).fetchall())
            for name in ("popular_queries", "popular_works")
        )
        return Popular(queries, works)


if __name__ == "__main__":
    os.nice(19)
    _log, _days, _searches = sys.argv[1:]
    print(json.dumps(asdict(count(Path(_log), days=int(_days), searches=int(_searches)))))
