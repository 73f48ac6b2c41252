"""Which works of Open Library become books."""

from pydantic import Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class OpenLibraryRules:
    """Open Library's dumps: which of their works are worth indexing."""

    least_subjects: int = Field(
        default=3,
        ge=0,
        description="Telling subjects that stand in for a description: a work with neither a description, nor a first "
        "sentence, nor so many of them is left out. 0: none is.",
    )
    least_readers: int = Field(
        default=1,
        ge=0,
        description="Readers who have shelved or rated a work, below which it is left out. Not asked where the dump "
        "has neither a reading log nor ratings.",
    )
    mixed_dates: bool = Field(
        default=False, description="Whether files of different dates are read together: of each table the newest."
    )
