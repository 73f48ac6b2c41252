"""The cores and the memory of this process, what its processor can do, and whether another process lives."""

import gc
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil


def usable_cores() -> int:
    """The cores that this process may use: a container or `taskset` may leave it fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def multiplies_int8_exactly() -> bool:
    """Whether the processor multiplies unsigned by signed bytes and sums the products in 32 bits.

    x86-64 does so by VNNI. Without it, onnxruntime sums pairs of products in 16 bits, where large ones saturate. Where
    the processor cannot be told, False.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        return True
    return not {"avx512_vnni", "avx_vnni"}.isdisjoint(_processor_flags())


def _processor_flags() -> set[str]:
    try:
        return set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return set()


def process_lives(pid: int) -> bool:
    """Whether there is such a process. A zombie is none: in a container nobody may ever reap it."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def importing() -> Iterator[None]:
    """For the import of a large library, whose objects stay: the garbage collector does not look through them, neither
    while they are made, again and again, nor later."""
    modules, collects = len(sys.modules), gc.isenabled()
    gc.disable()
    try:
        yield
        if len(sys.modules) > modules:
            gc.freeze()
    finally:
        if collects:
            gc.enable()
