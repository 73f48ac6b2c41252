"""Text recipes by search quality: the default encoder, exact cosine, documents made by the real `build_documents`.

    python benchmarks/recipes.py [--raw DIR] [--out benchmarks/results/recipes.json]

Measures the bundled sample, or instead the catalogue in DIR (take a thousand books: each recipe embeds them all), and
adds the figures to those of other catalogues in the JSON. Kinds of query:

- vibes, paraphrases (sample only): by hand, in `recipe_queries.toml`, judged by labels that no recipe embeds.
- unseen review: a reader's review asks for its work, in recipes whose texts hold one review at most, another one.
- title, author and title, title with a typo, sentence (of the description): a known work.
- similar: a work asks for those in its similar_books, where the catalogue has any. In the sample these follow from
  the labels, so this is the vibes' judgement again.

Figures are nDCG@10 (linear gains) and MRR@10 (of works with the highest grade), each [mean, low, high] with a 95 %
bootstrap interval over queries; `ndcg_less` are paired differences to other recipes.
"""

import argparse
import gzip
import json
import re
import tempfile
import tomllib
import zlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray
from reporting import machine

from viberary_pipeline.documents import assemble as build
from viberary_pipeline.documents.recipes import RECIPES, Recipe
from viberary_pipeline.documents.rules import DocumentRules
from viberary_pipeline.duck import DuckLimits, parquet_glob
from viberary_pipeline.encoders.files import resolve
from viberary_pipeline.encoders.torch_model import load_sentence_transformer
from viberary_pipeline.sample.records import book_id
from viberary_pipeline.sample.works import FOLDER, load_works
from viberary_pipeline.sample.write import write_sample
from viberary_pipeline.sources.ingest import ingest
from viberary_pipeline.sources.raw_files import find

ENCODER = "all-MiniLM-L6-v2"
LIMITS = DuckLimits("2GB", 2)
DEPTH = 10
DRAWS = 2000
KNOWN_ITEMS = 300

BASES = ("seed", "title once")
"""The recipes that all are compared with, query by query."""

CHOICE = (
    "title-first, with the title twice. Vibes and paraphrases: no difference to the title once beyond the interval; "
    "better than seed. Titles: more are found than with the title once or by seed, on both catalogues. Its price: a "
    "sentence of the description finds its work less often than with the title once, no less often than by seed. "
    "Genres may help vibes, but in the sample they follow from what the labels follow from: left out. Fewer reviews "
    "help titles; for vibes no number is better beyond the interval: three stay. Shortened parts gain a little for "
    "titles, lose for sentences: left out; neither catalogue has long reviews, for which they are meant."
)

LEAD = "as_sentence(concat_ws(' by ', title, author))"
REVIEWS = "nullif(array_to_string(reviews, ' '), '')"
BODIES = {
    "text_title_once": f"{LEAD}, description, {REVIEWS}",
    "text_genres": f"{LEAD}, nullif(array_to_string(genres, ', '), '') || '.', description, {REVIEWS}",
    "text_description_first": f"description, {LEAD}, {REVIEWS}",
    "text_reviews_first": f"{REVIEWS}, {LEAD}, description",
    "text_short_parts": f"{LEAD}, cut_text(description, 500), {REVIEWS}",
    "text_no_author": f"as_sentence(title), description, {REVIEWS}",
}
"""The macros that the product has no use for: what each joins with blanks."""


@dataclass(frozen=True)
class Candidate:
    """A recipe, how many reviews of a work there are to choose from, and whether it is measured on DIR too.

    `single`: its texts hold one review at most, so that another one may ask for them.
    """

    recipe: Recipe
    reviews: int = 3
    on_raw: bool = False
    single: bool = False


def own(macro: str, **limits: int) -> Recipe:
    return Recipe(macro, version=0, macro=macro, **limits)


CANDIDATES = {
    "seed": Candidate(RECIPES["seed"], on_raw=True, single=True),
    "title-first": Candidate(RECIPES["title-first"], on_raw=True),  # the title twice
    "title-first, 1 review": Candidate(RECIPES["title-first"], 1, single=True),
    "title once": Candidate(own("text_title_once"), on_raw=True),
    "title once, 0 reviews": Candidate(own("text_title_once"), 0, on_raw=True, single=True),
    "title once, 1 review": Candidate(own("text_title_once"), 1, single=True),
    "title once, 5 reviews": Candidate(own("text_title_once"), 5),
    "title once, genres": Candidate(own("text_genres")),
    "title once, no author": Candidate(own("text_no_author")),
    "title once, description of 500, reviews of 250": Candidate(
        own("text_short_parts", review_characters=250), on_raw=True
    ),
    "description first": Candidate(own("text_description_first")),
    "reviews first": Candidate(own("text_reviews_first")),
}
# The ten labels of UCSD's genres file, by the number of a file of the sample; all others are fiction.
GENRE_OF = {
    **dict.fromkeys(("10", "11"), "fantasy, paranormal"),
    "12": "children",
    "13": "comics, graphic",
    **dict.fromkeys(("30", "31", "32"), "mystery, thriller, crime"),
    **dict.fromkeys(("33", "50"), "history, historical fiction, biography"),
    "40": "romance",
    "43": "poetry",
    **dict.fromkeys(("51", "52"), "non-fiction"),
}

Grades = dict[str, int]
"""{work_id: grade}; the others have 0."""
Queries = dict[str, list[tuple[str, Grades]]]
"""{kind: [(what is asked, what is right)]}."""


class Encoder:
    """A registered encoder, or the default one; a text is embedded once per cut."""

    def __init__(self, threads: int, name: str = ENCODER) -> None:
        import torch

        torch.set_num_threads(threads)
        found = resolve(name)
        self.limit = found.spec.max_tokens
        self._model = load_sentence_transformer(found.spec, found.folder)
        self._cache: dict[tuple[str, int], NDArray[np.float32]] = {}

    def __call__(self, texts: list[str], max_tokens: int | None = None) -> NDArray[np.float32]:
        """(texts, dimensions) float32 of norm 1."""
        cut = min(max_tokens or self.limit, self.limit)
        self._model.max_seq_length = cut
        new = sorted({text for text in texts if (text, cut) not in self._cache})
        if new:
            vectors = self._model.encode(new, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
            self._cache |= {(text, cut): vector for text, vector in zip(new, vectors, strict=True)}
        return np.stack([self._cache[text, cut] for text in texts])

    def tokens(self, texts: list[str]) -> NDArray[np.int64]:
        """How many tokens each text has before any cut, special ones included."""
        return np.array(
            [len(ids) for ids in self._model.tokenizer(texts, truncation=False, verbose=False)["input_ids"]]
        )

    @property
    def embedded(self) -> int:
        return len(self._cache)


def write_genres(folder: Path) -> None:
    """What UCSD's genres file would say of the sample: one coarse label per book."""
    with gzip.open(folder / "goodreads_book_genres_initial.json.gz", "wt") as lines:
        works = {work.id: work for work in load_works()}
        for path in FOLDER.iterdir():
            if path.name.endswith(".toml"):
                label = GENRE_OF.get(path.name[:2], "fiction")
                for table in tomllib.loads(path.read_text(encoding="utf-8"))["work"]:
                    record = {"book_id": book_id(works[table["id"]], 0), "genres": {label: 100}}
                    lines.write(json.dumps(record) + "\n")


def ingest_all(raw: Path, out: Path) -> dict[str, Path]:
    """Every table of the documents stage, made from the gz files in `raw`."""
    for name in build.TABLES:
        ingest(name, find(name, str(raw)), out, LIMITS, reject_ceiling=0.5)
    return {name: out / f"{name}.parquet" for name in build.TABLES}


def documents_of(tables: dict[str, Path], candidate: Candidate) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        rules = DocumentRules(reviews_per_work=candidate.reviews)
        build.build_documents(tables, out, LIMITS, candidate.recipe, rules)
        return duckdb.sql(f"FROM '{out}/documents.parquet' ORDER BY work_id").to_arrow_table().to_pylist()


def add_macros() -> None:
    """Have `build_documents` know the macros of this file, which the product has no use for."""
    prepare = build.prepare

    def prepare_with_ours(connection: duckdb.DuckDBPyConnection, recipe: Recipe) -> None:
        prepare(connection, RECIPES["seed"])
        for macro, parts in BODIES.items():
            arguments = "title, author, description, genres, series, shelves, reviews"
            connection.execute(f"CREATE OR REPLACE TEMP MACRO {macro}({arguments}) AS concat_ws(' ', {parts})")
        prepare(connection, recipe)

    build.prepare = prepare_with_ours


def vibe_queries() -> Queries:
    """The queries by hand, with the sample's labels as judge."""
    given = tomllib.loads(Path(__file__).with_name("recipe_queries.toml").read_text(encoding="utf-8"))
    kinds_of = {str(50_000_000 + work.id): {kind.lower() for kind in work.kinds} for work in load_works()}
    vibes = []
    for vibe in given["vibes"]:
        wishes = [set(kinds) for kinds in vibe["wants"]]
        grades = {
            work: 2 if all(wish & kinds for wish in wishes) else 1
            for work, kinds in kinds_of.items()
            if wishes[0] & kinds
        }
        vibes.append((vibe["query"], grades))
    paraphrases = [(query, {str(50_000_000 + int(number)): 2}) for number, query in given["paraphrases"].items()]
    return {"vibes": vibes, "paraphrases": paraphrases}


def known_item_queries(documents: list[dict]) -> Queries:
    """Of the works with a description, those with the lowest CRC of the id."""
    described = [row for row in documents if row["description"]]
    chosen = sorted(described, key=lambda row: zlib.crc32(row["work_id"].encode()))[:KNOWN_ITEMS]
    same_title: dict[str, Grades] = {}
    for row in documents:
        same_title.setdefault(row["title"].lower(), {})[row["work_id"]] = 2
    queries: Queries = {"title": [], "author and title": [], "title with a typo": [], "sentence": []}
    for row in chosen:
        title, this = row["title"], {row["work_id"]: 2}
        queries["title"].append((title, same_title[title.lower()]))
        queries["author and title"].append((f"{row['author']} {title}", this))
        queries["title with a typo"].append((with_typo(title), same_title[title.lower()]))
        sentences = [part.strip() for part in row["description"].replace("!", ".").replace("?", ".").split(".")]
        whole = [sentence for sentence in sentences if 8 <= len(sentence.split()) <= 30]
        if whole:
            queries["sentence"].append((whole[zlib.crc32(title.encode()) % len(whole)], this))
    return queries


def with_typo(title: str) -> str:
    """Two letters change places in the middle of the longest word."""
    word = max(title.split(), key=len)
    middle = len(word) // 2
    return title.replace(word, word[: middle - 1] + word[middle] + word[middle - 1] + word[middle + 1 :], 1)


def unseen_review_queries(tables: dict[str, Path], texts: dict[str, str]) -> list[tuple[str, Grades]]:
    """Of each work, the review with fewest votes, unless `texts` ({work_id: all texts of it}) hold it."""
    rows = duckdb.sql(f"""
        SELECT coalesce(b.work_id, 'b' || b.book_id), arg_min(r.review_text, (r.n_votes, r.review_id))
        FROM '{parquet_glob(tables["reviews"])}' AS r JOIN '{parquet_glob(tables["books"])}' AS b USING (book_id)
        WHERE r.text_length BETWEEN 60 AND 2000 GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL
    """).fetchall()
    return [(review, {work: 2}) for work, review in rows if work in texts and review[5:45] not in texts[work]]


def similar_works(tables: dict[str, Path], works: list[str]) -> list[tuple[str, Grades]]:
    """(work, the works of its similar_books that the catalogue has)."""
    rows = duckdb.sql(f"""
        WITH books AS (SELECT *, coalesce(work_id, 'b' || book_id) AS work FROM '{parquet_glob(tables["books"])}'),
        links AS (SELECT work, unnest(similar_books) AS book_id FROM books)
        SELECT DISTINCT l.work, b.work FROM links AS l JOIN books AS b USING (book_id) WHERE l.work <> b.work
        ORDER BY ALL
    """).fetchall()
    grades: dict[str, Grades] = {}
    for work, other in rows:
        if work in works and other in works:
            grades.setdefault(work, {})[other] = 1
    return list(grades.items())


def scores(near: NDArray[np.float32], works: list[str], judged: list[Grades]) -> NDArray[np.float64]:
    """(queries, 2): nDCG@10 and MRR@10 of each, from cosines of shape (queries, works)."""
    discount = 1 / np.log2(np.arange(2, DEPTH + 2))
    result = np.zeros((len(judged), 2))
    for place, (row, grades) in enumerate(zip(near, judged, strict=True)):
        found = np.array([grades.get(works[index], 0) for index in np.argsort(-row, kind="stable")[:DEPTH]])
        ideal = np.array(sorted(grades.values(), reverse=True)[:DEPTH])
        best = np.flatnonzero(found == ideal[0])
        result[place] = found @ discount / (ideal @ discount[: len(ideal)]), 1 / (best[0] + 1) if len(best) else 0
    return result


def interval(values: NDArray[np.float64]) -> list[float]:
    """[mean, low, high]: the mean and its 95 % bootstrap interval."""
    drawn = np.random.default_rng(0).integers(len(values), size=(DRAWS, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), (2.5, 97.5))
    return [round(float(value), 4) for value in (values.mean(), low, high)]


def measure(tables: dict[str, Path], candidates: dict[str, Candidate], encode: Encoder, queries: Queries) -> dict:
    """All recipes on one catalogue."""
    documents = {name: documents_of(tables, candidate) for name, candidate in candidates.items()}
    works = [row["work_id"] for row in documents["seed"]]
    single = [name for name, candidate in candidates.items() if candidate.single]
    held = {work: " ".join(documents[name][place]["text"] for name in single) for place, work in enumerate(works)}
    queries = {
        **queries,
        "unseen review": unseen_review_queries(tables, held),
        **known_item_queries(documents["seed"]),
    }
    similar = similar_works(tables, works)
    place_of = {work: place for place, work in enumerate(works)}
    asked = {kind: encode([query for query, _ in pairs]) for kind, pairs in queries.items() if pairs}
    of_recipe, by_query = {}, {}
    for name, candidate in candidates.items():
        texts = [row["text"] for row in documents[name]]
        vectors = encode(texts, candidate.recipe.max_tokens)
        tokens, limit = encode.tokens(texts), min(candidate.recipe.max_tokens or encode.limit, encode.limit)
        of_recipe[name] = {"mean_tokens": round(tokens.mean(), 1), "share_cut": round((tokens > limit).mean(), 4)}
        by_query[name] = {
            kind: scores(vectors_of @ vectors.T, works, [grades for _, grades in queries[kind]])
            for kind, vectors_of in asked.items()
            if kind != "unseen review" or name in single
        }
        if similar:
            near = vectors @ vectors.T
            np.fill_diagonal(near, -1)
            rows = near[[place_of[work] for work, _ in similar]]
            by_query[name]["similar"] = scores(rows, works, [grades for _, grades in similar])
    for name, kinds in by_query.items():
        of_recipe[name]["quality"] = {
            kind: {
                "ndcg": interval(found[:, 0]),
                "mrr": interval(found[:, 1]),
                "ndcg_less": {
                    base: interval(found[:, 0] - by_query[base][kind][:, 0]) for base in BASES if kind in by_query[base]
                },
            }
            for kind, found in kinds.items()
        }
    counts = {kind: len(pairs) for kind, pairs in queries.items()} | {"similar": len(similar)}
    return {"works": len(works), "queries": counts, "recipes": of_recipe}


def _on_one_line(found: re.Match[str]) -> str:
    return f"[{' '.join(found[1].split())}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", type=Path, help="a folder with a catalogue to measure instead of the sample")
    parser.add_argument("--threads", type=int, default=2, help="torch's threads (default 2)")
    parser.add_argument("--out", type=Path, help="the JSON to write, or to add to")
    options = parser.parse_args()
    add_macros()
    encode = Encoder(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        raw, tables = options.raw or Path(folder) / "raw", Path(folder) / "tables"
        tables.mkdir()
        if options.raw:
            some = {name: candidate for name, candidate in CANDIDATES.items() if candidate.on_raw}
            measured = measure(ingest_all(raw, tables), some, encode, {})
        else:
            write_sample(raw)
            write_genres(raw)
            measured = measure(ingest_all(raw, tables), CANDIDATES, encode, vibe_queries())
    measured["texts_embedded"] = encode.embedded
    before = json.loads(options.out.read_text(encoding="utf-8")) if options.out and options.out.exists() else {}
    results = {
        "machine": machine(),
        "versions": {name: version(name) for name in ("duckdb", "torch", "transformers", "sentence-transformers")},
        "encoder": ENCODER,
        "choice": CHOICE,
        "catalogues": before.get("catalogues", {}) | {options.raw.name if options.raw else "bundled sample": measured},
    }
    text = re.sub(r"\[\s+([^\[\]{}]+?)\s+\]", _on_one_line, json.dumps(results, indent=1, ensure_ascii=False))
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
