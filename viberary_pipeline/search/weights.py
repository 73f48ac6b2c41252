"""How a search weighs what it knows."""

from pydantic import Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class SearchSettings:
    """The weights of a search. The defaults are those of the table in docs/search.md."""

    lexical_weight: float = Field(
        default=0.06, ge=0, le=1, description="What BM25 weighs beside the cosine similarity; `0`: nothing."
    )
    find_names: bool = Field(default=True, description="Whether works whose title or author is typed come first.")
    candidates: int = Field(default=50, ge=10, le=1000, description="Works nearest by vector that BM25 orders anew.")
