"""Works that the query spells out: by their title, or by their author's name; typos forgiven.

A query that spells a title or a name word for word asks for it. Anything less is a vibe, and is left to the vectors
and to BM25: half a title is a mood as often as not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from viberary_pipeline.search.name_keys import authors_of, name_variants, spells, title_variants
from viberary_pipeline.search.replies import Row

MOST_TITLES = 3
"""Works of one title that come first: "Love" is the title of many, and a vibe as well."""

How = Literal["title", "author"]


@dataclass(frozen=True, slots=True)
class Named:
    """A document that the query names, and by what."""

    key: bytes
    how: How


def spelt_out(asked: Sequence[str], near: Mapping[str, Sequence[str]], rows: Sequence[Row], most: int) -> list[Named]:
    """Those of the rows whose title or author the query spells out, at most `most`.

    Titles first: the whole title before the title without its subtitle, the more reviewed before the less. Then the
    works of the author, most reviewed first. A title together with its author's name counts as the title.

    Args:
        asked: The words of the query.
        near: {word of the query: words that it may be a typo of}.
        rows: Documents with the fields title, author and review_count; each once.
        most: How many.
    """
    titles: list[tuple[int, int, Row]] = []
    works: list[tuple[int, Row]] = []
    for row in rows:
        title, author = (row.fields.get(name, b"").decode(errors="replace") for name in (b"title", b"author"))
        reviews = int(row.fields.get(b"review_count", b"0") or 0)
        place = _place_among_titles(asked, near, title, author)
        if place is not None:
            titles.append((place, -reviews, row))
        elif any(spells(asked, name, near) for each in authors_of(author) for name in name_variants(each)):
            works.append((-reviews, row))
    titles.sort(key=lambda found: (found[0], found[1], found[2].key))
    works.sort(key=lambda found: (found[0], found[1].key))
    found = [Named(row.key, "title") for *_, row in titles[:MOST_TITLES]]
    return (found + [Named(row.key, "author") for _, row in works])[:most]


def _place_among_titles(asked: Sequence[str], near: Mapping[str, Sequence[str]], title: str, author: str) -> int | None:
    """Which variant of the title is asked for (0: the whole one), alone or with an author's name; None: none."""
    variants = title_variants(title)
    joined = "".join(asked)
    for place, variant in enumerate(variants):
        if spells(asked, variant, near) or joined == "".join(variant):
            return place
    names = [name for each in authors_of(author) for name in name_variants(each)]
    for place, variant in enumerate(variants):
        if len(asked) > len(variant) and any(
            spells(asked, order, near)
            for name in names
            for order in ([*variant, *name], [*name, *variant], [*variant, "by", *name])
        ):
            return place
    return None
