"""Every command and every setting is documented: README is held to the code."""

import re
from pathlib import Path

import click
import pytest
from pydantic_core import PydanticUndefined

from viberary_pipeline.cli import main
from viberary_pipeline.settings import Settings

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


# What an unset setting means, where that is not a value.
UNSET = {
    "raw": "the bundled sample",
    "redis_url": "an embedded server",
    "redis_server": "found by itself",
    "bounds": "[bounds.toml](viberary_pipeline/quality/bounds.toml)",
    "duckdb_threads": "all cores",
    "languages": "all",
    "vectors": "VIBERARY_HOME alone",
    "jobs": "",
    "ec2_subnets": "the default VPC's zones",
    "ec2_security_groups": "the VPC's default",
    "canaries": "none",
    "hnsw_ef_runtime": "by need",
}


def documented_defaults() -> dict[str, str]:
    """Setting to default, as in the README's table; a row may hold several, in order."""
    found = {}
    for line in README.splitlines():
        if line.startswith("| `VIBERARY_"):
            names, defaults, _ = (cell.strip() for cell in line.strip("|").split(" |"))
            for name, default in zip(names.split(", "), defaults.split(", "), strict=True):
                found[name.strip("`").removeprefix("VIBERARY_").lower()] = default.strip("`")
    return found


def test_the_settings_of_the_readme_are_those_of_the_code():
    assert set(documented_defaults()) == set(Settings.model_fields)


@pytest.mark.parametrize("setting", sorted(Settings.model_fields))
def test_every_default_in_the_readme_is_the_one_of_the_code(setting):
    default = Settings.model_fields[setting].default
    computed = default is None or default is PydanticUndefined or default == ()
    shown = ",".join(default) if isinstance(default, tuple) else str(default)
    assert documented_defaults()[setting] == (UNSET[setting] if computed else shown)


def test_every_target_of_the_makefile_that_the_readme_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z]+)`", README)) | set(re.findall(r"^make ([a-z]+) ", README, re.MULTILINE))
    assert named >= {"demo", "test", "serve", "ui", "report", "help"}
    assert named <= targets
