"""Benchmarks run seldom: what they import of the package must be there all the same."""

import ast
import importlib
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_of_the_package_exists(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    gone = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("viberary_pipeline"):
            module = importlib.import_module(str(node.module))
            gone += [f"{node.module}.{alias.name}" for alias in node.names if not _has(module, alias.name)]
    assert not gone


def _has(module, name):
    if hasattr(module, name):
        return True
    try:
        importlib.import_module(f"{module.__name__}.{name}")
    except ModuleNotFoundError:
        return False
    return True
