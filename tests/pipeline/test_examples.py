"""The notebooks in examples/ run from their first cell to their last, on the published sample."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from homes import Published
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"


def shown(cell: Any) -> set[str]:
    """The media types of what a cell shows."""
    return {kind for output in cell.get("outputs", ()) for kind in output.get("data", {})}


@pytest.mark.parametrize(("name", "plots", "tables"), [("explore_a_catalogue", 3, 5), ("search_a_library", 1, 4)])
def test_a_notebook_runs(
    name: str, plots: int, tables: int, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # kept without
    monkeypatch.setenv("VIBERARY_HOME", str(published.home))
    monkeypatch.setenv("MPLCONFIGDIR", str(published.home.parent / "matplotlib"))
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()  # type: ignore[no-untyped-call]
    assert sum("image/png" in shown(cell) for cell in notebook.cells) == plots
    assert sum("text/html" in shown(cell) for cell in notebook.cells) == tables
