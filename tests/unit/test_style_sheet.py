"""The page's one style sheet is what `scripts/build_css.py` makes, and small."""

import gzip
import importlib.util
from pathlib import Path
from types import ModuleType

MOST_BYTES = 15_000


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_css", Path(__file__).parents[2] / "scripts" / "build_css.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_style_sheet_is_up_to_date():
    build_css = script()
    assert build_css.BUILT.read_text(encoding="utf-8") == build_css.built(), "run `make css`"


def test_all_styles_are_one_small_file():
    built = script().BUILT
    assert [path.name for path in built.parent.rglob("*.css")] == ["style.css"]
    assert len(gzip.compress(built.read_bytes())) < MOST_BYTES


def test_of_bootstrap_only_what_the_templates_use_is_kept():
    styles = script().BUILT.read_text(encoding="utf-8")
    assert ".btn-primary{" in styles
    assert ".visually-hidden-focusable" in styles
    for unused in (".carousel", ".modal", "[data-bs-theme", "--bs-purple", ".col-"):
        assert unused not in styles
