"""The settings of downloads."""

from pydantic import Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class FetchSettings:
    """Downloads of the sources (`viberary fetch`)."""

    url: str = Field(
        default="https://archive.org",
        description="The server of Open Library's dumps. `URL/metadata/ol_dump_DATE` must list their files with "
        "checksums, "
        "and `URL/download/ol_dump_DATE/NAME` must be these files.",
    )
    latest: str = Field(
        default="https://openlibrary.org/data/ol_dump_works_latest.txt.gz",
        description="An address that redirects to the latest dump. The date of that dump is read from where it leads.",
    )
    tries: int = Field(
        default=8, ge=1, le=1000, description="A download is given up after so many tries in a row without a new byte."
    )
    wait: float = Field(
        default=2.0,
        ge=0,
        le=600,
        description="The seconds before the second try. They double with each further try, up to a minute.",
    )
    timeout: float = Field(
        default=60.0, gt=0, le=3600, description="A try fails if the server sends nothing for so many seconds."
    )
