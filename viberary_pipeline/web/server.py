"""`viberary serve`: the app behind waitress, a production WSGI server, in one process with some threads.

Three things must not stop it: a Redis that hangs (health checks have threads of their own), connections that send
nothing, and connections that send a byte now and then (they are closed; where all places are taken, the longest
waiting one goes first).
"""

import resource
import signal
import socket
import sys
import time
from typing import Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from viberary_pipeline.errors import SettingsError
from viberary_pipeline.redis_server import connect
from viberary_pipeline.search.searcher import Searcher
from viberary_pipeline.settings import Settings
from viberary_pipeline.web.app import create_app

# onnxruntime and Redis both release the GIL: threads beyond the cores only fill the waiting for Redis.
THREADS = 8

# A search takes milliseconds. A Redis that hangs must not hold a thread for longer.
ANSWER_SECONDS = 3.0

# Routes that one thread each answers, and nothing else holds up. /readyz asks Redis, so it must not hold up /healthz.
OWN_THREADS = (("/healthz", "/metrics"), ("/readyz",))

CONNECTIONS = 2000
REQUEST_SECONDS = 30.0
"""In which a connection must have sent a whole request, counted from the last one: whatever trickles in meanwhile."""

_OTHER_FILES = 200  # models, logs, connections to Redis


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
        server = Server(app, listener)
        print(f"Viberary answers at {address(listener)} (Ctrl-C stops it)", file=sys.stderr, flush=True)
        server.run()  # returns on SystemExit and KeyboardInterrupt, after the searches under way


class _Dispatcher:
    """Hands requests to threads by their route, so that `OWN_THREADS` wait for no search."""

    def __init__(self) -> None:
        self._searches, *others = dispatchers = [ThreadedTaskDispatcher() for _ in range(1 + len(OWN_THREADS))]
        self._all = dispatchers
        self._own = {route: own for routes, own in zip(OWN_THREADS, others, strict=True) for route in routes}
        for dispatcher, threads in zip(dispatchers, (THREADS, *[1] * len(others)), strict=True):
            dispatcher.set_thread_count(threads)

    def add_task(self, channel: HTTPChannel) -> None:
        """Called by waitress for each whole request."""
        self._own.get(channel.requests[0].path, self._searches).add_task(channel)

    def shutdown(self) -> None:
        """Called by waitress at the end: waits some seconds for what is under way."""
        for dispatcher in self._all:
            dispatcher.shutdown()


class _Channel(HTTPChannel):
    """A connection that knows since when it has sent no whole request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.waiting_since = time.monotonic()
        super().__init__(*args, **kwargs)

    def received(self, data: bytes) -> Any:
        """Called by waitress for what was sent."""
        result = super().received(data)
        if self.requests:
            self.waiting_since = time.monotonic()
        return result


class Server(TcpWSGIServer):
    """waitress over one listening socket, with the bounds of this module."""

    channel_class = _Channel

    def __init__(self, app: Any, listener: socket.socket) -> None:
        self._most = _most_connections()
        adjustments = Adjustments(
            sockets=[listener],
            ident="viberary",
            max_request_body_size=1 << 20,
            connection_limit=self._most + 100,  # beyond, waitress accepts none: only where all are being answered
            asyncore_use_poll=True,  # select() knows 1,024 files
            cleanup_interval=5,
            channel_timeout=int(REQUEST_SECONDS),
        )
        address = (listener.family, listener.type, listener.proto, listener.getsockname())
        super().__init__(
            app, {}, True, listener, dispatcher=_Dispatcher(), adj=adjustments, sockinfo=address, bind_socket=False
        )

    def handle_accept(self) -> None:
        """Called by waitress for a new connection. Where all places are taken, the longest waiting one is closed."""
        idle = [channel for channel in self.active_channels.values() if not channel.requests]
        if idle and len(self.active_channels) >= self._most:
            min(idle, key=lambda channel: channel.waiting_since).handle_close()
        super().handle_accept()

    def maintenance(self, now: float) -> None:
        """Called by waitress every few seconds: closes what has sent no whole request for too long."""
        super().maintenance(now)
        last = time.monotonic() - REQUEST_SECONDS
        for channel in self.active_channels.values():
            if not channel.requests and not channel.total_outbufs_len and channel.waiting_since < last:
                channel.will_close = True


def _most_connections() -> int:
    """`CONNECTIONS`, or fewer where this process may not open as many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 2 * _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return CONNECTIONS if soft == resource.RLIM_INFINITY else max(10, min(CONNECTIONS, soft - _OTHER_FILES))


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
