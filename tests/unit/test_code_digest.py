"""The policy by which a change of code invalidates: what counts, and what does not."""

import pytest

from viberary_pipeline.code_digest import _essence, code_digest

PYTHON = '''"""A module."""

LIMIT = 3


def f(x):
    """Doubles."""
    # twice
    return 2 * x
'''


def test_comments_docstrings_and_layout_of_python_do_not_count():
    reworded = '"""Another."""\nLIMIT = 3\ndef f(x):\n    """Twice."""\n    return (2 * x)\n'
    assert _essence("a.py", PYTHON) == _essence("a.py", reworded)


@pytest.mark.parametrize(("old", "new"), [("LIMIT = 3", "LIMIT = 4"), ("2 * x", "3 * x"), ("f(x)", "f(x, y=0)")])
def test_everything_else_of_python_counts(old, new):
    assert _essence("a.py", PYTHON) != _essence("a.py", PYTHON.replace(old, new))


def test_comments_and_white_space_of_sql_do_not_count_and_words_do():
    assert _essence("a.sql", "-- why\nSELECT  1\n") == _essence("a.sql", "SELECT 1 -- one")
    assert _essence("a.sql", "SELECT 1") != _essence("a.sql", "SELECT 2")


def test_data_counts_to_the_letter():
    assert _essence("a.toml", "x = 1") != _essence("a.toml", "x = 1 ")


def test_a_folder_counts_with_all_below_and_packages_by_their_version():
    assert code_digest("documents") == code_digest("documents")
    assert (
        len({code_digest("documents"), code_digest("documents/sql"), code_digest("documents", packages=("duckdb",))})
        == 3
    )


def test_a_file_that_is_not_there_is_an_error():
    with pytest.raises(FileNotFoundError, match=r"viberary_pipeline/documents/nothing\.py"):
        code_digest("documents/nothing.py")
