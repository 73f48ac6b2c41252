"""The sentences of a description or a review."""

import re
from collections.abc import Iterable, Iterator

# An end, with the quotes and brackets that close behind it, before a blank; scripts without blanks have ends of their
# own. All begin with one set of signs, to which the expression can skip.
_END = re.compile(r"[.!?…。！？｡](?:(?<=[.!?…])[.!?…]*+[\"'”’»)\]]*(?=\s)|(?<=[。！？｡])[。！？｡]*[」』”’）]*)\s*")
_NO_END = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|st|prof|rev|gen|col|capt|lt|sgt|jr|sr|vs|vol|no|nr|bd|al|approx|ca|cf|e\.g|i\.e)|(?:^|\W)\w)\.$",
    re.IGNORECASE,
)

_LONG_WORD = 7  # letters of a word that is no abbreviation: seen in a tenth of the time that the expression takes
_ENDS, _CLOSING = frozenset(".!?…。！？｡"), "\"'”’»)]」』）"


def has_end(sentence: str) -> bool:
    """Whether a sentence ends, as one that was cut does not."""
    return sentence.rstrip(_CLOSING)[-1:] in _ENDS


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
        stop, behind = end.span()
        if text[behind : behind + 1].islower():
            continue
        is_long_word = stop - start >= _LONG_WORD and text[stop - _LONG_WORD : stop].isalpha()
        if not is_long_word and _NO_END.search(text[max(start, stop - 8) : stop + 1]):
            continue
        sentences.append(text[start:behind].strip())
        start = behind
    return [*sentences, *filter(None, [text[start:].strip()])]
