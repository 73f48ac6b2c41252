"""The `viberary` command. Its words and its JSON are a contract: other programs rely on them.

Results go to standard output; progress, logs and errors to standard error. Exit codes: 0 done, 1 failed,
2 wrong usage, 3 refused by a gate (the live index is untouched).
"""

# Each adds its commands to the group.
from viberary_pipeline.cli import building, evaluating, history, processes, searching, sources, storage, training
from viberary_pipeline.cli.group import main

__all__ = ["building", "evaluating", "history", "main", "processes", "searching", "sources", "storage", "training"]
