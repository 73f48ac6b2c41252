"""The rules of the documents: which works become one, and how much of each part is kept."""

from dataclasses import asdict, replace
from typing import Any, Self

from pydantic import Field
from pydantic.dataclasses import dataclass

from viberary_pipeline.errors import SettingsError
from viberary_pipeline.words import Words

UNKNOWN = "und"
"""What a filter calls an unknown language (ISO 639-2)."""

LIMITS = {
    # Longest text of a work: several times what any registered encoder reads.
    "most_characters": 4000,
    # Longest title, and longest name of an author.
    "most_title": 500,
    "most_description": 5000,
    # Other titles of a work, and the longest that is kept.
    "most_other_titles": 10,
    "most_other_title": 200,
    # Editions of a work of which a document tells.
    "most_listed_editions": 12,
    # How much of a review is cleaned where cleaning takes most of its beginning.
    "most_raw_review": 5000,
    # Shortest review that says something, as found and as cleaned.
    "least_review": 40,
    # Least share of a work's genre votes that a genre must have.
    "least_genre_share": 0.1,
}
"""Bounds on the parts of a document, in characters, by the name that the SQL knows them by."""


@dataclass(frozen=True)
class DocumentRules:
    """Which works become documents, and whose words they hold."""

    reader_language: str = Field(
        default="en", description="The language whose editions and reviews are preferred: `en`, `eng`, `en-US`."
    )
    languages: Words = Field(
        default=(),
        description="Only works in these languages are kept, such as `en,fr`; `und` stands for unknown. Empty: all "
        "works.",
    )
    min_ratings: int = Field(
        default=0, ge=0, description="A work with fewer ratings, over all its editions, is left out."
    )
    keep_thin: bool = Field(default=True, description="Keep works that have neither a description nor a review.")
    left_out: Words = Field(
        default=(),
        description="The `work_id`s of works that never become documents: somebody asked for their removal, or the "
        "record is wrong.",
    )
    reviews_per_work: int = Field(default=3, ge=0, le=20, description="The most reviews in the text of a work.")

    def resolved(self) -> Self:
        """The same rules with languages as the tables name them ('en' for 'eng'). Raises `SettingsError`."""
        return replace(
            self,
            reader_language=language_subtag(self.reader_language, "VIBERARY_DOCUMENTS_READER_LANGUAGE"),
            languages=tuple(language_subtag(code, "VIBERARY_DOCUMENTS_LANGUAGES") for code in self.languages),
        )

    @property
    def filters(self) -> bool:
        """Whether any work may be left out."""
        return bool(self.languages or self.min_ratings or self.left_out or not self.keep_thin)

    @property
    def candidates(self) -> int:
        """How many reviews of a work are cleaned: some turn out to be empty, repeated or in another language. At
        least two, whatever enters the text: a work without one usable review is thin."""
        return self.reviews_per_work + 2

    def to_json(self) -> dict[str, Any]:
        """Everything that shapes documents, as JSON values."""
        lists = {name: list(value) for name, value in asdict(self).items() if isinstance(value, tuple)}
        return {**asdict(self), **lists, "candidates": self.candidates}


def language_subtag(code: str, setting: str) -> str:
    """A language as tables name it ('en'), from any of its codes ('eng', 'en-US'), or 'und'.

    Raises:
        SettingsError: no language is called so.
    """
    if code.strip().lower() == UNKNOWN:
        return UNKNOWN
    from viberary_pipeline.sources.languages import normalise_language  # imports duckdb, which a web machine lacks

    language = normalise_language(code)
    if language is None:
        raise SettingsError(
            "There is no such language",
            expected=f"{setting} to hold codes of languages such as en, eng or en-US",
            found=repr(code),
            todo=f"correct {setting}; {UNKNOWN} stands for an unknown language",
        )
    return language
