"""Which process made something in Redis, and whether it is known to be dead."""

import json
import os
import platform
from typing import Any

import psutil


def this_process() -> str:
    """This process as JSON: host, pid and start (a pid alone is used again)."""
    process = psutil.Process()
    return json.dumps({"host": platform.node(), "pid": process.pid, "started": process.create_time()})


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
    if owner.get("host") != platform.node() or owner.get("pid") == os.getpid():
        return False
    try:
        return abs(psutil.Process(owner["pid"]).create_time() - owner["started"]) > 1
    except psutil.NoSuchProcess:
        return True
    except (KeyError, TypeError, psutil.Error):
        return False
