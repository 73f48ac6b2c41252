"""Benchmarks run seldom: what they import of the package must be there all the same."""

import ast
import importlib
import importlib.util
import json
import sys
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


def _bench():
    spec = importlib.util.spec_from_file_location("bench", BENCHMARKS[0].with_name("bench.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench"] = module  # where dataclasses look for it
    sys.path.insert(0, str(BENCHMARKS[0].parent))  # as when it is run as a script
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


BENCH = _bench()


@pytest.mark.parametrize("name", BENCH.STEPS)
def test_the_ratios_of_a_step_are_in_its_committed_result(name):
    step = BENCH.STEPS[name]
    assert (BENCH.HERE / step.script).is_file()
    ratios = step.ratios(json.loads((BENCH.RESULTS / step.committed).read_text(encoding="utf-8")))
    assert ratios
    assert all(what and 0 < ratio < 1000 for what, ratio in ratios)


def test_a_step_without_its_packages_or_without_time_says_so():
    step = BENCH.Step("catalogue.py", (), "ingest.json", lambda _: [], ("no_such_module",))
    assert BENCH.run(step, {}, 60) == ([], "not measured: needs no_such_module (the extra `bench`)")
    assert BENCH.run(BENCH.STEPS["latency"], {}, 0) == ([], "not measured: no time was left")
