"""Which process made something in Redis, and whether it is known to be dead."""

import json
import os
import platform
from pathlib import Path
from typing import Any

import psutil


def this_process() -> str:
    """This process as JSON: host, pid and start (a pid alone is used again)."""
    return json.dumps({"host": platform.node(), "pid": os.getpid(), "started": start_of(os.getpid())})


def read_owner(text: str | bytes) -> dict[str, Any]:
    """The fields of `this_process`, or an empty dict where the text is none of ours."""
    try:
        owner = json.loads(text)
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) else {}


def is_dead(text: str | bytes) -> bool:
    """Whether the owner is a process of this machine that no longer lives. Of other machines nothing is known."""
    owner = read_owner(text)
    if owner.get("host") != platform.node() or not isinstance(owner.get("pid"), int):
        return False
    try:
        return start_of(owner["pid"]) != owner.get("started")
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def start_of(pid: int) -> str:
    """When a process started, in a form that is only compared: of Linux, the boot and the kernel's ticks since then.

    Not as a time of day (`create_time`): that moves with every correction of the machine's clock.

    Raises:
        psutil.Error: there is no such process (a zombie is none), or it may not be looked at.
    """
    process = psutil.Process(pid)
    if process.status() == psutil.STATUS_ZOMBIE:
        raise psutil.NoSuchProcess(pid)
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # The program's name, in brackets, may hold blanks and brackets; the 22nd field is the 20th after it.
        ticks = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):
        return str(process.create_time())  # other systems note it when the process starts, and keep it
    return f"{boot} {ticks}"
