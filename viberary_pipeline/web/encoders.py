"""The query encoders of a page whose home is in S3: a thread fetches them, so that no reader waits for S3.

The next build's encoder is in S3 long before that build is published, and is fetched as soon as it is there. A host
that starts with an empty disk, or that missed it, answers 503 for the seconds that it takes.
"""

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from viberary_pipeline.artifacts import ArtifactStore
from viberary_pipeline.errors import EncoderError, ViberaryError
from viberary_pipeline.origin import CURRENT, Origin
from viberary_pipeline.redis_contract import BuildRecord
from viberary_pipeline.search.searcher import encoder_folder

log = logging.getLogger(__name__)

_STAGE = "query_encoder"
_AGAIN_SECONDS = 10.0
_LOOK_SECONDS = 60.0


class EncoderFetcher:
    """Gives the folder of a build's encoder once it is here. May be shared by threads."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._lock = threading.Lock()
        self._tried: dict[str, float] = {}
        self._problem: tuple[str, EncoderError] | None = None
        self._looked_at = ""

    def folder(self, home: Path, record: BuildRecord) -> Path:
        """Where it lies. Raises `EncoderError` while it is being fetched, or where it cannot be."""
        found = ArtifactStore(home).find(_STAGE, record.query_encoder, fetch=False)
        if found is not None and found.is_here:
            return found.path
        self._in_background(record.build, _AGAIN_SECONDS, lambda: self._fetch(home, record))
        if self._problem is not None and self._problem[0] == record.build:
            raise self._problem[1]
        raise EncoderError(
            f"The query encoder of build {record.build} is being fetched",
            expected="its files in the copy of the home in S3",
            found="not all of them yet",
            todo="wait a few seconds",
        )

    def look_ahead(self) -> None:
        """Fetch the encoder that the next build will have, now and then."""
        self._in_background("", _LOOK_SECONDS, self._fetch_current)

    def _in_background(self, what: str, seconds: float, do: Callable[[], None]) -> None:
        """Do it in a thread, unless that was tried in the last `seconds`."""
        with self._lock:
            now = time.monotonic()
            if now - self._tried.get(what, -seconds) < seconds:
                return
            self._tried = {**({"": self._tried[""]} if "" in self._tried else {}), what: now}
        threading.Thread(target=do, daemon=True).start()

    def _fetch(self, home: Path, record: BuildRecord) -> None:
        try:
            encoder_folder(home, record)
            self._problem = None
        except EncoderError as error:
            self._problem = record.build, error
            log.warning("%s", error)

    def _fetch_current(self) -> None:
        try:
            found = self._origin.place.find(f"artifacts/{_STAGE}/{CURRENT}")
            if found is not None and found[0] != self._looked_at:
                ArtifactStore(self._origin.home).find(_STAGE, str(json.loads(found[1])["folder"]).partition(".")[0])
                self._origin.drop_gone(_STAGE)
                self._looked_at = found[0]
        except (ViberaryError, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("the encoder of the next build cannot be fetched: %s", str(error).splitlines()[0])
