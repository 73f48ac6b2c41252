"""Goes back to the previous build, and to the baseline that belongs to it. A web machine can do it too."""

from dataclasses import dataclass
from pathlib import Path

import redis

from viberary_pipeline.history.trends import record_rollback
from viberary_pipeline.index.publish import rollback, save
from viberary_pipeline.notifications import Message
from viberary_pipeline.origin import refresh, send
from viberary_pipeline.quality.baseline import restore_baseline
from viberary_pipeline.redis_contract import BuildRecord


@dataclass(frozen=True)
class WentBack:
    """What a rollback came to.

    Args:
        record: The build that is live again.
        saved: Whether Redis saved it; a restart would undo it otherwise.
        not_compared: Why the next build is still compared with the build gone back from; '' where it is not.
    """

    record: BuildRecord
    saved: bool
    not_compared: str

    def lines(self) -> list[str]:
        """For people: the outcome, and a warning where there is one."""
        saved = "" if self.saved else "; Redis did not save: its restart would undo this"
        lines = [f"build {self.record.build} is live again ({self.record.documents:,} documents){saved}"]
        if self.not_compared:
            lines.append(f"the next build is still compared with the one gone back from: {self.not_compared}")
        return lines

    def message(self, key: str, **facts: str) -> Message:
        """What people are told of it; `key` and `facts` as `Message` has them."""
        of_build = {"build": self.record.build, "source": self.record.source, "encoder": self.record.encoder}
        return Message("publish", key, f"viberary: {self.lines()[0]}", facts={**of_build, **facts})


def go_back(client: redis.Redis, home: Path, *, keep_records: int, public: bool = False) -> WentBack:
    """Back to the previous build; the live one becomes the previous.

    It takes no lock: a bad index must be retractable while the next one is being built. The history tells of it, of
    whose records the last `keep_records` are kept. `public`: as of `publish`.

    Raises:
        IndexBuildError: there is no previous build.
        GateRefused, EncoderError: it is not fit to be published, or the page could not answer from it.
    """
    refresh(home)
    record = rollback(client, home=home, public=public)
    saved = save(client, record.build)
    try:
        why = "" if restore_baseline(home, record.build) else "no profiles of this one are kept here"
    except OSError as error:
        why = str(error)
    record_rollback(home, record, keep=keep_records)
    send(home)
    return WentBack(record, saved, why)
