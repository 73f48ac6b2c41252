"""What every benchmark says of its machine, and how it hands over its figures."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any


def machine() -> str:
    """The machine in words: "2 cores, x86_64, Python 3.11.7"."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def machine_and_versions() -> dict[str, Any]:
    """The machine, how busy it is, and the versions of the packages that a page needs."""
    return {
        "machine": machine(),
        "load_average_before": [round(value, 2) for value in os.getloadavg()],
        "versions": {name: version(name) for name in ("redis", "onnxruntime", "flask", "waitress", "gunicorn")},
    }


def report(text: str, out: Path | None) -> None:
    """Print the figures, and write them to a file if one is given."""
    print(text)
    if out:
        out.write_text(f"{text}\n", encoding="utf-8")
