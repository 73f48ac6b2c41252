"""gunicorn's settings: `viberary serve --workers N` runs `gunicorn -c python:viberary_pipeline.web.gunicorn_conf`.

The app is loaded once, before the workers are forked: they share the encoder's memory, and a worker is there at once.
(onnxruntime's session has no threads of its own here, so it survives the fork; redis-py opens connections anew.)
SIGHUP replaces the workers one by one, and SIGTERM stops them, after what they are answering. For a new version or
other settings start a new process.
"""

import gc
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from viberary_pipeline.errors import ViberaryError
from viberary_pipeline.settings import load_settings

# Before prometheus_client is imported: the processes count into files of one folder.
os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="viberary-metrics-")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads do not survive a fork

_settings = load_settings()
_host = f"[{_settings.web.host}]" if ":" in _settings.web.host else _settings.web.host

bind = f"{_host}:{_settings.web.port}"
workers = _settings.web.workers
worker_class = "viberary_pipeline.web.gunicorn_worker.ServerWorker"
wsgi_app = "viberary_pipeline.web.gunicorn_conf:app()"
preload_app = True
backlog = 1024
timeout = 30  # a worker whose loop stands still for so long is replaced
graceful_timeout = 30
loglevel = "warning"
accesslog = None  # it would hold addresses
if Path("/dev/shm").is_dir():
    worker_tmp_dir = "/dev/shm"  # a heartbeat must not wait for a disk


def app() -> Any:
    """The app, or the end of the program where it cannot be made."""
    from viberary_pipeline.web.server import open_app

    try:
        made = open_app(_settings)
    except ViberaryError as error:
        print(f"viberary: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from error
    gc.collect()
    gc.freeze()  # a worker's collections would write to all that is shared, and so copy it
    return made


def when_ready(server: Any) -> None:
    """Say where the page is, once it can answer."""
    from viberary_pipeline.web.server import address

    shown = address(server.LISTENERS[0].sock)
    print(f"Viberary answers at {shown} ({workers} workers; Ctrl-C stops it)", file=sys.stderr, flush=True)


def child_exit(server: Any, worker: Any) -> None:
    """Forget what only a living worker says."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)


def worker_exit(server: Any, worker: Any) -> None:
    """End a worker without Python's own end, at which onnxruntime waits for threads that the fork did not copy."""
    if worker.booted:
        sys.stderr.flush()
        os._exit(0)


def on_exit(server: Any) -> None:
    """Leave nothing behind."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
