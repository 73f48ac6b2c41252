"""Words that no document holds: which words of the index they may be typos of."""

from collections.abc import Mapping, Sequence

_MOST_TYPOS = 2  # more unknown words are no typos but another vocabulary
_MOST_CORRECTIONS = 5


def corrections(suggestions: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """{unknown word: the words that it may be a typo of}, from {unknown word: words of the index that are near it}."""
    if len(suggestions) > _MOST_TYPOS:
        return {}
    return {word: near for word, words in suggestions.items() if (near := corrections_of(word, words))}


def corrections_of(word: str, suggestions: Sequence[str]) -> tuple[str, ...]:
    """The suggestions within one edit of `word`, or two where it is long; nearest first, at most five."""
    most = 1 if len(word) < 8 else 2
    letters = set(word)
    # One edit changes two letters at most: most of the server's suggestions need no closer look.
    likely = (o for o in suggestions if abs(len(word) - len(o)) <= most and len(letters ^ set(o)) <= 2 * most)
    near = sorted(((edits(word, other), other) for other in likely), key=lambda pair: pair[0])
    return tuple(other for distance, other in near if distance <= most)[:_MOST_CORRECTIONS]


def edits(one: str, other: str) -> int:
    """Letters to insert, delete, replace or swap with their neighbour to turn one word into the other.

    Damerau's distance in its restricted form (optimal string alignment): no part is edited twice.
    """
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        before, above, row = row, before, [i]
        for j, wanted in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
    return row[-1]
