"""The cores that this process may use, and whether another process lives."""

import os

import psutil


def usable_cores() -> int:
    """The cores that this process may use: a container or `taskset` may leave it fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def process_lives(pid: int) -> bool:
    """Whether there is such a process. A zombie is none: in a container nobody may ever reap it."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
