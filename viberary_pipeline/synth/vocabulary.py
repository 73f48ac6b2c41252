"""The words of the synthetic catalogue: sentences filled in per theme, escaped as they will stand in the JSON.

Python fills some tens of thousands of sentences once; DuckDB strings them together for millions of records.
Sentences keep {name}, {town} and {title}, which belong to a work and are filled in by the SQL.
"""

import json
import random
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import pyarrow as pa

THEMES = 256  # a multiple of the number of kinds
SENTENCES = 64  # per theme and tone, a power of two: an odd step then visits each once
TITLES = 1024  # per kind of book
FOREIGN_TITLES = 64  # per language
FOREIGN_TEXTS = 100_000  # keys of the sentences of other languages begin here
TONES = ("good", "mixed", "bad", "descriptions")
_OF_A_THEME = {"setting": "settings", "hero": "heroes", "conflict": "conflicts", "mood": "moods"}
_LATER = {"name", "town", "title"}
_SLOT = re.compile(r"\{(\w+)\}")
_ARTICLE = re.compile(r"(?<=\b[Aa]) (?=[aeiouAEIOU])(?!one|uni|use|uku)")  # "a" before a vowel is "an"
_ASIDES = 0.5  # of the sentences of reviews have an adverb, an aside before or after


@dataclass(frozen=True)
class Vocabulary:
    """What the SQL reads by getvariable() (lists of words, and the sizes that make up keys), and three tables.

    `texts` (text_key, sentences), `titles` (title_key, title) and `kinds` (kind, shelves, subjects).
    """

    variables: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, pa.Table] = field(default_factory=dict)


@cache
def load_vocabulary(seed: int) -> Vocabulary:
    """All words, from the TOML files beside this module; the same for the same seed."""
    genres = _toml("genres")["genre"]
    english, foreign, catalogue, dirt = _toml("english"), _toml("languages"), _toml("catalogue"), _toml("dirt")
    openlibrary = _toml("openlibrary")
    marc = openlibrary.pop("marc")
    names = {key: catalogue[key].split() for key in ("first_names", "last_names")}
    lists = {**english["lists"], "name2": names["first_names"], "surname": names["last_names"]}
    texts: dict[int, list[str]] = {}
    titles: dict[int, str] = {}
    for theme in range(THEMES):
        rng = random.Random(f"{seed} theme {theme}")
        genre = genres[theme % len(genres)]
        own = {key: rng.choice(genre[several]) for key, several in _OF_A_THEME.items()}
        fixed = {"genre": genre["name"], **own}
        for place, tone in enumerate(TONES):
            filler = _Filler({**lists, "noun": genre["nouns"]}, fixed, rng, english["synonyms"])
            texts[4 * theme + place] = filler.filled(english[tone], SENTENCES, talk=tone != "descriptions")
    for place, genre in enumerate(genres):
        rng = random.Random(f"{seed} titles {place}")
        filler = _Filler({**lists, "noun": genre["nouns"], "adjective": genre["adjectives"]}, {}, rng)
        titles |= dict(enumerate(filler.filled(english["titles"], TITLES), TITLES * place))
    for number, language in enumerate(foreign["text"].values()):
        rng = random.Random(f"{seed} language {number}")
        filler = _Filler({"x": language["x"]}, {}, rng)
        first = TITLES * len(genres) + FOREIGN_TITLES * number
        titles |= dict(enumerate(filler.filled(language["titles"], FOREIGN_TITLES), first))
        for place, genre in enumerate(genres):
            fixed = dict(zip(("genre", "hero", "place"), genre["in"].get(language["codes"][0], ()), strict=False))
            key = FOREIGN_TEXTS + len(genres) * number + place
            texts[key] = _Filler({}, fixed, rng).filled(language["sentences"], 16)

    rng = random.Random(f"{seed} generic")
    generic = {
        "noun": [word for genre in genres for word in genre["nouns"]],
        "adjective": [word for genre in genres for word in genre["adjectives"]],
        "genre": [genre["name"] for genre in genres],
        "mood": [word for genre in genres for word in genre["moods"]],
    }
    filler = _Filler({**lists, **generic}, {}, rng, english["synonyms"])
    return Vocabulary(
        variables={
            "themes": THEMES,
            "kinds": len(genres),
            "titles": TITLES,
            "foreign_titles": FOREIGN_TITLES,
            "foreign_texts": FOREIGN_TEXTS,
            "sentences": SENTENCES,
            **{key: _escaped(values) for key, values in names.items()},
            "shelf_owners": [name.lower() for name in names["first_names"] if name.isascii()],
            "towns": _escaped(catalogue["towns"].split(", ")),
            "openers": filler.filled(english["openers"], 512),
            "closers": filler.filled(english["closers"], 256),
            "short": filler.filled(english["short"], 256),
            "subtitles": filler.filled(english["subtitles"], 256),
            **{key: _escaped(catalogue[key]) for key in ("editions", "publishers", "common_shelves")},
            "private_shelves": _escaped(catalogue["private_shelves"]),
            **{key: _weighted(catalogue[key]) for key in ("formats", "roles")},
            "languages": _weighted(foreign["codes"]),
            "text_languages": _text_languages(foreign),
            "labels": _escaped(genre["label"] for genre in genres),
            **{f"dirt_{key}": _escaped(values) for key, values in dirt.items()},
            "marc_languages": [marc.get(code, code) for code in _weighted(foreign["codes"])],
            **{key: _escaped(values) for key, values in openlibrary.items()},
        },
        tables={
            "texts": pa.table({"text_key": pa.array(texts, pa.int32()), "sentences": list(texts.values())}),
            "titles": pa.table({"title_key": pa.array(titles, pa.int32()), "title": list(titles.values())}),
            "kinds": pa.table(
                {
                    "kind": pa.array(range(len(genres)), pa.int32()),
                    "shelves": [_escaped(genre["shelves"]) for genre in genres],
                    "subjects": [_escaped(_subjects(genre)) for genre in genres],
                }
            ),
        },
    )


def _toml(name: str) -> dict[str, Any]:
    text = (files("viberary_pipeline") / "synth" / "vocabulary" / f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _escaped(values: Iterable[str]) -> list[str]:
    """As Python writes them into JSON, without the quotes: ASCII, as in UCSD's files."""
    return [json.dumps(value)[1:-1] for value in values]


def _subjects(genre: Mapping[str, Any]) -> list[str]:
    """What libraries file books of a kind under: headings of several makes, and its name in other languages."""
    name = genre["name"]
    words = [shelf.replace("-", " ").capitalize() for shelf in genre["shelves"]]
    headings = [name.capitalize(), f"Fiction, {name}", f"Fiction, {name}, general", f"{name.capitalize()} stories"]
    return [*words, *headings, *(language[0].capitalize() for language in genre["in"].values())]


def _weighted(shares: Mapping[str, int]) -> list[str]:
    return [value for value, share in shares.items() for _ in range(share)]


def _text_languages(foreign: Mapping[str, Any]) -> list[int]:
    """For each entry of the languages: 0 for English text, else the number of a language of its own plus one."""
    number = {code: place for place, text in enumerate(foreign["text"].values(), 1) for code in text["codes"]}
    return [number.get(code, 0) for code in _weighted(foreign["codes"])]


class _Filler:
    """Fills templates: {Aspect} is {aspect} with a capital, {aspect2} another {aspect}.

    Args:
        lists: What a slot may be.
        fixed: What it always is here.
        rng: Decides.
        synonyms: Words of a template to what may stand for them.
    """

    def __init__(
        self,
        lists: Mapping[str, list[str]],
        fixed: Mapping[str, str],
        rng: random.Random,
        synonyms: Mapping[str, list[str]] | None = None,
    ) -> None:
        self._lists, self._fixed, self._rng, self._synonyms = lists, fixed, rng, synonyms or {}
        words = "|".join(rf"\b{re.escape(word)}\b" for word in sorted(self._synonyms, key=len, reverse=True))
        self._synonym = re.compile(words) if words else None

    def filled(self, templates: list[str], count: int, *, talk: bool = False) -> list[str]:
        """`count` sentences, from all templates in turn, in random order, escaped; `talk` adds asides."""
        sentences = [self._sentence(templates[place % len(templates)], talk) for place in range(count)]
        self._rng.shuffle(sentences)
        return _escaped(sentences)

    def _sentence(self, template: str, talk: bool) -> str:
        if self._synonym:
            template = self._synonym.sub(lambda match: self._either(match[0]), template)
        if talk and self._rng.random() < _ASIDES and template[-1] in ".!" and "? " not in template:
            template = template[:-1] + self._rng.choice(self._lists["tail"]) + template[-1]
        text = _SLOT.sub(self._slot, template)
        if talk and self._rng.random() < _ASIDES and text[0] != "{":
            lead = _SLOT.sub(self._slot, self._rng.choice(self._lists["lead"]))
            text = lead + (text if re.match(r"I\b", text) else text[0].lower() + text[1:])
        return _ARTICLE.sub("n ", text[0].upper() + text[1:])

    def _either(self, word: str) -> str:
        return self._rng.choice([word, *self._synonyms[word]])

    def _slot(self, match: re.Match[str]) -> str:
        slot = match[1]
        if slot in _LATER:
            return match[0]
        lower = slot[0].lower() + slot[1:]
        key = next((key for key in (lower, lower.rstrip("2")) if key in self._fixed or key in self._lists), None)
        if key is None:
            raise KeyError(f"no word list for the slot {{{slot}}}")
        words = self._fixed.get(key) or _SLOT.sub(self._slot, self._rng.choice(self._lists[key]))
        if key in ("good", "bad") and self._rng.random() < _ASIDES:
            words = f"{self._rng.choice(self._lists['adverb'])} {words}"
        elif key == "thing" and words.startswith("a ") and self._rng.random() < _ASIDES:
            kind = self._rng.choice(self._lists["kind"])
            words = f"{'an' if kind[0] in 'aeiou' else 'a'} {kind} {words[2:]}"
        return words if slot == lower else words[0].upper() + words[1:]
