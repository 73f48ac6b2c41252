"""`viberary serve`: the app behind waitress, a production WSGI server, in one process with some threads."""

import signal
import socket
import sys

import waitress

from viberary_pipeline.errors import SettingsError
from viberary_pipeline.redis_server import connect
from viberary_pipeline.search.searcher import Searcher
from viberary_pipeline.settings import Settings
from viberary_pipeline.web.app import create_app

# onnxruntime and Redis both release the GIL: threads beyond the cores only fill the waiting for Redis.
THREADS = 8

# A search takes milliseconds. A Redis that hangs must not hold every thread, and with them /healthz.
ANSWER_SECONDS = 3.0


def serve(settings: Settings) -> None:
    """Serve the page until SIGINT or SIGTERM. Prints its address on standard error once it can answer.

    The port is taken first, so that a wrong setting fails before Redis is started or a model loaded; requests
    that arrive in the meantime wait. Searches are logged to `logs/queries.jsonl` under VIBERARY_HOME.

    Raises:
        SettingsError: the address cannot be listened on.
        RedisServerError: no usable Redis.
    """
    with listen(settings.web.host, settings.web.port) as listener:
        # Containers are stopped by SIGTERM, which the first process of one ignores unless it says otherwise.
        signal.signal(signal.SIGTERM, _leave)
        searcher = Searcher(connect(settings, answer_seconds=ANSWER_SECONDS), settings.home_dir, settings.search)
        state = searcher.readiness()  # loads the model, so that the first reader need not wait for it
        if not state.ready:
            print(f"Not ready to search yet: {state.reason}", file=sys.stderr)
        app = create_app(searcher, query_log=settings.home_dir / "logs" / "queries.jsonl")
        server = waitress.create_server(
            app, sockets=[listener], threads=THREADS, ident="viberary", max_request_body_size=1 << 20
        )
        print(f"Viberary answers at {address(listener)} (Ctrl-C stops it)", file=sys.stderr, flush=True)
        server.run()  # returns on SystemExit and KeyboardInterrupt, after the searches under way


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket (port 0: any free one). Raises `SettingsError` if there can be none."""
    try:
        family, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:  # in use, not permitted, not an address of this machine, not a known name
        raise SettingsError(
            "The page cannot be served at this address",
            expected=f"an address of this machine and a free port at {host}:{port}",
            found=error.strerror or str(error),
            todo="stop the program that uses the port, or choose another (--host, --port; 0: any free one)",
        ) from error


def address(listener: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _leave(signum: int, frame: object) -> None:
    raise SystemExit(0)
