"""docs/: what is made from the code is as the code is; links lead somewhere; the site builds without a warning."""

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md"))


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


write_reference = script("write_reference")
draw_docs = script("draw_docs")


@pytest.mark.parametrize("page", write_reference.pages(), ids=lambda page: page.stem)
def test_the_made_parts_of_a_page_are_those_of_the_code(page):
    text = page.read_text(encoding="utf-8")
    assert write_reference.written(text) == text, "run `make reference`"


def test_every_made_part_stands_on_a_page():
    held = "".join(page.read_text(encoding="utf-8") for page in write_reference.pages())
    assert {name for name in write_reference.BLOCKS if f"<!-- made: {name} -->" in held} == set(write_reference.BLOCKS)


@pytest.mark.parametrize("name", draw_docs.PICTURES)
def test_a_picture_is_drawn_from_the_code(name):
    drawn = (draw_docs.IMAGES / name).read_text(encoding="utf-8")
    assert draw_docs.PICTURES[name]() == drawn, "run `make reference`"


def test_the_picture_of_packages_shows_each_package_once():
    shown = [name for names in draw_docs.GROUPS.values() for name in names]
    assert sorted(shown) == sorted(draw_docs.packages())


def test_the_tree_of_contributing_names_each_package():
    tree = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## The tree", 1)[1].split("```")[1]
    named = set(re.findall(r"^  (.*?)(?:    |$)", tree, re.MULTILINE))
    words = {word.strip("/").removesuffix(".py") for line in named for word in line.split()}
    assert set(draw_docs.packages()) - words == set()


@pytest.mark.parametrize("name", [name for name, _ in write_reference.commands()])
def test_the_example_of_a_command_is_a_call_of_it(name):
    example = write_reference.EXAMPLES[name]
    named, arguments = write_reference.parsed(example)
    assert named == name
    dict(write_reference.commands())[name].make_context(name, list(arguments))


def test_the_messages_that_troubleshooting_quotes_are_those_of_the_code():
    table = re.findall(r"^\| (.+?) \|", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
    quoted = [quote for symptom in table for quote in re.findall(r"`([^`]+)`", symptom) if " " in quote]
    files = [*(ROOT / "viberary_pipeline").rglob("*.py"), *(ROOT / "scripts").iterdir()]
    source = "\n".join(path.read_text(encoding="utf-8") for path in files if path.is_file())
    assert [quote for quote in quoted if quote not in source] == []
    assert len(quoted) >= 12


def first_column(page, heading):
    """What stands as code in the first column of the tables below a heading."""
    text = (DOCS / page).read_text(encoding="utf-8")
    below = re.split(r"^#+ ", text.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    cells = re.findall(r"^\| (.*?) \|", below, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_the_architecture_names_every_stage():
    from viberary_pipeline.assets import BUILD_ASSETS

    stages = {key.to_user_string() for asset in BUILD_ASSETS for key in asset.keys}
    shown = first_column("design.md", "The flow")
    assert shown <= stages
    assert {stage for stage in stages - shown if not stage.startswith(("raw_", "ol_"))} == set()


def test_the_architecture_names_every_gate():
    from viberary_pipeline.index.gate_result import REQUIRED_GATES

    assert first_column("design.md", "The gates") == set(REQUIRED_GATES)


def test_operations_name_every_job_schedule_and_sensor():
    from viberary_pipeline.definitions import defs

    repository = defs.get_repository_def()
    named = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    named |= {schedule.name for schedule in repository.schedule_defs}
    named |= {sensor.name for sensor in repository.sensor_defs}
    assert first_column("operations.md", "Jobs, schedule and sensors") == named


def markdown_links(text):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", text)


@pytest.mark.parametrize("path", [*sorted(ROOT.glob("*.md")), *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_of_a_page_lead_to_files(path):
    gone = [
        link
        for link in markdown_links(path.read_text(encoding="utf-8"))
        if not urlsplit(link).scheme and urlsplit(link).path and not (path.parent / urlsplit(link).path).exists()
    ]
    assert gone == []


class Page(HTMLParser):
    """The anchors of an HTML page, and where its links lead."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links = set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        self.links += [given[name] for name in ("href", "src") if given.get(name)]


NEEDED = [name for name in ("sphinx", "furo", "myst_parser") if importlib.util.find_spec(name) is None]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if NEEDED:
        pytest.skip(f"the extra `docs` is not installed ({', '.join(NEEDED)}): run `make setup`")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", str(out / "trees"), str(DOCS)]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [*command, str(out / "html")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return out / "html"


def test_every_link_and_anchor_of_the_site_leads_somewhere(site):
    pages = {path: Page(path) for path in site.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            fragment = unquote(parts.fragment)
            if not target.exists() or (fragment and target in pages and fragment not in pages[target].anchors):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []
    assert len(pages) > len(PAGES)


def test_every_page_is_in_the_navigation(site):
    home = set(Page(site / "index.html").links)
    decisions = {f"decisions/{link}" for link in Page(site / "decisions" / "index.html").links}
    wanted = {str(path.relative_to(DOCS).with_suffix(".html")) for path in PAGES} - {"index.html"}
    assert wanted - home - decisions == set()
