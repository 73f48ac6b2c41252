"""Under what the data of each kind of build may be used, and which may be served to the public."""

import pytest

from viberary_pipeline.errors import GateRefused
from viberary_pipeline.sources.licences import OPEN_LIBRARY, SAMPLE, UCSD, licences_of, require_public


def test_each_kind_of_build_has_the_licences_of_its_sources():
    own = licences_of("given", "CC BY 4.0")
    assert [(one.source, one.terms, one.may_be_served) for one in own] == [("The catalogue", "CC BY 4.0", True)]
    assert {source: licences_of(source) for source in ("sample", "given", "openlibrary", "both", "")} == {
        "sample": (SAMPLE,),
        "given": (UCSD,),
        "openlibrary": (OPEN_LIBRARY,),
        "both": (UCSD, OPEN_LIBRARY),
        "": (UCSD,),
    }
    assert licences_of("both", "CC BY 4.0") == (*own, OPEN_LIBRARY)
    assert licences_of("openlibrary", "CC BY 4.0") == (OPEN_LIBRARY,)


@pytest.mark.parametrize(
    ("source", "own", "may"),
    [
        ("sample", "", True),
        ("openlibrary", "", True),
        ("given", "CC BY 4.0", True),
        ("both", "CC BY 4.0", True),
        ("given", "", False),
        ("both", "", False),
        ("", "", False),
    ],
)
def test_what_may_be_served(source, own, may):
    if may:
        require_public(licences_of(source, own), "An index")
        return
    with pytest.raises(GateRefused) as refused:
        require_public(licences_of(source, own), "An index of /data")
    assert refused.value.what == "An index of /data may not be served to the public (VIBERARY_SOURCES_PUBLIC)"
    assert refused.value.found == (
        "UCSD Book Graph: for academic use; it may not be passed on or used commercially "
        "(https://cseweb.ucsd.edu/~jmcauley/datasets/goodreads.html)"
    )
