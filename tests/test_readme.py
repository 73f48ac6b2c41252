"""Every command and every setting is documented: README is held to the code."""

from pathlib import Path

import click
import pytest

from viberary_pipeline.cli import main
from viberary_pipeline.settings import Settings

ROOT = Path(__file__).parent.parent
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


@pytest.mark.parametrize("setting", sorted(Settings.model_fields))
def test_every_setting_is_in_the_readme_with_its_default(setting):
    (line,) = [
        line
        for line in README.splitlines()
        if line.startswith("| `VIBERARY_") and f"`VIBERARY_{setting.upper()}`" in line
    ]
    default = Settings.model_fields[setting].default
    if isinstance(default, int | float) or setting in ("encoder", "recipe", "vector_type"):
        assert str(default) in line


def test_every_target_of_the_makefile_that_the_readme_names_exists():
    import re

    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z]+)`", README)) | set(re.findall(r"^make ([a-z]+) ", README, re.MULTILINE))
    assert named >= {"demo", "test", "serve", "ui", "report", "help"}
    assert named <= targets
