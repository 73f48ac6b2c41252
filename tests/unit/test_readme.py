"""Every command and every setting is documented: README is held to the code."""

import re
from pathlib import Path

import click
import pytest

from viberary_pipeline.cli import main
from viberary_pipeline.settings import reference

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(group: click.Group, prefix: str = "viberary") -> list[str]:
    found = []
    for name, command in group.commands.items():
        found += commands(command, f"{prefix} {name}") if isinstance(command, click.Group) else [f"{prefix} {name}"]
    return found


@pytest.mark.parametrize("command", commands(main))
def test_every_command_is_in_the_readme(command):
    *group, name = command.split()
    assert f"`{command}" in README or (f"`{' '.join(group)} " in README and f"`{name}`" in README)


def test_every_setting_that_the_readme_names_exists():
    known = {setting.variable for _, settings in reference() for setting in settings}
    named = set(re.findall(r"VIBERARY_[A-Z0-9_]+", README)) - {"VIBERARY_"}
    assert len(named) >= 8
    assert named <= known


def test_every_target_of_the_makefile_that_the_readme_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z]+)`", README)) | set(re.findall(r"^make ([a-z]+) ", README, re.MULTILINE))
    assert named >= {"demo", "test", "serve", "ui", "report", "help"}
    assert named <= targets
