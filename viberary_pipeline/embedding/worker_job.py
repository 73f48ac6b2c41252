"""What an executor has to know of a job: all that differs between embedding documents and training an encoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from viberary_pipeline.storage import Place


@dataclass(frozen=True)
class JobKind:
    """The words of messages.

    Attributes:
        name: Of its worker.
        counted: What the job's rows are, done.
        kept: What another try begins with.
    """

    name: str
    counted: str
    kept: str


class WorkerJob(Protocol):
    """A job in a place that its worker reaches; the worker's heartbeats lie there too."""

    @property
    def kind(self) -> JobKind: ...

    @property
    def place(self) -> Place:
        """Where it lies; no other job ever has this address."""

    @property
    def command(self) -> Sequence[str]:
        """What `python -m viberary_pipeline.worker` is given to do all of it."""

    @property
    def pieces(self) -> int:
        """How many parts may be done side by side. Where there are several, the worker takes `--range-size`."""

    @property
    def rows(self) -> int:
        """What progress is counted in, in all."""

    def declared_done(self) -> int:
        """How many pieces are declared done."""

    def declared_rows(self) -> int:
        """How many rows are done, by what is cheap to read."""
