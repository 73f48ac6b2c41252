"""The pipeline from Python: `open` a published library to search it, or `build` one.

The examples run against the bundled sample.
"""

import html
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from viberary_pipeline.errors import BuildStopped, EncoderError, SearchError
from viberary_pipeline.redis_server import connect
from viberary_pipeline.search.books import Book
from viberary_pipeline.search.filters import Filters
from viberary_pipeline.search.hits import Hit
from viberary_pipeline.search.searcher import Searcher, SearchResponse
from viberary_pipeline.settings import load_settings

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from viberary_pipeline.run import BuildOutcome

_REDIS = ("redis://", "rediss://", "unix://")


class Results(Sequence[Hit]):
    """The books that a search found, best first: a sequence of `Hit`.

    It prints as a list. In a notebook it shows as a table.

    Attributes:
        query: The query as it was given.
        build: The build that answered.
        notes: How the query was read, where its words are more than a vibe: "books by Jane Austen", "left out: war".
        corrected: The query without its typos; "" if it has none.
        fits: False if no book fits the query well.
    """

    def __init__(self, response: SearchResponse) -> None:
        self._hits = response.results
        self.query, self.build = response.query, response.build
        self.notes, self.corrected, self.fits = response.notes, response.corrected, response.fits

    @overload
    def __getitem__(self, number: int) -> Hit: ...
    @overload
    def __getitem__(self, number: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, number: int | slice) -> Hit | tuple[Hit, ...]:
        return self._hits[number]

    def __len__(self) -> int:
        return len(self._hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self._hits)

    def to_dicts(self) -> list[dict[str, Any]]:
        """One object for each book, as in `results` of `viberary search --json`."""
        return [hit.to_json() for hit in self._hits]

    def to_arrow(self) -> "pa.Table":
        """A row for each book, with the columns of `to_dicts`."""
        import pyarrow as pa

        return pa.Table.from_pylist(self.to_dicts())

    def to_pandas(self) -> "pd.DataFrame":
        """A row for each book, with the columns of `to_dicts`."""
        import pandas as pd

        return pd.DataFrame(self.to_dicts())

    def __repr__(self) -> str:
        books = [f"{hit.rank:>3}. {hit.score:.3f}  {hit}" for hit in self._hits]
        return "\n".join([self.query, *(f"  ({note})" for note in self._said()), *(books or ["  no book was found"])])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr>{''.join(f'<td>{html.escape(str(value))}</td>' for value in row)}</tr>"
            for row in (
                (hit.rank, hit.title, hit.author, hit.year or "", hit.match or f"its {hit.named}", hit.why)
                for hit in self._hits
            )
        )
        said = "".join(f"<p>{html.escape(note)}</p>" for note in self._said())
        heads = "".join(f"<th>{head}</th>" for head in ("", "Title", "Author", "Year", "Match", "Why"))
        return f"<p><b>{html.escape(self.query)}</b></p>{said}<table><tr>{heads}</tr>{rows}</table>"

    def _said(self) -> list[str]:
        corrected = [f"searched for: {self.corrected}"] if self.corrected else []
        return [*corrected, *self.notes, *([] if self.fits or not self._hits else ["nothing fits well"])]


class Library:
    """A published library, as `open` returns it.

    Threads may share it. After a publish or a rollback, the next call searches the new live build.

    Args:
        home: The VIBERARY_HOME that holds the query encoder, and the documents if the library was built there.
        searcher: The object that answers searches.
    """

    def __init__(self, home: Path, searcher: Searcher) -> None:
        self._home, self._searcher = home, searcher

    def search(
        self,
        text: str,
        k: int = 10,
        *,
        language: str | Sequence[str] = (),
        years: str = "",
        min_reviews: int = 0,
        genre: str = "",
        exact: bool = False,
    ) -> Results:
        """The k works that fit a query best.

        Args:
            text: The query. It describes a vibe, or names a title, an author, a series or an ISBN.
            k: The number of works, 1 to 100.
            language: The language of the books, as a code or a name ("en", "English"); or several of them.
            years: The years of publication: "1990-1999", "1990-" or "-1999".
            min_reviews: The least number of reviews.
            genre: A genre of the catalogue.
            exact: If true, typos are not corrected.

        Raises:
            QueryError: the text is empty, or a filter has a value that is not allowed.
            SearchError: the query cannot be answered.
            SearchUnavailable: nothing is published, or Redis does not answer.

        Example:
            >>> found = library.search("cold-blooded revenge", k=3, language="en")
            >>> [hit.rank for hit in found], found.fits
            ([1, 2, 3], True)
            >>> found.to_pandas().columns.tolist()[:6]
            ['rank', 'score', 'book_id', 'work_id', 'title', 'author']
        """
        filters = _filters(language, years, min_reviews, genre)
        return Results(self._searcher.search(text, k, filters, exact=exact))

    def similar(
        self,
        book_id: str,
        k: int = 10,
        *,
        language: str | Sequence[str] = (),
        years: str = "",
        min_reviews: int = 0,
        genre: str = "",
    ) -> Results:
        """The k works that are most like a book, without the book itself.

        Args:
            book_id: The id of an edition or of a work, an ISBN or an ASIN.
            k: The number of works, 1 to 100.
            language, years, min_reviews, genre: As in `search`.

        Raises:
            BookNotFound: no work has that id.
            QueryError, SearchError, SearchUnavailable: as in `search`.

        Example:
            >>> book = library.search("pride and prejudice", k=1)[0]
            >>> book.named, len(library.similar(book.book_id, k=5))
            ('title', 5)
        """
        return Results(self._searcher.similar(book_id, k, _filters(language, years, min_reviews, genre)))

    def book(self, book_id: str) -> Book:
        """Everything that is known about the book with this id: of an edition or a work, an ISBN or an ASIN.

        Raises:
            BookNotFound: no work has that id.
            SearchError, SearchUnavailable: as in `search`.

        Example:
            >>> book = library.book(library.search("pride and prejudice", k=1)[0].work_id)
            >>> book.title, book.language
            ('Pride and Prejudice', 'en')
        """
        return self._searcher.book(book_id)

    def documents(self, columns: Sequence[str] | None = None) -> "pa.Table":
        """The documents of the published build: one row per work (contracts/documents.json).

        Args:
            columns: The columns to read. None reads all of them; for a million works, that takes gigabytes of memory.

        Raises:
            EncoderError, EvaluationError: the published build was made in another home.
            SearchUnavailable: nothing is published, or Redis does not answer.

        Example:
            >>> library.documents(["work_id", "title"]).num_rows == len(library)
            True
        """
        import pyarrow.parquet as pq

        from viberary_pipeline.evaluation.inputs import documents_of

        return pq.read_table(documents_of(self._home, self._searcher.live()).file("documents.parquet"), columns=columns)

    def vectors(self, work_ids: Iterable[str]) -> npt.NDArray[np.float32]:
        """The vectors of works, float32 (works, dimensions), norm 1, in the order of `work_ids`.

        Raises:
            BookNotFound: one of these ids is not that of a work.
            SearchUnavailable: nothing is published, or Redis does not answer.

        Example:
            >>> library.vectors(library.documents(["work_id"])["work_id"].to_pylist()[:3]).shape
            (3, 384)
        """
        return self._searcher.vectors(list(work_ids))

    def __len__(self) -> int:
        return self._searcher.live().documents

    def __repr__(self) -> str:
        try:
            record = self._searcher.live()
        except (SearchError, EncoderError) as error:
            return f"<Library: {error.what}>"
        return f"<Library: {record.documents:,} works, build {record.build}, encoder {record.encoder}>"


def open(place: str | Path | None = None) -> Library:
    """Open a published library to search it.

    Args:
        place: A home, whose embedded Redis is started if it is not running. Or the URL of a Redis (`redis://`,
            `rediss://`, `unix://`); queries are then encoded with the query encoder of VIBERARY_HOME. None: the home
            and the Redis that the environment names.

    Raises:
        SettingsError: a setting, or the home, cannot be used.
        RedisServerError: Redis cannot be used.

    Example:
        >>> library = open()
        >>> library
        <Library: ... works, build ..., encoder viberary-minilm-v1>
    """
    at_redis = str(place).startswith(_REDIS)
    given = {"redis_url" if at_redis else "home": place} if place is not None else {}
    settings = load_settings(**given)
    return Library(settings.home_dir, Searcher(connect(settings), settings.home_dir, settings.search))


def build(raw: str | Path | None = None, *, force: bool = False, **settings: Any) -> "BuildOutcome":
    """Build an index, check it, and publish it. `viberary build` and the Dagster UI run the same job.

    Args:
        raw: A folder of input files, or `s3://bucket/prefix`. To build from two sources, name a place of each, with a
            comma between them. None: VIBERARY_RAW, or the bundled sample if that is not set.
        force: Run every stage again. Only texts that already have a vector are not embedded again.
        settings: Any setting of docs/settings.md, by its name in lower case without the prefix: `home`, `encoder`,
            `redis_url`, `embedding_device`.

    Returns:
        What was built and published. If nothing has changed, it describes the live build.

    Raises:
        BuildStopped: a gate refused the data or the index (`exit_code` 3), or a stage failed (1). The live index stays
            as it was.
        ViberaryError: the build could not start.
    """
    from viberary_pipeline.run import run_build

    outcome = run_build(load_settings(raw=None if raw is None else str(raw), **settings), force=force)
    if failure := outcome.failure:
        raise BuildStopped(f"{failure.stage}: {failure.message}", failure.exit_code)
    return outcome


def _filters(language: str | Sequence[str], years: str, min_reviews: int, genre: str) -> Filters:
    return Filters.of([language] if isinstance(language, str) else language, min_reviews, years, genre)
