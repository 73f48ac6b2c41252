"""The bundled catalogue: real books with texts of this project's own, and dirt like the real files'.

What it is for: the demo, the tests, and a first look without any data. It is separable: only the resource `pipeline`
(its files, judgements and canaries) and the command line know it. `catalogue/` holds the works as TOML,
`dirt.toml` and `dirt_openlibrary.toml` what is wrong on purpose. `records.py` makes UCSD's records of the works,
`openlibrary.py` those of Open Library's dumps, `write.py` the gz files. Works, reviews and dirt may be added freely;
ids follow from numbers and names, so that a new work changes nobody else's. Judgements in `golden.toml` name works by
UCSD's ids.
"""

from dataclasses import dataclass
from pathlib import Path

CANARIES = Path(__file__).with_name("canaries.toml")
GOLDEN = Path(__file__).with_name("golden.toml")


@dataclass(frozen=True)
class BundledSample:
    """The sample as the input of builds; its files are written to `folder`."""

    folder: Path

    @property
    def canaries(self) -> Path:
        """Queries of which the answer is known, over the whole sample."""
        return CANARIES

    @property
    def dirt(self) -> tuple[str, ...]:
        """The works of the dirt, which is for the pipeline and its reports: no reader is shown any."""
        from viberary_pipeline.sample.write import load_dirt

        books = [item["fields"] for item in load_dirt()["books"] if "fields" in item]
        return tuple(dict.fromkeys(book.get("work_id") or f"b{book['book_id']}" for book in books))

    def write(self) -> str:
        """Write the raw files where they are not right already; returns the folder."""
        from viberary_pipeline.sample.write import write_sample

        write_sample(self.folder)
        return str(self.folder)
