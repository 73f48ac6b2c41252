"""What a student of queries learns from: texts like those that readers type, as many as are wanted.

No text needs a judgement, since the teacher says what its vector is. So texts are made in every way that keeps them
near to what readers ask: requests whole and in part, sentences of works, titles, sets of telling words.
"""

import random
from collections.abc import Iterator, Sequence

from viberary_pipeline.tuning.pairs import Work, sentences_of, split_sentences, words_of

_RUN = range(1, 5)  # sentences that stand together
_WORDS_OF_A_SET = range(2, 6)
_RAREST = 12  # words of a text, of which sets are made
_IN_VAIN = 1000  # texts in a row that are known already: nothing new comes


def student_queries(
    works: Sequence[Work], requests: Sequence[str], most: int, *, texts: Sequence[str] = (), seed: int = 0
) -> list[str]:
    """The texts that a student imitates, each once.

    First the requests; then in turns runs of 1 to 4 sentences of a request, such runs of two requests together,
    sentences of works, titles, sets of 2 to 5 of a work's rarest words, sets of 2 to 3 of its shelves, the texts, and
    sets of the rarest words of two of them.

    Args:
        works: What titles, sentences and words are taken from.
        requests: What readers asked.
        most: At most so many come back.
        texts: Further texts in the language of the queries.
        seed: Of every choice.
    """
    rng = random.Random(f"{seed}/student")
    kinds = [
        _runs(requests, rng),
        _two_runs(requests, rng),
        _sentences(works, rng),
        iter(_shuffled([title for work in works for title in (work.title, *work.other_titles)], rng)),
        _word_sets([work.text for work in works], 1, rng),
        _shelf_sets(works, rng),
        iter(_shuffled(texts, rng)),
        _word_sets(texts, 2, rng),
    ]
    found = dict.fromkeys(text for text in requests if text)
    in_vain = 0
    while kinds and len(found) < most and in_vain < _IN_VAIN:
        for kind in list(kinds):
            text = next(kind, None)
            if text is None:
                kinds.remove(kind)
                continue
            in_vain = in_vain + 1 if text in found or not text else 0
            if text:
                found[text] = None
    return list(found)[:most]


def _runs(requests: Sequence[str], rng: random.Random) -> Iterator[str]:
    split = [sentences for request in requests if (sentences := split_sentences(request))]
    while split:
        sentences = rng.choice(split)
        length = min(rng.choice(_RUN), len(sentences))
        start = rng.randrange(len(sentences) - length + 1)
        yield " ".join(sentences[start : start + length])


def _two_runs(requests: Sequence[str], rng: random.Random) -> Iterator[str]:
    ones, others = _runs(requests, rng), _runs(requests, rng)
    for one, other in zip(ones, others, strict=True):
        yield f"{one} {other}"


def _sentences(works: Sequence[Work], rng: random.Random) -> Iterator[str]:
    yield from _shuffled([sentence for work in works for sentence in sentences_of(work)], rng)


def _word_sets(texts: Sequence[str], together: int, rng: random.Random) -> Iterator[str]:
    """Sets of words from the rarest of one text, or of several together."""
    counts: dict[str, int] = {}
    words = [sorted(set(words_of(text))) for text in texts]
    for found in words:
        for word in found:
            counts[word] = counts.get(word, 0) + 1
    telling = [sorted(found, key=lambda word: counts[word])[:_RAREST] for found in words if found]
    while telling:
        chosen = [word for _ in range(together) for word in rng.choice(telling)]
        yield " ".join(rng.sample(chosen, min(rng.choice(_WORDS_OF_A_SET), len(chosen))))


def _shelf_sets(works: Sequence[Work], rng: random.Random) -> Iterator[str]:
    shelves = [work.shelves for work in works if len(work.shelves) > 2]
    while shelves:
        yield " ".join(shelf.replace("-", " ") for shelf in rng.sample(rng.choice(shelves), rng.randint(2, 3)))


def _shuffled(texts: Sequence[str], rng: random.Random) -> list[str]:
    return rng.sample(texts, len(texts))
