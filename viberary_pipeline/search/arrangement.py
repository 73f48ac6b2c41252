"""What a page of results should look like, after scoring: pure steps over works in their order, best first.

Each step is a generator that gives every work it is given, and decides on a work by those before it alone. So the first
results are the same however many are asked for.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from viberary_pipeline.name_keys import Copies, key_of
from viberary_pipeline.search.companions import Kind, accompanies
from viberary_pipeline.search.ranking import NamedBy

FIRST_PAGE = 10
"""Places that are kept for different authors and for works themselves."""

NOBODY = frozenset(map(key_of, ("anonymous", "various", "various authors", "unknown", "unknown author", "collective")))
"""What stands for an author where there is none; of these, any number of works is shown."""


@dataclass(frozen=True, slots=True)
class Result:
    """One result: its cosine similarity, what of it the query names, its fields as the page shows them."""

    score: float
    named: NamedBy
    fields: dict[str, str]


def without_copies(results: Iterable[Result], copies: Copies) -> Iterator[Result]:
    """The results without those that look like one that came before, or like one of `copies`."""
    return (work for work in results if not copies.add(work.fields["title"], work.fields["author"]))


def later(results: Iterable[Result], belongs_later: Callable[[Result], bool]) -> Iterator[Result]:
    """The results, those that belong later behind the first page; on it only where there are no others.

    `belongs_later` is asked once for each work that comes before the first page is full, in their order.
    """
    rest, waiting, placed = iter(results), [], 0
    for work in rest:
        if belongs_later(work):
            waiting.append(work)
            continue
        yield work
        placed += 1
        if placed == FIRST_PAGE:
            break
    yield from waiting
    yield from rest


def companions_later(titles: Collection[str], asked_kind: Kind) -> Callable[[Result], bool]:
    """Whether a work is a guide to others or a collection, and neither its title nor its kind was asked for.

    Args:
        titles: Of works in sight: some titles say what they are only beside the work that they are about.
        asked_kind: What the query asks for.
    """

    def belongs_later(work: Result) -> bool:
        if work.named in ("title", "number"):
            return False
        kind = accompanies(work.fields["title"], work.fields["author"], titles)
        return kind not in ("", asked_kind)

    return belongs_later


def authors_later(most: int, asked_for: Callable[[str], bool]) -> Callable[[Result], bool]:
    """Whether a work is one more of an author who has `most` works already, unless that author is asked for by name.

    A work that the query names by its title or number never is.

    Args:
        most: Works of an author on the first page.
        asked_for: Whether the query asks for the author of this name.
    """
    placed: Counter[str] = Counter()

    def belongs_later(work: Result) -> bool:
        authors = _writers(work.fields["author"])
        many = [name for key, name in authors.items() if placed[key] >= most]
        if many and work.named not in ("title", "number") and not any(map(asked_for, authors.values())):
            return True
        placed.update(authors.keys())
        return False

    return belongs_later


@lru_cache(maxsize=10_000)
def _writers(author: str) -> dict[str, str]:
    """{key of a name: the name} of those who wrote a work and are somebody."""
    names = {key_of(name): name for name in writers_of(author)}
    return {key: name for key, name in names.items() if key and key not in NOBODY}


def writers_of(author: str) -> list[str]:
    """The names in the author field of a document that have no other part in it: "(Translator)", "(Illustrator)"."""
    return [name.strip() for name in author.split(",") if name.strip() and "(" not in name]
