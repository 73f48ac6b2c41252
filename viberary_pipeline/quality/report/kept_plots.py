"""Plots that are kept from one report to the next: matplotlib takes a tenth to a fifth of a second for each."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from viberary_pipeline.artifacts import ArtifactStore, digest
from viberary_pipeline.code_digest import code_digest
from viberary_pipeline.quality.verdict import current_artifact

_FILE = "kept_plots.json"
_DRAWN_BY = ("quality/report/plots.py", "quality/report/text.py", "quality/distributions.py")


class KeptPlots:
    """Plots by what they show. `save` keeps those that were asked for, and drops the others."""

    def __init__(self, earlier: Mapping[str, str] | None = None) -> None:
        self._earlier = earlier or {}
        self._asked_for: dict[str, str] = {}
        self._code = code_digest(*_DRAWN_BY, packages=("matplotlib",))

    @classmethod
    def of(cls, store: ArtifactStore, stage: str) -> "KeptPlots":
        """Those that the current artifact of a stage saved; none where there is no such artifact."""
        made = current_artifact(store, stage)
        if made is None or _FILE not in made.files:
            return cls()
        return cls(json.loads(made.file(_FILE).read_text(encoding="utf-8")))

    def __call__(self, shown: object, draw: Callable[[], str]) -> str:
        """The plot of what is shown (JSON): the kept one, else what `draw` gives."""
        key = digest([self._code, shown])
        if key not in self._asked_for:
            self._asked_for[key] = self._earlier[key] if key in self._earlier else draw()
        return self._asked_for[key]

    def save(self, folder: Path) -> None:
        """Write those that were asked for into the folder of an artifact."""
        (folder / _FILE).write_text(json.dumps(self._asked_for), encoding="utf-8")
