"""The weights of a search."""

from pydantic import Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class SearchSettings:
    """The weights of a search.

    docs/searching.md says what each is for.
    """

    lexical_weight: float = Field(
        default=0.06, ge=0, le=1, description="The weight of BM25 beside the cosine similarity; `0`: the cosine alone."
    )
    long_lexical_weight: float = Field(
        default=0.04, ge=0, le=1, description="The same in a query of 25 words or more, at most `lexical_weight`."
    )
    find_names: bool = Field(default=True, description="Put works whose title or author is typed first.")
    candidates: int = Field(default=80, ge=10, le=1000, description="How many of the nearest works BM25 reorders.")
    per_author: int = Field(
        default=3,
        ge=0,
        le=10,
        description="Works of an author among the first ten, unless the query names the author; `0`: any number.",
    )
    read_phrases: bool = Field(
        default=True,
        description="Read `books by X`, `books like X`, `not X` and `X study guide` as what they say.",
    )
    about_the_book: bool = Field(default=False, description="Leave out of a long request what it says of the reader.")
