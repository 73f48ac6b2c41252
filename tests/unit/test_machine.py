"""What is known of this process and its machine."""

import gc
import sys

import pytest

from viberary_pipeline.machine import importing


@pytest.fixture
def collecting():
    frozen, collects = gc.get_freeze_count(), gc.isenabled()
    yield frozen
    assert gc.isenabled() == collects
    gc.unfreeze()


def test_what_is_imported_is_not_looked_through_for_garbage(collecting, monkeypatch, tmp_path):
    (tmp_path / "made_for_this_test.py").write_text("kept = [[number] for number in range(1000)]")
    monkeypatch.syspath_prepend(tmp_path)
    with importing():
        assert not gc.isenabled()
        import made_for_this_test
    assert gc.get_freeze_count() > collecting + 1000
    del sys.modules[made_for_this_test.__name__]


def test_where_nothing_is_imported_garbage_is_looked_for_as_before(collecting):
    with importing():
        import json  # noqa: F401  which is there already
    assert gc.get_freeze_count() == collecting
    gc.disable()
    try:
        with importing():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
    with pytest.raises(ImportError), importing():
        import no_such_module_at_all  # noqa: F401
    assert gc.isenabled()
