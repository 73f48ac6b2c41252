"""The rules of the documents: which works become one, and how much of each part is kept."""

from dataclasses import asdict, dataclass
from typing import Any

from viberary_pipeline.errors import SettingsError
from viberary_pipeline.settings import Settings
from viberary_pipeline.sources.languages import normalise_language

UNKNOWN = "und"
"""What a filter calls an unknown language (ISO 639-2)."""

LIMITS = {
    # Longest text of a work: several times what any registered encoder reads.
    "most_characters": 4000,
    # Longest title, and longest name of an author.
    "most_title": 500,
    "most_description": 5000,
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
    """Which works become documents, and whose words they hold.

    Attributes:
        reader_language: BCP 47 primary subtag ('en'): its editions and reviews come first.
        languages: Works whose shown edition is in one of them stay; 'und' stands for an unknown language. Empty: all.
        min_ratings: Least ratings of a work, over all its editions.
        keep_thin: Whether works with neither a description nor a review stay.
        reviews_per_work: Most reviews that may enter the text of a work.
    """

    reader_language: str = "en"
    languages: tuple[str, ...] = ()
    min_ratings: int = 0
    keep_thin: bool = True
    reviews_per_work: int = 3

    @classmethod
    def of(cls, settings: Settings) -> "DocumentRules":
        """The rules that the settings give. Raises `SettingsError` where one names no language."""
        return cls(
            reader_language=language_of_setting(settings.reader_language, "VIBERARY_READER_LANGUAGE"),
            languages=tuple(language_of_setting(code, "VIBERARY_LANGUAGES") for code in settings.languages),
            min_ratings=settings.min_ratings,
            keep_thin=settings.keep_thin,
            reviews_per_work=settings.reviews_per_work,
        )

    @property
    def candidates(self) -> int:
        """How many reviews of a work are cleaned: some turn out to be empty, repeated or of another language. At
        least two, whatever enters the text: a work without one usable review is thin."""
        return self.reviews_per_work + 2

    def to_json(self) -> dict[str, Any]:
        """Everything that shapes documents, as JSON values."""
        return {**asdict(self), "languages": list(self.languages), "candidates": self.candidates}


def language_of_setting(code: str, setting: str) -> str:
    """A language as tables name it ('en'), from any of its codes ('eng', 'en-US'), or 'und'.

    Raises:
        SettingsError: no language is called so.
    """
    if code.strip().lower() == UNKNOWN:
        return UNKNOWN
    language = normalise_language(code)
    if language is None:
        raise SettingsError(
            "There is no such language",
            expected=f"{setting} to hold codes of languages such as en, eng or en-US",
            found=repr(code),
            todo=f"correct {setting}; a language that is not known is {UNKNOWN}",
        )
    return language
