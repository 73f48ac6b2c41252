"""Judged requests from the clicks of a query log: what readers asked, and which of the works shown they opened.

No reader is known in the log, so nobody's own requests can be told from others'. A query and a work are learned only if
that work was opened so often after that query, on so many days, that it was more than one reader.
"""

import hashlib
from pathlib import Path

from viberary_pipeline.duck import DuckLimits, connect, sql
from viberary_pipeline.errors import EvaluationError
from viberary_pipeline.query_lines import LIVE, load_lines

QUERIES, QRELS = "clicks.queries.tsv", "clicks.qrels.txt"
DAYS = 365


def judged_clicks(log: Path, folder: Path, limits: DuckLimits, *, days: int, clicks: int) -> tuple[Path, Path]:
    """Write judged requests into `folder`, in the form of `trec_set`.

    Args:
        log: The folder of a query log, or its live file.
        folder: Where the files go; scratch files go there as well.
        limits: What DuckDB may use.
        days: On how many different days a work must have been opened after a query.
        clicks: How often.

    Returns:
        The files of queries and of judgements (each clicked work has grade 1).

    Raises:
        EvaluationError: no query has so many clicks.
    """
    live = log / LIVE if log.is_dir() else log
    folder.mkdir(parents=True, exist_ok=True)
    with connect(limits, folder) as connection:
        load_lines(connection, live, days=DAYS)
        pairs = connection.execute(sql("tuning", "clicked_works"), {"days": days, "clicks": clicks}).fetchall()
        (counted,) = connection.execute("SELECT count(*) FROM clicks").fetchone() or (0,)
    if not pairs:
        raise EvaluationError(
            f"{live} has no clicks to learn from",
            expected=f"a work that was opened {clicks} times after the same query, on {days} days",
            found=f"{counted:,} clicks, but no such work",
            todo="wait for more readers; or lower VIBERARY_WEB_POPULAR_SEARCHES and VIBERARY_WEB_POPULAR_DAYS, if "
            "your readers "
            "know that single readers may then be recognized",
        )
    ids = {vibe: hashlib.sha256(vibe.encode()).hexdigest()[:16] for vibe, _ in pairs}
    files = (folder / QUERIES, folder / QRELS)
    files[0].write_text("".join(f"{number}\t{vibe}\n" for vibe, number in ids.items()), encoding="utf-8")
    files[1].write_text("".join(f"{ids[vibe]} 0 {work} 1\n" for vibe, work in pairs), encoding="utf-8")
    return files
