"""The weights of a search."""

from pydantic import Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class SearchSettings:
    """The weights of a search.

    docs/searching.md says what each is for.
    """

    lexical_weight: float = Field(
        default=0.06,
        ge=0,
        le=1,
        description="The weight of BM25, which is added to the cosine similarity; `0`: the cosine alone.",
    )
    long_lexical_weight: float = Field(
        default=0.04,
        ge=0,
        le=1,
        description="The same for queries of 25 words or more; at most `VIBERARY_SEARCH_LEXICAL_WEIGHT`.",
    )
    find_names: bool = Field(default=True, description="Put the works first whose title or author the query names.")
    candidates: int = Field(default=80, ge=10, le=1000, description="The number of nearest works that BM25 reorders.")
    per_author: int = Field(
        default=3,
        ge=0,
        le=10,
        description="The most works of one author among the first ten results, unless the query names the author; "
        "`0`: any "
        "number.",
    )
    read_phrases: bool = Field(
        default=True,
        description="Understand the phrases `books by X`, `books like X`, `not X` and `X study guide`.",
    )
    about_the_book: bool = Field(default=False, description="Leave out what a long request says about its reader.")
