"""Decides which changes of code make a stage's artifact again.

A stage names the files that shape its result. Python counts by its syntax tree without docstrings, SQL without
comments and white space: rewording changes no key, everything else does. Nobody has to remember to raise a number.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable

_ROOT = "viberary_pipeline"
_READ = (".py", ".sql", ".toml", ".txt", ".html", ".css", ".lua", ".json")
_SQL_COMMENT = re.compile(r"--[^\n]*")


@cache
def code_digest(*paths: str, packages: tuple[str, ...] = ()) -> str:
    """16 hex digits that change when the named code does.

    Args:
        paths: Files of this package ('documents/assemble.py'), or folders with all below ('documents/sql').
        packages: Installed distributions whose version counts too ('duckdb').

    Raises:
        FileNotFoundError: there is no such file.
    """
    digest = hashlib.sha256()
    for path in paths:
        for name, entry in _entries(files(_ROOT).joinpath(path), path):
            digest.update(f"{name}\0{_essence(name, entry.read_text(encoding='utf-8'))}\0".encode())
    for package in packages:
        digest.update(f"{package} {version(package)}\0".encode())
    return digest.hexdigest()[:16]


def _entries(entry: Traversable, name: str) -> Iterator[tuple[str, Traversable]]:
    if entry.is_file():
        yield name, entry
    elif entry.is_dir():
        for child in sorted(entry.iterdir(), key=lambda child: child.name):
            if child.is_dir() or child.name.endswith(_READ):
                yield from _entries(child, f"{name}/{child.name}")
    else:
        raise FileNotFoundError(f"{_ROOT}/{name}")


def _essence(name: str, text: str) -> str:
    if name.endswith(".sql"):
        return " ".join(_SQL_COMMENT.sub("", text).split())
    if not name.endswith(".py"):
        return text
    tree = ast.parse(text)
    for node in [tree, *_statements(tree)]:
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and (ast.get_docstring(node, clean=False) or "").strip()
        ):
            node.body = node.body[1:]
    return ast.dump(tree)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """The statements below a node. Expressions, most of a tree, hold no docstrings and are left alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield child
            yield from _statements(child)
