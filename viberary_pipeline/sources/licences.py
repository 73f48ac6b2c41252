"""Under what the data of each source may be used, and whether an index of it may be served to the public."""

from collections.abc import Iterable
from dataclasses import dataclass as plain_dataclass

from pydantic import Field
from pydantic.dataclasses import dataclass

from viberary_pipeline.errors import GateRefused


@plain_dataclass(frozen=True)
class Licence:
    """What may be done with the data of a source.

    Attributes:
        source: Whose data it is.
        terms: What may be done with it, as a sentence without its subject.
        url: Where that is said; '' for data of one's own.
        may_be_served: Whether an index of it may be served to the public.
    """

    source: str
    terms: str
    url: str
    may_be_served: bool


UCSD = Licence(
    "UCSD Book Graph",
    "for academic use; it may not be passed on or used commercially",
    "https://cseweb.ucsd.edu/~jmcauley/datasets/goodreads.html",
    may_be_served=False,
)
OPEN_LIBRARY = Licence(
    "Open Library",
    "in the public domain as far as Open Library can say; descriptions may be quotations that belong to others",
    "https://openlibrary.org/developers/licensing",
    may_be_served=True,
)
SAMPLE = Licence("The bundled sample", "under the MIT licence, as this project is", "", may_be_served=True)


@dataclass(frozen=True)
class SourceRules:
    """Who may see the data: their licences."""

    public: bool = Field(
        default=False,
        description="Whether the index will be served to the public. Then a build from a source that may not be "
        "served to "
        "the public is refused: before its first stage, and again before it is published or rolled back to.",
    )
    licence: str = Field(
        default="",
        description="For a catalogue of your own in the form of UCSD's files: its licence, as the page shows it (`CC "
        "BY 4.0, example.org`). Such a catalogue may be served to the public. Unset: the files count as UCSD's, which "
        "are for academic use.",
    )


def licences_of(source: str, own: str = "") -> tuple[Licence, ...]:
    """The licences of the data of a build.

    Args:
        source: As `BuildRecord.source`; what is not known there counts as UCSD's.
        own: `SourceRules.licence`, of files in UCSD's form.
    """
    files = Licence("The catalogue", own, "", may_be_served=True) if own else UCSD
    return {"sample": (SAMPLE,), "openlibrary": (OPEN_LIBRARY,), "both": (files, OPEN_LIBRARY)}.get(source, (files,))


def require_public(licences: Iterable[Licence], what: str) -> None:
    """Raise `GateRefused` where one of the licences forbids to serve `what` to the public."""
    kept = [licence for licence in licences if not licence.may_be_served]
    if kept:
        raise GateRefused(
            f"{what} may not be served to the public (VIBERARY_SOURCES_PUBLIC)",
            expected="sources that anybody may serve, such as Open Library",
            found="; ".join(f"{licence.source}: {licence.terms} ({licence.url})" for licence in kept),
            todo="build from other sources, or unset VIBERARY_SOURCES_PUBLIC if only people with a right to the "
            "data can reach the page. For a catalogue of your own, set VIBERARY_SOURCES_LICENCE. The live index is "
            "untouched",
        )
