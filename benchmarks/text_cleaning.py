"""clean_text against libraries that read HTML: speed, and where they disagree.

    pip install beautifulsoup4 lxml nh3 selectolax
    python benchmarks/text_cleaning.py [--texts DIR] [--out benchmarks/results/text_cleaning.json]

DIR holds goodreads_books.json.gz (and goodreads_reviews_dedup.json.gz); without it, the bundled sample. Three sets of
texts of about 900 characters are made from its descriptions, by a fixed seed: `plain` (two joined), `mixed` (as UCSD's
may be: paragraphs in 40 %, typographic quotes in 30 %, tags in 3 %, entities in 2 %, an address in 1 %, invisible
characters in 1 %, a spoiler in 0.2 %; the shares are a guess) and `dirty` (one of the last five in every text).

A library reads the markup and the entities; the other steps (spoilers, addresses, invisible characters, NFC, white
space) follow in Python and are the same for all. Times are of the CPU, one thread, the best of three runs.
"""

import argparse
import gzip
import html
import json
import random
import re
import tempfile
import time
import unicodedata
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import duckdb
import pyarrow as pa
from reporting import machine

from viberary_pipeline.sample.write import write_sample
from viberary_pipeline.sources.cleaning import register_text

TEXTS = 50_000
COMPARED = 2_000
"""How many of them the libraries read: some take a hundred times as long."""

BLOCKS = re.compile(r"(?i)<(?=/?(?:p|br|div|li|ul|ol|h[1-6]|hr|tr|td|table|blockquote)\b)")
SPOILER = re.compile(r"\(view spoiler\)\s*\[.*?(?:\(hide spoiler\)\s*\]|\Z)", re.S)
ADDRESS = re.compile(r"(?i)(?:(?:https?|ftp)://|\bwww\.)\S*")
INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

ODD = [
    "I <3 this book and a < b and c > d",
    "&lt;i&gt;Emma&lt;/i&gt; &amp;amp; more",
    "a <b and more <i>text</i>",
    "text <!-- never closed",
    "safe <script>alert(1)",
    "<i>Emma</i>, a novel<br>two",
    "a <x <b>y</b>> z",
    "AT&T &copy 1999 &bogus; &#0;",
    "nul\x00byte",
]
"""What HTML libraries, and people, read in different ways."""


def descriptions(folder: Path) -> list[str]:
    texts = []
    for name, field in (("goodreads_books", "description"), ("goodreads_reviews_dedup", "review_text")):
        path = folder / f"{name}.json.gz"
        if path.is_file():
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                for line in lines:
                    try:
                        texts.append(str(json.loads(line).get(field) or ""))
                    except json.JSONDecodeError:
                        continue
    return sorted({text for text in texts if len(text) >= 100})


DIRT: dict[str, Callable[[str], str]] = {
    "tags": lambda t: f"<p><b>{t[:20]}</b><br />{t[20:300]}</p><p><i>{t[300:330]}</i>{t[330:]}",
    "entities": lambda t: t.replace(" and ", " &amp; ").replace('"', "&quot;").replace("'", "&#39;") + " &hellip;",
    "address": lambda t: f"{t[:400]} http://www.example.org/books?id=1 {t[400:]} www.example.org",
    "invisible": lambda t: f"\ufeff{t[:100]}\u200b{t[100:200]}\u00ad{t[200:]}\u00a0",
    "spoiler": lambda t: f"{t[:300]} (view spoiler)[{t[300:600]} (hide spoiler)] {t[600:]}",
}
SHARES = {"tags": 0.03, "entities": 0.02, "address": 0.01, "invisible": 0.01, "spoiler": 0.002}


def text_sets(texts: list[str], seed: int = 3) -> dict[str, list[str]]:
    rnd = random.Random(seed)
    plain = []
    for _ in range(TEXTS):
        text = rnd.choice(texts)
        while len(text) < 700:
            text += " " + rnd.choice(texts)
        plain.append(text[:1400])
    mixed = []
    for text in plain:
        if rnd.random() < 0.4:
            text = text.replace(". ", ".\n\n", 2)
        if rnd.random() < 0.3:
            text = text.replace("'", "\u2019").replace(" - ", " \u2014 ")
        for kind, share in SHARES.items():
            if rnd.random() < share:
                text = DIRT[kind](text)
        mixed.append(text)
    dirty = [DIRT[rnd.choice(list(DIRT))](text) for text in plain]
    return {"plain": plain, "mixed": mixed, "dirty": dirty}


def finish(text: str) -> str | None:
    """The steps that no HTML library does, each only where something calls for it."""
    if "(view spoiler)" in text:
        text = SPOILER.sub(" ", text)
    if "://" in text or "www." in text.lower():
        text = ADDRESS.sub(" ", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", INVISIBLE.sub("", text))
    if not text.isprintable():
        text = CONTROL.sub(" ", text)
    return " ".join(text.split()) or None


def readers() -> dict[str, Callable[[str], str]]:
    """Each library's way from HTML to text. Blocks get a blank before them where the library gives them none."""
    import lxml.html
    import nh3
    from bs4 import BeautifulSoup
    from selectolax.lexbor import LexborHTMLParser

    def selectolax(text: str) -> str:
        tree = LexborHTMLParser(BLOCKS.sub(" <", text))
        tree.strip_tags(["script", "style"])
        return tree.body.text() if tree.body else ""

    def lxml_html(text: str) -> str:
        tree = lxml.html.fromstring(f"<div>{BLOCKS.sub(' <', text.replace(chr(0), ' '))}</div>")
        for element in tree.xpath("//script|//style|//comment()"):
            element.drop_tree()
        return tree.text_content()

    def beautiful_soup(text: str) -> str:
        soup = BeautifulSoup(BLOCKS.sub(" <", text), "html.parser")
        for element in soup(["script", "style"]):
            element.decompose()
        return soup.get_text()

    def nh3_clean(text: str) -> str:
        return html.unescape(nh3.clean(BLOCKS.sub(" <", text), tags=set(), clean_content_tags={"script", "style"}))

    return {
        "selectolax (lexbor)": selectolax,
        "lxml.html text_content": lxml_html,
        "beautifulsoup4 html.parser": beautiful_soup,
        "nh3 + html.unescape": nh3_clean,
    }


def best_of_three(work: Callable[[], object]) -> float:
    """CPU seconds."""
    seconds = []
    for _ in range(3):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return min(seconds)


def speed(seconds: float, texts: list[str]) -> dict[str, float]:
    characters = sum(map(len, texts))
    return {
        "us_per_text": round(seconds / len(texts) * 1e6, 2),
        "million_characters_per_s": round(characters / seconds / 1e6, 2),
    }


def ours(texts: list[str]) -> tuple[dict[str, float], list[str | None]]:
    with duckdb.connect(config={"threads": 1}) as connection:
        register_text(connection)
        table = pa.table({"place": range(len(texts)), "text": pa.array(texts, pa.string())})
        connection.register("arrow_texts", table)
        connection.execute("CREATE TABLE texts AS FROM arrow_texts")
        count = "SELECT sum(strlen({})) FROM texts"
        scan = best_of_three(lambda: connection.execute(count.format("text")).fetchall())
        taken = best_of_three(lambda: connection.execute(count.format("clean_text(text)")).fetchall())
        rows = connection.execute("SELECT clean_text(text) FROM texts ORDER BY place LIMIT $n", {"n": COMPARED})
        return speed(taken - scan, texts), [row[0] for row in rows.fetchall()]


def compare(read: Callable[[str], str], dirty: list[str], cleaned: list[str | None]) -> dict:
    """Speed of one library, and the share of texts for which it and we come to the same."""
    outputs = [finish(read(text)) for text in dirty]
    different = [(mine, other) for mine, other in zip(cleaned, outputs, strict=True) if (mine or "") != (other or "")]
    blanks = [pair for pair in different if re.sub(" ", "", pair[0] or "") == re.sub(" ", "", pair[1] or "")]
    return {
        "markup alone": speed(best_of_three(lambda: [read(text) for text in dirty]), dirty),
        "all steps": speed(best_of_three(lambda: [finish(read(text)) for text in dirty]), dirty),
        "same_output_share": round(1 - len(different) / len(dirty), 4),
        "differ_in_blanks_alone": len(blanks),
        "differ_otherwise": len(different) - len(blanks),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, help="folder with the gz files (default: the bundled sample)")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.texts is None:
            write_sample(Path(folder))
        texts = descriptions(options.texts or Path(folder))
    packages = ("duckdb", "selectolax", "lxml", "beautifulsoup4", "nh3")
    results: dict = {
        "machine": machine(),
        "versions": {name: version(name) for name in packages},
        "texts_from": "bundled sample" if options.texts is None else options.texts.name,
        "different_texts": len(texts),
        "sets": {},
    }
    for name, dirty in text_sets(texts).items():
        figures, cleaned = ours(dirty)
        results["sets"][name] = {
            "texts": len(dirty),
            "mean_characters": round(sum(map(len, dirty)) / len(dirty)),
            "clean_text in DuckDB": figures,
        }
        for library, read in readers().items():
            results["sets"][name][library] = compare(read, dirty[:COMPARED], cleaned)
    _, cleaned = ours(ODD)
    results["odd_texts"] = [
        {"text": text, "clean_text": mine, **{name: finish(read(text)) for name, read in readers().items()}}
        for text, mine in zip(ODD, cleaned, strict=True)
    ]
    mixed = results["sets"]["mixed"]
    fastest = min(readers(), key=lambda name: mixed[name]["all steps"]["us_per_text"])
    ratio = mixed[fastest]["all steps"]["us_per_text"] / mixed["clean_text in DuckDB"]["us_per_text"]
    results["choice"] = (
        f"clean_text in DuckDB: on the mixed set {ratio:.1f} times as fast as {fastest}, the fastest library, before "
        "the way from DuckDB to Python and back is counted; on every thread of the query, where a library holds "
        "Python's lock. Entities alone go to Python (html.unescape), for the texts that hold any."
    )
    text = json.dumps(results, indent=1, ensure_ascii=False)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
