"""The progress of a training on standard error."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from viberary_pipeline.tuning.recipe import Progress

_SECONDS_IN_A_LOG = 30.0


@contextmanager
def shown_progress() -> Iterator[Callable[[Progress], None]]:
    """What shows each step: a bar on a terminal, a line every half minute in a log."""
    from tqdm import tqdm

    bar: tqdm | None = None

    def show(progress: Progress) -> None:
        nonlocal bar
        if bar is None:
            seconds = 0.5 if sys.stderr.isatty() else _SECONDS_IN_A_LOG
            bar = tqdm(
                total=progress.steps, initial=progress.step - 1, unit="step", file=sys.stderr, mininterval=seconds
            )
        bar.set_postfix_str(f"{progress.examples_per_second:.1f} pairs/s, loss {progress.loss:.3f}", refresh=False)
        bar.update()
        if progress.step == progress.steps:
            bar.close()

    try:
        yield show
    finally:
        if bar is not None:
            bar.close()
