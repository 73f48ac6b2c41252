"""README is held to the code: what it names exists."""

import re
from pathlib import Path

import click
import pytest

from viberary_pipeline.cli import main
from viberary_pipeline.settings import reference

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "RELEASING.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(group: click.Group, prefix: str = "viberary") -> set[str]:
    found = set()
    for name, command in group.commands.items():
        found |= commands(command, f"{prefix} {name}") if isinstance(command, click.Group) else {f"{prefix} {name}"}
    return found


def code(text: str) -> str:
    """What a page shows as code."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_every_command_that_a_page_names_exists(page):
    known = commands(main)
    groups = {command.rsplit(" ", 1)[0] for command in known} - {"viberary"}
    text = code(page.read_text(encoding="utf-8"))
    named = [match[1].split() for match in re.finditer(r"(?<![\w/.-])viberary ([a-z]+(?: [a-z]+)?)\b(?!/)", text)]
    # The word after a command may be its argument.
    tried = {tuple(f"viberary {' '.join(words[:count])}" for count in (1, 2)) for words in named}
    unknown = {names for names in tried if not {*names} & (known | groups)}
    assert unknown == set()


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_every_setting_that_a_page_names_exists(page):
    known = {setting.variable for _, settings in reference() for setting in settings}
    named = set(re.findall(r"\bVIBERARY_[A-Z0-9_]+\b", page.read_text(encoding="utf-8")))
    groups = {name for name in named if name.endswith("_") or name == "VIBERARY_GROUP_FIELD"}
    assert {name for name in named - groups if name not in known | BESIDE} == set()


BESIDE = {"VIBERARY_REDIS_MEMORY", "VIBERARY_REPORT_URL"}
"""Those of compose.yaml alone."""


def test_readme_names_the_settings_that_people_set():
    assert len(re.findall(r"^\| `VIBERARY_", README, re.MULTILINE)) == 10


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_every_target_of_the_makefile_that_a_page_names_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([a-z-]+)", text)) | set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE))
    assert named <= targets


def test_readme_names_the_commands_of_make_that_people_start_with():
    named = set(re.findall(r"\bmake ([a-z]+)", README))
    assert named >= {"demo", "serve", "ui", "report", "test", "help", "docs"}
