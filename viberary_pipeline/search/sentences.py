"""The sentences of a description or a review."""

import re

# An end, with the quotes and brackets that close behind it, before a blank; scripts without blanks have ends of their
# own.
_END = re.compile(r"(?:[.!?…]++[\"'”’»)\]]*(?=\s)|[。！？｡]+[」』”’）]*)\s*")
_NO_END = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|st|prof|rev|gen|col|capt|lt|sgt|jr|sr|vs|vol|no|nr|bd|al|approx|ca|cf|e\.g|i\.e)|(?:^|\W)\w)\.$",
    re.IGNORECASE,
)


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
