"""How a worker ends: its exit code (sysexits.h) and its last words, for whoever waits here or on another machine."""

import os
import select
import sys
import threading
from collections.abc import Callable

from viberary_pipeline.embedding.compute import is_full
from viberary_pipeline.embedding.heartbeat import Pulse
from viberary_pipeline.errors import ArtifactError, EncoderError, SettingsError, StorageError, WorkerError

DONE = 0
USAGE = 2
TRY_AGAIN = 75
CONFIGURATION = 78

# torch's own exception for a failing GPU, by name: torch may not be imported yet when one is caught.
_PASSING_FAILURES = {"AcceleratorError"}
_PARENT_CHECK_SECONDS = 1.0


class UsageError(Exception):
    """A command line that does not fit the job."""


def run_worker(work: Callable[[list[Pulse]], int]) -> int:
    """Do a worker's work; returns its exit code, which the heartbeat says too, with the message.

    Args:
        work: Does it and returns the code. It adds the heartbeat that it starts to the list.
    """
    pulse: list[Pulse] = []
    try:
        code, message = work(pulse), ""
    except UsageError as error:
        code, message = USAGE, str(error)
    except (ArtifactError, EncoderError, SettingsError) as error:
        code, message = CONFIGURATION, str(error)
    except StorageError as error:
        code, message = TRY_AGAIN if error.passing else CONFIGURATION, str(error)
    except (WorkerError, OSError, MemoryError) as error:
        code, message = TRY_AGAIN, f"{type(error).__name__}: {error}"
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        if type(error).__name__ not in _PASSING_FAILURES and not is_full(error):
            for beat in pulse:
                beat.end(1, message)
            raise
        code = TRY_AGAIN
    if message:
        print(message, file=sys.stderr)
    for beat in pulse:
        beat.end(code, message)
    return code


def end_with_parent() -> None:
    """From now on end this process when standard input closes or the parent is another one: nobody waits any more."""

    def watch(parent: int) -> None:
        while True:
            readable, _, _ = select.select([0], [], [], _PARENT_CHECK_SECONDS)
            if (readable and not os.read(0, 4096)) or os.getppid() != parent:
                os._exit(TRY_AGAIN)  # files are renamed into place when whole, so nothing is left half-written

    threading.Thread(target=watch, args=(os.getppid(),), daemon=True).start()
