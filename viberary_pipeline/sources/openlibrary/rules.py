"""Which works of Open Library become books."""

from pydantic import Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class OpenLibraryRules:
    """Open Library's dumps: which of their works are worth indexing."""

    least_subjects: int = Field(
        default=3,
        ge=0,
        description="A work that has neither a description nor a first sentence is left out if it has fewer telling "
        "subjects than "
        "this. 0: none is left out.",
    )
    least_readers: int = Field(
        default=1,
        ge=0,
        description="A work that fewer readers have shelved or rated is left out. Ignored if the dump has neither a "
        "reading log nor ratings. 0: none is left out, and every record is read.",
    )
    mixed_dates: bool = Field(
        default=False, description="Read files of different dates together: the newest file of each table."
    )
