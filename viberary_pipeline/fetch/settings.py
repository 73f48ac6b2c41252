"""The settings of downloads."""

from pydantic import Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class FetchSettings:
    """Downloads of the sources (`viberary fetch`)."""

    url: str = Field(
        default="https://archive.org",
        description="Where Open Library's dumps lie: `URL/metadata/ol_dump_DATE` lists their files with checksums, "
        "`URL/download/ol_dump_DATE/NAME` are the files.",
    )
    latest: str = Field(
        default="https://openlibrary.org/data/ol_dump_works_latest.txt.gz",
        description="An address that redirects to the latest dump, by which its date is found.",
    )
    tries: int = Field(
        default=8, ge=1, le=1000, description="Tries in a row without a new byte, after which a download is given up."
    )
    wait: float = Field(
        default=2.0, ge=0, le=600, description="Seconds before the second try; doubled each time, up to a minute."
    )
    timeout: float = Field(default=60.0, gt=0, le=3600, description="Seconds in which a server must send something.")
