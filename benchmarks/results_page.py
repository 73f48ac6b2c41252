"""What the results page says of a book: the sentence that it quotes, and whether it says that nothing fits.

    python benchmarks/results_page.py --home DIR [--queries FILE.tsv] [--out FILE]

The home's live build is asked the golden vibes of the bundled sample, and the requests of a file (id, a tab, the text).

`quotes`: of each query's ten nearest works with three sentences or more, how often the sentence that the page quotes is
the one that the encoder itself finds nearest to the query, or the second; beside the first sentence, and words that
both share alone. `ms` is the time for ten works, read for the first time and again.

`fit`: the share of queries of which the page says that nothing fits well; random letters, made-up words and what nobody
asks a library (other queries than those that a build calibrates by) should be told so, the others not. `auc` compares
the fits of the golden vibes with theirs.
"""

import argparse
import json
import platform
import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from reporting import report

from viberary_pipeline.encoders.query_encoder import QueryEncoder
from viberary_pipeline.evaluation.queries import judged_set
from viberary_pipeline.redis_contract import PAGE_FIELDS, document_prefix, field_text, read_pointer, read_record
from viberary_pipeline.redis_server import connect
from viberary_pipeline.sample import GOLDEN
from viberary_pipeline.search.fit import Fit, fit_of, known_share
from viberary_pipeline.search.hits import hit_of
from viberary_pipeline.search.knn import nearest
from viberary_pipeline.search.passages import SentenceWords, read_sentence_words
from viberary_pipeline.search.searcher import encoder_folder
from viberary_pipeline.search.sentences import whole_sentences
from viberary_pipeline.settings import load_settings

SYLLABLES = "ba ko ri mu tel gra zin plo ster vu ne qua dif lor sha wex tro mi"
OFF_TOPIC = """
how do i cancel my gym membership|laptop screen flickers after update|income tax bracket calculator|phone charger
null pointer exception java|recipe for gluten free bread oven temperature|car insurance quote
train timetable munich berlin|how many ounces in a litre|vacuum cleaner bags size|gdpr data processing agreement
css flexbox align items center|bitcoin price usd|regex match email address|how to boil an egg|import pandas as pd
ubuntu 22.04 install nvidia driver|nearest pharmacy open now|lawn mower spark plug gap|tensorflow gpu not detected
rent deposit refund law|kubectl apply -f deployment.yaml|define quarterly revenue recognition|airport shuttle number
linear regression r squared formula|dentist appointment cancellation policy|update bios motherboard|minimum wage 2024
curtain rail brackets 120cm
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True, help="a VIBERARY_HOME with a live build")
    parser.add_argument("--queries", type=Path, help="id, a tab, the request")
    parser.add_argument("--out", type=Path, help="the JSON to write")
    options = parser.parse_args()
    home = options.home.absolute()
    client = connect(load_settings(home=home))
    record = read_record(client, read_pointer(client).live)
    assert record is not None, "nothing is published"
    encoder, words = QueryEncoder(encoder_folder(home, record)), read_sentence_words(client, record.build)
    golden = [query.text for query in judged_set(GOLDEN).queries]
    asked = {
        "golden": golden,
        "letters": letters(),
        "made-up words": made_up(),
        "off topic": OFF_TOPIC.strip().replace("\n", "|").split("|"),
    }
    if options.queries:
        lines = options.queries.read_text(encoding="utf-8").splitlines()
        asked["requests"] = [line.split("\t", 1)[1] for line in lines]
    found = {kind: nearest_of(client, record, encoder, queries) for kind, queries in asked.items()}
    measured = {
        "machine": platform.platform(),
        "works": record.documents,
        "encoder": record.encoder,
        "fit": fits(asked, found, words, encoder, record),
        "quotes": quotes(client, record, golden, encoder.encode(golden), found["golden"], words, encoder),
    }
    report(json.dumps(measured, indent=1), options.out)


def letters() -> list[str]:
    """150 queries of random letters."""
    return made_of("abcdefghijklmnopqrstuvwxyz", 3, 9)


def made_up() -> list[str]:
    """150 queries of words that can be spoken."""
    return made_of(SYLLABLES.split(), 2, 4)


def made_of(parts: Sequence[str], least: int, most: int) -> list[str]:
    """150 queries of one to four words, each of so many parts."""
    rng = random.Random(7)
    lengths = [[rng.randint(least, most) for _ in range(rng.randint(1, 4))] for _ in range(150)]
    return [" ".join("".join(rng.choices(parts, k=length)) for length in words) for words in lengths]


def nearest_of(client, record, encoder, queries):
    blobs = record.hnsw.to_bytes(encoder.encode(queries))
    fields = {"fields": ("work_id",), "ef_runtime": record.ef_runtime}
    return [nearest(client, record.build, blob, 10, **fields) for blob in blobs]


def fits(asked, found, words, encoder, record):
    bounds = Fit.read(record.fit)
    assert bounds is not None, "a build of an older version"
    values = {
        kind: np.array(
            [
                fit_of([hit["score"] for hit in hits], known_share(query, words.rows.__contains__, encoder.has_word))
                for query, hits in zip(queries, found[kind], strict=True)
            ]
        )
        for kind, queries in asked.items()
    }
    others = np.concatenate([values[kind] for kind in ("letters", "made-up words", "off topic")])
    difference = values["golden"][:, None] - others[None]
    return {
        "poor": bounds.poor,
        "told that nothing fits": {
            kind: round(float((value < bounds.poor).mean()), 3) for kind, value in values.items()
        },
        "auc": round(float((difference > 0).mean() + 0.5 * (difference == 0).mean()), 4),
    }


def quotes(client, record, queries, vectors, found, words, encoder):
    lexical = SentenceWords(words.rows, words.rarity)
    counts = {name: [0, 0] for name in ("quoted", "shared words", "first")}
    number, times = 0, {"first time": 0.0, "again": 0.0}
    sentences = {}
    for query, vector, hits in zip(queries, vectors, found, strict=True):
        pages = [client.hmget(f"{document_prefix(record.build)}{hit['work_id']}", PAGE_FIELDS) for hit in hits]
        books = [
            hit_of({n: field_text(n, value) for n, value in zip(PAGE_FIELDS, page, strict=True)}) for page in pages
        ]
        texts = [(book.description, *book.reviews) for book in books]
        words._passages.cache_clear()
        for name in times:
            started = time.perf_counter()
            words.best(query, vector, texts)
            times[name] += time.perf_counter() - started
        texts = [(text,) for book in books if len(whole_sentences(text := book.description)) >= 3]
        chosen = {
            "quoted": words.best(query, vector, texts),
            "shared words": lexical.best(query, vector, texts),
            "first": [whole_sentences(text)[0] for (text,) in texts],
        }
        for place, (text,) in enumerate(texts):
            if text not in sentences:
                sentences[text] = encoder.encode(whole_sentences(text))
            order = np.argsort(-(sentences[text] @ vector))
            number += 1
            for name, picks in chosen.items():
                at = whole_sentences(text).index(picks[place])
                counts[name][0] += at == order[0]
                counts[name][1] += at in order[:2]
    return {
        "works": number,
        "nearest, or the first two": {
            name: [round(count / number, 3) for count in both] for name, both in counts.items()
        },
        "ms": {name: round(1000 * seconds / len(queries), 3) for name, seconds in times.items()},
        "kB": round(len(words.to_bytes()) / 1000),
    }


if __name__ == "__main__":
    main()
