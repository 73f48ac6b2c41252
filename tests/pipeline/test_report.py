"""The data-quality report: its page in a real browser, its plots, and what it does with what is missing."""

import base64
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from browsing import PHONE, be_a_phone, requested_addresses
from selenium import webdriver
from selenium.webdriver.common.by import By
from table_rows import author, book, document, review, write

from viberary_pipeline.artifacts import ArtifactStore, Produced
from viberary_pipeline.checks import table_checks
from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.quality.baseline import Baseline, Comparison, save_baseline
from viberary_pipeline.quality.bounds import BOUNDS, TABLES
from viberary_pipeline.quality.distributions import DISTRIBUTIONS, TOKENS, Distribution, counting
from viberary_pipeline.quality.drift import drift_metrics
from viberary_pipeline.quality.profile import distribution, profile, profiled
from viberary_pipeline.quality.report import plots
from viberary_pipeline.quality.report.inputs import ReportInputs, TableInput
from viberary_pipeline.quality.report.kept_plots import KeptPlots
from viberary_pipeline.quality.report.make import make_report, table_plots
from viberary_pipeline.quality.report.page import publish_report, write_report
from viberary_pipeline.quality.report.plots import plots_markdown, png, shown_bins, shown_shares, svg
from viberary_pipeline.quality.report.summary import verdict
from viberary_pipeline.quality.report.text import number, percent, short, size, visible
from viberary_pipeline.quality.results import ExpectationResult
from viberary_pipeline.quality.validation import validate, validated
from viberary_pipeline.resources import Pipeline, home_lock, pipeline_resource
from viberary_pipeline.settings import load_settings

LIMITS = DuckLimits("1GB", 2)
EVIL = "<script>document.title='pwned'</script><img src=x onerror=\"document.title='pwned'\">"
SEEN = "\x00\x1b[31m\u202egnorw\u200b"

ROWS: dict[str, list[dict[str, Any]]] = {
    "books": [book(1, work_id="w1"), book(2, work_id="w1", language=EVIL), book(3, num_pages=None)],
    "authors": [author(1), author(2)],
    "reviews": [review(1), review(2), review(3, rating=2)],
    "documents": [
        document(1, title=EVIL, author=EVIL, genres=[EVIL, "$\\alpha$ & <b>"]),
        document(2, title=EVIL, author=EVIL, language=EVIL),
    ],
}
REJECTS = [
    ("books.json.gz", 7, "malformed", None, f'{{"title": "{EVIL}{SEEN}'),
    ("books.json.gz", 3, "malformed", None, "{"),
    ("books.json.gz", 5, "malformed", EVIL, "[]"),
    ("books.json.gz", 9, "malformed", None, "the fourth"),
    ("books.json.gz", 4, EVIL, "b4", None),
]
FACTS: dict[str, dict[str, Any]] = {
    "books": {
        "lines": 8,
        "rows": 3,
        "rejected": {"malformed": 4, EVIL: 1},
        "nulled": {"num_pages": 1, EVIL: 2},
        "repaired": {"crlf": 3},
        "notes": [f"{EVIL}-1.json.gz is read, and not books.json"],
        "files": [{"file": f"{EVIL}.json.gz", "bytes": 2_043_729_443, "lines": 8, "rows": 3, "rejected": 5}],
    },
    "authors": {"lines": 2, "rows": 2, "rejected": {}},
    "reviews": {"lines": 15_739_967, "rows": 15_739_967, "rejected": {}},
    "documents": {
        "rows": 2,
        "thin": 1,
        "editions": 3,
        "reviews_used": 7,
        "reviews_not_needed": 11,
        "excluded": {"review_of_unknown_book": 1},
        "filtered": {EVIL: 4},
        "same_title_author": 2,
    },
}
TOKENS_FOUND = {"documents": 2, "max_tokens": 200, "cut": 1, **distribution(TOKENS, {30: 1, 250: 1})}


def rejects_file(path: Path) -> Path:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE r (file VARCHAR, line BIGINT, reason VARCHAR, record_id VARCHAR, raw VARCHAR)")
        connection.executemany("INSERT INTO r VALUES (?, ?, ?, ?, ?)", REJECTS)
        connection.execute(f"COPY r TO '{path}' (FORMAT parquet)")
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home in which `inputs` were validated: its Data Docs are there."""
    return tmp_path_factory.mktemp("inputs")


@pytest.fixture(scope="module")
def inputs(home: Path) -> ReportInputs:
    """Everything there is, with markup wherever the data may have some; compared with half as many rows."""
    paths = {table: write(home / f"{table}.parquet", table, rows) for table, rows in ROWS.items()}
    profiles = {
        table: profile(table, paths[table], scratch=home, limits=LIMITS, facts=FACTS[table]) for table in TABLES
    }
    last = Comparison(
        Baseline(
            f"b1 {EVIL}",
            "given",
            {
                table: profile(table, write(home / "then.parquet", table, ROWS[table][:1]), scratch=home, limits=LIMITS)
                for table in TABLES
            },
        )
    )
    tables = {}
    for table in TABLES:
        report = validate(
            table,
            paths[table],
            docs=home / "quality" / "docs",
            run_name="run",
            related={name: paths[name] for name in ("books", "authors", "reviews")},
            drift=drift_metrics(table, profiles[table], last),
        )
        tables[table] = TableInput(
            facts=FACTS[table],
            rejects=rejects_file(home / "rejects.parquet") if table == "books" else None,
            profile=profiles[table],
            results=report.results,
            page=report.page,
        )
    return ReportInputs(tables, "given", last, TOKENS_FOUND, EVIL, "2026-11-23 21:00 UTC")


# ------------------------------------------------------------------------------------------- in a real browser


@pytest.mark.browser
def test_markup_in_the_data_is_text_and_nothing_is_asked_of_a_network(
    browser: webdriver.Chrome, inputs: ReportInputs, tmp_path: Path
) -> None:
    page = publish_report(tmp_path, "b2", inputs)
    browser.get(page.as_uri())
    assert browser.title == "Viberary data quality report"
    for tag in ("script", "img", "iframe", "b.evil", "[onerror]", "[onload]"):
        assert browser.find_elements(By.CSS_SELECTOR, tag) == [], tag
    assert browser.get_log("browser") == []
    # The driver's own start page apart, the page itself is all that was ever read.
    assert {address for address in requested_addresses(browser) if not address.startswith("data:")} == {page.as_uri()}

    text = browser.find_element(By.TAG_NAME, "body").get_attribute("textContent") or ""
    shown = [
        f"{EVIL}.json.gz",  # a file's name
        f"books: {EVIL}-1.json.gz is read, and not books.json.",
        "⟨U+0000⟩⟨U+001B⟩[31m⟨U+202E⟩gnorw⟨U+200B⟩",  # a line that was left out
        f"id {EVIL}",
        f"filter {EVIL}",
        f"The encoder {EVIL} reads 200 tokens",
    ]
    assert [expected for expected in shown if expected not in " ".join(text.split())] == []
    titles = [cell.get_attribute("textContent") for cell in browser.find_elements(By.CSS_SELECTOR, "#documents td")]
    assert titles.count(EVIL) == 2  # a work's title and its author

    labels = [label.get_attribute("textContent") for label in browser.find_elements(By.CSS_SELECTOR, "svg text")]
    assert EVIL[:24] in labels
    assert "$\\alpha$ & <b>" in labels  # neither mathematics nor markup


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_follows_the_reader_s_colours(
    browser: webdriver.Chrome, inputs: ReportInputs, tmp_path: Path, scheme: str
) -> None:
    page = write_report(tmp_path / "quality" / "report" / "b2.html", inputs)
    be_a_phone(browser, scheme)
    browser.get(page.as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") == PHONE[0]
    colour = browser.execute_script("return getComputedStyle(document.querySelector('svg text')).fill")
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (colour, paper) == {
        "light": ("rgb(31, 35, 40)", "rgb(255, 255, 255)"),
        "dark": ("rgb(230, 237, 243)", "rgb(13, 17, 23)"),
    }[scheme]


@pytest.mark.slow
@pytest.mark.browser
def test_its_links_lead_to_data_docs(browser: webdriver.Chrome, inputs: ReportInputs, home: Path) -> None:
    page = publish_report(home, "b2", inputs)
    for start in (page, page.with_name("latest.html")):
        browser.get(start.as_uri())
        for target in ("every one of them", "All results and their history"):
            link = browser.find_element(By.PARTIAL_LINK_TEXT, target)
            browser.get(link.get_attribute("href") or "")
            assert browser.find_element(By.TAG_NAME, "h1").text.startswith(("books", "Viberary data quality"))
            browser.back()
    names = [link.get_attribute("href") for link in browser.find_elements(By.CSS_SELECTOR, "nav a")]
    anchors = {str(name).split("#")[1] for name in names}
    assert {
        element.get_attribute("id")
        for element in browser.find_elements(By.TAG_NAME, "section")
        if element.get_attribute("id")
    } == anchors


# ------------------------------------------------------------------------------------------------- what it says


def words(page: Path) -> str:
    """The text of a page, without its style."""
    html = page.read_text()
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<style>.*?</style>|<svg.*?</svg>", " ", html)).split())


def test_the_figures_of_every_section(inputs: ReportInputs, tmp_path: Path) -> None:
    page = words(write_report(tmp_path / "quality" / "report" / "b2.html", inputs))
    for told in (
        "2.04 GB 8 3 5",
        "books: 5 of 8 lines (62.5%)",
        "malformed 4 The first 3 lines books.json.gz, line 3 {",
        "books num_pages values emptied: unreadable or out of range 1",
        "books crlf lines read all the same 3",
        "num_pages 66.7% 100%",
        "Half have at most 30 , 95% at most 250; the most is 250.",
        "50.0% of the texts are longer and lose their end",
        "on all 2 documents",
        "3 rows, 1 in the live build",
        "Reviews in the texts of works 7 Reviews that were as good, beyond the places of their work 11",
        "15.7 million +1573996600.0% against the live build",
    ):
        assert told in page, told
    assert "the fourth" not in page
    assert page.count("Groups of works that share title and first author 2") == 1


def test_the_page_leads_with_what_changed_and_what_failed(inputs: ReportInputs, tmp_path: Path) -> None:
    """Statistics come after the checks; a table with a failure stands before those without."""
    tables = {**inputs.tables, "authors": replace(inputs.tables["authors"], results=[MET]), "reviews": table(MISSED)}
    page = write_report(tmp_path / "x.html", replace(inputs, tables=tables)).read_text()
    order = re.findall(r'<section id="([a-z]+)">', page)
    assert order[:3] == ["drift", "checks", "files"]
    checks = page[page.index('id="checks"') : page.index('id="files"')]
    assert checks.index("<h3>reviews") < checks.index("<h3>authors")


def test_a_table_that_did_not_change_is_named_and_not_drawn(inputs: ReportInputs, tmp_path: Path) -> None:
    baseline = inputs.compared_with.baseline
    assert baseline is not None
    same = {**baseline.profiles, "books": inputs.tables["books"].profile}
    against = replace(inputs.compared_with, baseline=replace(baseline, profiles=same))
    page = write_report(tmp_path / "x.html", replace(inputs, compared_with=against)).read_text()
    changed = page[page.index('id="drift"') : page.index('id="checks"')]
    assert "As in the live build: books." in changed
    assert "<h3>books</h3>" not in changed


def test_a_sample_of_the_texts_is_called_one(inputs: ReportInputs, tmp_path: Path) -> None:
    more = {**inputs.tables, "documents": TableInput({**FACTS["documents"], "rows": 3})}
    changed = ReportInputs(more, "given", tokens=TOKENS_FOUND)
    assert "a sample of 2 documents, those with the lowest text hashes" in words(
        write_report(tmp_path / "x.html", changed)
    )


def table(*results: ExpectationResult) -> TableInput:
    return TableInput({"lines": 1, "rows": 1, "rejected": {}}, results=list(results))


MET = ExpectationResult("has_rows", "ERROR", "passed", "at least 1", "0", None, None, (), "Because.")
MISSED = replace(MET, outcome="failed")
DRIFT = replace(MET, name="drift_rows", expected="at least 90%", examples=("120 rows, 240 in the live build",))
UNCOMPARED = replace(MET, name="drift_rows", outcome="not compared", observed="no earlier build")
EMPTY = replace(UNCOMPARED, name="english_share", observed="no row has a value")
ALL_MET = dict.fromkeys(TABLES, table(MET))


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (ALL_MET, ("passed", "Fit to be indexed: every expectation is met.")),
        (
            {**ALL_MET, "books": table(replace(MISSED, severity="WARN"))},
            ("warning", "Fit to be indexed; one warning is worth a look."),
        ),
        (
            {**ALL_MET, "books": table(MISSED)},
            ("error", "Refused, no index is built. books.has_rows: 0; expected at least 1."),
        ),
        (
            {**ALL_MET, "books": table(replace(DRIFT, outcome="failed"))},
            (
                "error",
                "Refused, no index is built. books: 120 rows, 240 in the live build; at least 90% must remain.",
            ),
        ),
        (
            {**ALL_MET, "books": table(replace(DRIFT, outcome="failed", severity="WARN", accepted=True))},
            ("warning", "Fit to be indexed, because its drift was accepted beforehand: books.drift_rows."),
        ),
        (
            {"books": table(MET), "authors": table(MET)},
            ("warning", "Not finished: reviews and documents are missing or not checked."),
        ),
        (
            {"books": table(MISSED)},
            ("error", "Refused, no index is built. books.has_rows: 0; expected at least 1."),
        ),
        (
            dict.fromkeys(TABLES, table(MET, UNCOMPARED)),
            (
                "not compared",
                "Fit to be indexed: no expectation failed. 4 expectations were not compared: no earlier build.",
            ),
        ),
        (
            {**ALL_MET, "books": table(MET, UNCOMPARED, EMPTY), "documents": table(UNCOMPARED)},
            (
                "not compared",
                "Fit to be indexed: no expectation failed. 3 expectations were not compared: "
                "no earlier build (2), no row has a value (1).",
            ),
        ),
        (
            {**ALL_MET, "books": table(MISSED, UNCOMPARED)},
            (
                "error",
                "Refused, no index is built. books.has_rows: 0; expected at least 1. "
                "1 expectation was not compared: no earlier build.",
            ),
        ),
    ],
)
def test_the_verdict(tables: dict[str, TableInput], expected: tuple[str, str]) -> None:
    assert verdict(ReportInputs(tables, "given")) == expected


def test_it_is_written_with_whatever_is_missing(inputs: ReportInputs, tmp_path: Path) -> None:
    bare = {"lines": 0, "rows": 0, "rejected": {}}
    optional = {
        "works": TableInput({**bare, "lines": 5, "rows": 4, "rejected": {"malformed": 1}}),
        "genres": TableInput(bare),
    }
    empty = {
        name: TableInput(
            bare, profile=profile(name, write(tmp_path / "e.parquet", name, []), scratch=tmp_path, limits=LIMITS)
        )
        for name in TABLES
        if name != "documents"
    }
    for number_, tables in enumerate(
        ({}, {"books": TableInput(bare)}, optional, empty, {"books": inputs.tables["books"]})
    ):
        page = words(write_report(tmp_path / f"{number_}.html", ReportInputs(tables, "sample")))
        assert "The bundled sample" in page
        assert "There is nothing to compare with: no earlier build." in page
        assert "Not there yet: " in page


def test_only_the_last_reports_are_kept(inputs: ReportInputs, tmp_path: Path) -> None:
    small = ReportInputs({}, "sample")
    pages = [publish_report(tmp_path, f"b{n}", small) for n in range(12)]
    kept = {path.name for path in (tmp_path / "quality" / "report").iterdir()}
    assert kept == {*(page.name for page in pages[2:]), "latest.html"}
    assert (tmp_path / "quality" / "report" / "latest.html").read_text() == pages[-1].read_text()


# --------------------------------------------------------------------------------------------- from the stages


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(load_settings(home=tmp_path, raw="/data", duckdb_memory_limit="1GB", duckdb_threads=2))


@pytest.fixture
def make(pipeline: Pipeline) -> Callable[..., None]:
    def run(name: str, version: int = 1) -> None:
        store: ArtifactStore = pipeline.store

        def build(out: Path) -> dict[str, Any]:
            write(out / f"{name}.parquet", name, ROWS[name])
            return FACTS[name]

        upstream = {t: store.current(t).key for t in TABLES[:3]} if name == "documents" else {"raw": str(version)}
        store.produce(name, inputs=upstream, settings={}, build=build)

    return run


def report_of(pipeline: Pipeline) -> Produced:
    return make_report(pipeline.store, pipeline.home, "given", LIMITS)


def test_the_report_grows_with_the_stages(pipeline: Pipeline, make: Callable[..., None]) -> None:
    make("books")
    first = report_of(pipeline)
    page = first.artifact.page
    assert page.parent == pipeline.home / "quality" / "report"
    assert "Not there yet: authors, reviews, documents." in words(page)
    again = report_of(pipeline)
    assert (again.reused, again.artifact.page) == (True, page)

    for name in ("authors", "reviews", "documents"):
        make(name)
    whole = report_of(pipeline)
    assert not whole.reused
    latest = pipeline.home / "quality" / "report" / "latest.html"
    assert latest.read_text() == whole.artifact.page.read_text()
    assert "Documents, one per work 2" in words(latest)

    make("books", version=2)  # the documents are of the books before
    assert "Not there yet: documents." in words(report_of(pipeline).artifact.page)

    make("books", version=1)
    back = report_of(pipeline)
    assert back.reused
    assert "Documents, one per work 2" in words(latest)
    back.artifact.page.unlink()
    assert not report_of(pipeline).reused


def publish(pipeline: Pipeline, build: str, *tables: str) -> None:
    """Make the current tables the baseline, as `published_index` does."""
    profiles = {name: profiled(pipeline.store, name, LIMITS).facts for name in tables}
    keys = {name: pipeline.store.current(name).key for name in tables}
    save_baseline(pipeline.home, Baseline(build, "given", profiles, keys))


def validated_books(pipeline: Pipeline, run_name: str, **options: Any) -> Any:
    return validated(
        pipeline.store,
        "books",
        home=pipeline.home,
        source="given",
        limits=LIMITS,
        run_name=run_name,
        **options,
    )


def test_validation_and_report_of_the_published_tables_stand(pipeline: Pipeline, make: Callable[..., None]) -> None:
    make("books")
    first, report = validated_books(pipeline, "first"), report_of(pipeline)
    publish(pipeline, "b1", "books")
    assert validated_books(pipeline, "second").path == first.path
    assert (report_of(pipeline).reused, report_of(pipeline).artifact.path) == (True, report.artifact.path)
    assert validated_books(pipeline, "third", force=True).path != first.path

    make("books", version=2)  # another artifact: compared with the published build
    changed = validated_books(pipeline, "fourth")
    outcomes = {r["name"]: r["outcome"] for r in changed.facts["results"] if r["name"].startswith("drift_")}
    assert set(outcomes.values()) == {"passed"}
    assert "Compared with the published build b1." in words(report_of(pipeline).artifact.page)


def test_a_validation_does_not_stand_without_its_page_or_under_other_bounds(
    pipeline: Pipeline, make: Callable[..., None], tmp_path: Path
) -> None:
    make("books")
    first = validated_books(pipeline, "first")
    publish(pipeline, "b1", "books")
    bounds = tmp_path / "bounds.toml"
    bounds.write_text(BOUNDS.read_text() + "\n# another file\n")
    assert validated_books(pipeline, "second", bounds=bounds).path != first.path
    again = validated_books(pipeline, "third")
    again.page.unlink()
    assert validated_books(pipeline, "fourth").page.is_file()


def test_an_unchanged_rebuild_imports_neither_great_expectations_nor_matplotlib(
    pipeline: Pipeline, make: Callable[..., None]
) -> None:
    make("books")
    validated_books(pipeline, "first")
    report_of(pipeline)
    table_plots(pipeline.store, "books", LIMITS)
    publish(pipeline, "b1", "books")
    code = f"""
import sys
from pathlib import Path
from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.duck import DuckLimits
from viberary_pipeline.quality.report.make import make_report, table_plots
from viberary_pipeline.quality.validation import validated
home, limits = Path({str(pipeline.home)!r}), DuckLimits("1GB", 2)
store = ArtifactStore(home)
validated(store, "books", home=home, source="given", limits=limits, run_name="again")
report = make_report(store, home, "given", limits)
print(report.reused, report.artifact.facts["rows"])
print(table_plots(store, "books", limits).count("data:image/png;base64,"))
print([name for name in ("great_expectations", "matplotlib", "pandas", "PIL", "jinja2") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True {'books': 3}\n8\n[]\n"


def test_one_check_can_be_run_alone(pipeline: Pipeline, make: Callable[..., None]) -> None:
    make("books")

    @dg.asset
    def books() -> None: ...

    checks = [check for check in table_checks(BOUNDS) if check.node_def.name == "books_quality"]
    result = dg.materialize(
        [books, *checks],
        selection=dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("books"), "has_rows")),
        resources={"pipeline": pipeline_resource(pipeline.settings), "home_lock": home_lock(pipeline.settings)},
    )
    evaluated = [(check.check_name, check.passed) for check in result.get_asset_check_evaluations()]
    assert evaluated == [("has_rows", True)]


@pytest.mark.parametrize("accept_drift", [False, True])
def test_a_refused_table_still_gets_its_report(
    pipeline: Pipeline, make: Callable[..., None], tmp_path: Path, accept_drift: bool
) -> None:
    ran = []

    @dg.asset
    def books() -> None:
        make("books")

    @dg.asset(deps=["books"])
    def downstream() -> None:
        ran.append("downstream")

    @dg.asset
    def authors() -> None:
        make("authors")

    then = write(tmp_path / "then.parquet", "books", [book(n) for n in range(30)])
    profiles = {"books": profile("books", then, scratch=tmp_path, limits=LIMITS)}
    save_baseline(pipeline.home, Baseline("b1", "given", profiles))
    every = table_checks(BOUNDS, accept_drift=accept_drift)
    checks = [check for check in every if check.node_def.name in ("books_quality", "authors_quality")]
    result = dg.materialize(
        [books, authors, downstream, *checks],
        resources={"pipeline": pipeline_resource(pipeline.settings), "home_lock": home_lock(pipeline.settings)},
        raise_on_error=False,
    )

    assert (result.success, ran) == ((True, ["downstream"]) if accept_drift else (False, []))
    evaluated = {check.check_name: check for check in result.get_asset_check_evaluations()}
    rows = evaluated["drift_rows"]
    assert (rows.passed, rows.severity.value) == (False, "WARN" if accept_drift else "ERROR")
    assert (rows.metadata["observed"].value, rows.metadata["outcome"].value) == ("10%", "failed")
    assert rows.description == "books: 3 rows, 30 in the live build; at least 90% must remain"
    uncompared = evaluated["drift_rejects"]
    assert (uncompared.passed, uncompared.severity.value) == (False, "WARN")
    assert uncompared.metadata["outcome"].value == "not compared"
    assert uncompared.description == "books.drift_rejects: not compared (no lines to compare)"
    latest = pipeline.home / "quality" / "report" / "latest.html"
    if accept_drift:
        assert rows.metadata["accepted"].value == "by VIBERARY_ACCEPT_DRIFT"
        assert not latest.exists()  # the report's own asset makes it
    else:
        assert Path(str(rows.metadata["report"].value)).is_file()
        assert "Refused, no index is built. books: 3 rows, 30 in the live build; at least 90% must remain." in words(
            latest
        )
        # Whichever table was checked last, the report knows of both.
        assert re.findall("(books|authors) not checked", words(latest)) == []


# -------------------------------------------------------------------------------------------------------- plots


def test_plots_are_small_images_in_markdown(inputs: ReportInputs) -> None:
    for name in TABLES:
        found = inputs.tables[name].profile
        assert found is not None
        images = re.findall(r"!\[([^\]]+)\]\(data:image/png;base64,([^)]+)\)", plots_markdown(name, found, KeptPlots()))
        assert [title for title, _ in images] == [
            shape.title for shape in DISTRIBUTIONS[name] if shown_bins(shape, found["distributions"][shape.name])
        ]
        for _, encoded in images:
            image = base64.b64decode(encoded)
            assert image.startswith(b"\x89PNG")
            width, height = struct.unpack(">II", image[16:24])
            assert (width, 100 < height < 600) == (460, True)
            assert len(encoded) < 60_000
    empty = {"distributions": {shape.name: distribution(shape, {}) for shape in DISTRIBUTIONS["authors"]}}
    assert plots_markdown("authors", empty, KeptPlots()) == ""


def test_a_plot_that_shows_the_same_is_kept_and_the_others_are_drawn_anew(
    inputs: ReportInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = inputs.tables["authors"].profile
    assert found is not None
    store, drawn = ArtifactStore(tmp_path), []

    def counted(shape: Distribution, measured: Mapping[str, Any]) -> bytes:
        drawn.append(shape.name)
        return png(shape, measured)

    monkeypatch.setattr(plots, "png", counted)

    def week(number: str, profile: Mapping[str, Any]) -> str:
        def build(out: Path) -> dict[str, Any]:
            kept = KeptPlots.of(store, "authors_plots")
            (out / "plots.md").write_text(plots_markdown("authors", profile, kept))
            kept.save(out)
            return {}

        drawn.clear()
        made = store.produce("authors_plots", inputs={}, settings={"week": number}, build=build).artifact
        return made.file("plots.md").read_text()

    first, names = week("1", found), [shape.name for shape in DISTRIBUTIONS["authors"]]
    assert drawn == names
    assert week("2", found) == first
    assert drawn == []
    moved = distribution(DISTRIBUTIONS["authors"][0], {5: 7})
    changed = {**found, "distributions": {**found["distributions"], names[0]: moved}}
    assert week("3", changed) == plots_markdown("authors", changed, KeptPlots()) != first
    assert drawn == [names[0], *names], "one for week 3, then all for the comparison"
    assert week("4", found) == first
    assert drawn == names[:1], "what the report before did not show is not kept"


NUMBERS = Distribution("x", "X", counting(1, 2, 4, 10))
KINDS = Distribution("y", "Y")


def test_what_plots_and_their_tables_show() -> None:
    now = distribution(NUMBERS, {2: 3, 5: 1}, rows=5)
    last = distribution(NUMBERS, {1: 1, 2: 1}, rows=2)
    assert shown_bins(NUMBERS, now) == [("2–3", 3), ("4–9", 1), ("unknown", 1)]
    assert shown_shares(NUMBERS, now, last) == [("2–3", 3, 0.6, 0.5), ("4–9", 1, 0.2, 0.0), ("unknown", 1, 0.2, 0.0)]
    many = distribution(KINDS, {f"{i:02}": 40 - i for i in range(20)} | {"other": 1000})
    shown = shown_bins(KINDS, many)
    assert [label for label, _ in shown] == [*(f"{i:02}" for i in range(14)), "other"]
    assert sum(count for _, count in shown) == sum(count for _, count in many["bins"])
    before_ = distribution(KINDS, {"00": 1, "19": 3})
    assert shown_shares(KINDS, many, before_)[0][3] == 0.25
    assert shown_shares(KINDS, many, before_)[-1][3] == 0.75  # what was elsewhere than in the bars shown


def test_a_plot_takes_its_colours_from_the_page_and_marks_the_limit() -> None:
    image = svg(TOKENS, TOKENS_FOUND, limit=200)
    assert image.startswith('<svg viewBox="')
    assert "cut at 200" in image
    assert {"var(--ink)", "var(--bar)", "var(--mark)", "var(--line)"} <= set(re.findall(r"var\(--\w+\)", image))
    assert not re.search(r"#0101|\sid=|url\(|xlink|<script|<!DOCTYPE", image)
    assert "var(--live)" not in image
    assert "var(--live)" in svg(NUMBERS, distribution(NUMBERS, {1: 1}), distribution(NUMBERS, {2: 1}))
    assert svg(KINDS, distribution(KINDS, {})) == ""
    assert png(KINDS, distribution(KINDS, {})) == b""


def test_numbers_and_texts() -> None:
    assert [percent(x) for x in (None, 0, 1, 0.5, 0.0012, 0.00001, 0.0000001, 0.9996)] == [
        "–",
        "0%",
        "100%",
        "50.0%",
        "0.12%",
        "0.001%",
        "<0.001%",
        "99.96%",
    ]
    assert [short(x) for x in (0, 829_529, 2_360_655, 15_739_967)] == ["0", "829,529", "2.36 million", "15.7 million"]
    assert [size(x) for x in (0, 999, 17_877_585, 2_043_729_443)] == ["0 bytes", "999 bytes", "17.9 MB", "2.04 GB"]
    assert [number(x) for x in (1_234_567, 3.75)] == ["1,234,567", "3.75"]
    assert visible("naïve – 本\tx\ufeff") == "naïve – 本⟨U+0009⟩x⟨U+FEFF⟩"
