"""The sentences of a description or a review."""

import re
from collections.abc import Iterable, Iterator

# An end, with the quotes and brackets that close behind it, before a blank; scripts without blanks have ends of their
# own.
_END = re.compile(r"(?:[.!?…]++[\"'”’»)\]]*(?=\s)|[。！？｡]+[」』”’）]*)\s*")
_NO_END = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|st|prof|rev|gen|col|capt|lt|sgt|jr|sr|vs|vol|no|nr|bd|al|approx|ca|cf|e\.g|i\.e)|(?:^|\W)\w)\.$",
    re.IGNORECASE,
)


_ENDED = re.compile(r"[.!?…。！？｡][\"'”’»)\]」』）]*$")


def has_end(sentence: str) -> bool:
    """Whether a sentence ends, as one that was cut does not."""
    return bool(_ENDED.search(sentence))


def whole_sentences(text: str) -> list[str]:
    """The sentences without a last one that has no end, as of a text that was cut; a single one stays."""
    sentences = sentences_of(text)
    return sentences[:-1] if len(sentences) > 1 and not has_end(sentences[-1]) else sentences


def whole_texts(texts: Iterable[str], limit: int) -> Iterator[str]:
    """Of each text the first sentences, as long as they and those of the texts before have `limit` characters."""
    for text in texts:
        kept: list[str] = []
        for sentence in whole_sentences(text):
            if (limit := limit - len(sentence)) < 0:
                break
            kept.append(sentence)
        if kept:
            yield " ".join(kept)


def sentences_of(text: str) -> list[str]:
    """The sentences, white space folded, in their order; together they are the text.

    Abbreviations ("Mr.", "vs.") and initials ("J. R. R.") end none, nor does a stop before a small letter ("etc. and").
    """
    text = " ".join(text.split())
    sentences, start = [], 0
    for end in _END.finditer(text):
        rest = text[end.end() : end.end() + 1]
        if rest.islower() or _NO_END.search(text[max(start, end.start() - 8) : end.start() + 1]):
            continue
        sentences.append(text[start : end.end()].strip())
        start = end.end()
    return [*sentences, *filter(None, [text[start:].strip()])]
