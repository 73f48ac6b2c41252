"""The size of what `Dockerfile.web` installs, package by package: `python scripts/web_size.py`.

The packages are those that the extras `web` and `s3` of pyproject.toml bring, as they are installed in this
environment: each file that their RECORD lists, compiled Python with it, but for what the Dockerfile removes again. BASE
is the unpacked size of the base image (Python 3.11 on Debian 12, slim), as `docker images` shows it.
"""

import re
import tomllib
from fnmatch import fnmatch
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
_EXTRAS = ("web", "s3")
BASE = 131
MOST = 350
"""Megabytes that the image may have."""


def installed() -> set[str]:
    """The packages that the extras bring."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [*project["dependencies"], *(text for extra in _EXTRAS for text in project["optional-dependencies"][extra])]
    found, wanted = set[str](), [Requirement(text) for text in texts]
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name not in found:
            found.add(name)
            below = map(Requirement, distribution(name).requires or ())
            wanted += [each for each in below if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found


def removed() -> tuple[list[str], set[str]]:
    """What the Dockerfile removes again: patterns of paths in site-packages, and packages."""
    text = (ROOT / "Dockerfile.web").read_text(encoding="utf-8")
    paths = re.findall(r"^\s+(\S+)", text.partition("rm -rf \\\n")[2].partition("\n\n")[0], re.MULTILINE)
    uninstalled = re.findall(r"pip uninstall -y (.+?) \\\n", text)[0].split()
    return paths, set(uninstalled)


def megabytes(package: str, without: list[str]) -> float:
    """What the files of an installed package take."""
    kept = (
        Path(str(file.locate()))
        for file in distribution(package).files or ()
        if not any(fnmatch(str(file), f"{pattern}/*") or fnmatch(str(file), pattern) for pattern in without)
    )
    return sum(path.stat().st_size for path in kept if path.is_file()) / 1e6


def own_megabytes(without: list[str]) -> float:
    """What the project itself takes."""
    files = (path for path in (ROOT / "viberary_pipeline").rglob("*") if path.is_file())
    kept = (
        file
        for file in files
        if not any(fnmatch(str(file.relative_to(ROOT)), f"{pattern}*") for pattern in [*without, "*__pycache__*"])
    )
    return sum(file.stat().st_size for file in kept) / 1e6


def main() -> int:
    paths, uninstalled = removed()
    sizes = {name: megabytes(name, paths) for name in installed() - uninstalled}
    sizes["viberary-pipeline"] = own_megabytes(paths)
    for name, size in sorted(sizes.items(), key=lambda each: -each[1]):
        print(f"{size:8.1f} MB  {name}")
    total = sum(sizes.values())
    print(f"{total:8.1f} MB  installed\n{BASE + total:8.1f} MB  with the base image; at most {MOST}")
    return 0 if BASE + total <= MOST else 1


if __name__ == "__main__":
    raise SystemExit(main())
