"""The lines of a query log, for counting: `web/query_log.py` writes them, charts and trainings read them here."""

import contextlib
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

logger = logging.getLogger(__name__)

LOGS, LIVE = "logs", "queries.jsonl"
"""The folder of a home, and in it the file that is written now."""

LONGEST_LINE = 1 << 20
"""Bytes of a line that is read; ours are a hundredth of it."""

_COLUMNS = (
    "{event: 'VARCHAR', time: 'TIMESTAMPTZ', query: 'VARCHAR', work_ids: 'VARCHAR[]', status: 'INTEGER', "
    "work_id: 'VARCHAR'}"
)
# One reader's white space and capitals are no other query.
_VIBE = r"lower(trim(regexp_replace(query, '[\s\pZ\pC]+', ' ', 'g')))"


def log_files(path: Path) -> list[Path]:
    """The files of the log whose live file is `path`, oldest first."""
    return [file for file, _ in found_files(path)]


def found_files(path: Path) -> list[tuple[Path, os.stat_result]]:
    """The files of a log, oldest first, and what the system says of them; another process may remove some meanwhile."""
    found = []
    for file in path.parent.glob(f"{path.stem}.*"):
        with contextlib.suppress(FileNotFoundError):
            found.append((file, file.stat()))
    return sorted(found, key=lambda each: each[1].st_mtime)


def load_lines(connection: "duckdb.DuckDBPyConnection", log: Path, *, days: int) -> None:
    """Make the tables `searches` (time, vibe, work_ids) and `clicks` (time, vibe, work_id) of a log's last days.

    `searches` are those that were answered; `vibe` is the query in lower case. Lines that are damaged are left out, and
    files that cannot be read, with a warning.
    """
    connection.execute("SET preserve_insertion_order = false; SET TimeZone = 'UTC'")
    connection.execute("CREATE TABLE searches (time TIMESTAMPTZ, vibe VARCHAR, work_ids VARCHAR[])")
    connection.execute("CREATE TABLE clicks (time TIMESTAMPTZ, vibe VARCHAR, work_id VARCHAR)")
    for file in log_files(log):
        try:
            _load(connection, file, days)
        except Exception as error:  # DuckDB's and the system's
            logger.warning("%s of the query log is left out: %s", file.name, str(error).splitlines()[0])


def _load(connection: "duckdb.DuckDBPyConnection", file: Path, days: int) -> None:
    with tempfile.TemporaryDirectory(prefix="viberary-log-") as folder:
        kept = Path(folder) / "lines.jsonl"
        with file.open("rb") as lines, kept.open("wb") as whole:
            # Whatever is no line of ours must not end the reading of those that are.
            while line := lines.readline(LONGEST_LINE):
                if line.isascii() and line.startswith(b'{"') and line.endswith(b"}\n"):
                    whole.write(line)
        source = (
            f"read_json($file, format = 'newline_delimited', columns = {_COLUMNS}, ignore_errors = true, "
            f"maximum_object_size = {LONGEST_LINE}) WHERE time > now() - to_days($days) AND query IS NOT NULL"
        )
        given = {"file": str(kept), "days": days}
        connection.execute("BEGIN")
        try:
            connection.execute(
                f"INSERT INTO searches SELECT time, {_VIBE}, work_ids FROM {source} "
                "AND event = 'search' AND status = 200",
                given,
            )
            connection.execute(
                f"INSERT INTO clicks SELECT time, {_VIBE}, work_id FROM {source} AND event = 'click'", given
            )
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
