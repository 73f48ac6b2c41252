"""`viberary serve`: the app behind waitress, a production WSGI server, in one process with some threads.

With more than one worker, gunicorn starts and replaces the processes, each of which runs this server over the shared
socket (`gunicorn_conf`, `gunicorn_worker`).

Four things must not stop it: a Redis that hangs (health checks have threads of their own), connections that send
nothing, connections that send a byte now and then (they are closed; where all places are taken, the longest
waiting one goes first), and more requests than it can answer (the queue is bounded in number and in time; what is
beyond is refused at once by a thread of its own).
"""

import importlib
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import redis
from flask import Flask
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher, WSGITask

from viberary_pipeline.errors import RedisServerError, SettingsError
from viberary_pipeline.origin import origin_of
from viberary_pipeline.query_lines import LIVE, LOGS
from viberary_pipeline.redis_server import connect
from viberary_pipeline.redis_server.probe import open_client
from viberary_pipeline.settings import Settings, WebSettings
from viberary_pipeline.web.limits import BUSY, BUSY_MARK

# onnxruntime and Redis both release the GIL: threads beyond the cores only fill the waiting for Redis.
THREADS = 8

# A search takes milliseconds. A Redis that hangs must not hold a thread for longer.
ANSWER_SECONDS = 3.0

# Routes that one thread each answers, and nothing else holds up. /readyz asks Redis, so it must not hold up /healthz.
OWN_THREADS = (("/healthz", "/metrics"), ("/readyz",))

CONNECTIONS = 2000
REQUEST_SECONDS = 30.0
"""In which a connection must have sent a whole request, counted from the last one: whatever trickles in meanwhile."""

QUEUE_SECONDS = 3.0
"""How long a request may wait for a thread; one that waited longer is refused when its turn comes."""

DRAIN_SECONDS = 10.0
"""How long a server that was told to stop answers what has arrived."""

LAST_REQUEST_SECONDS = 1.0
"""How long it then waits for one more request of a connection that is kept open, to say in its answer that it ends."""

REQUESTS_OF_A_CONNECTION = 1000
"""After so many answers a connection ends: a client that stays for ever would stay with one process, however busy, and
a process that was started again would get none."""

_FETCH_SECONDS = 20.0
"""How long a server that starts waits for an encoder from S3, before it answers 503 meanwhile."""

_OTHER_FILES = 200  # models, logs, connections to Redis


def serve(settings: Settings) -> None:
    """Serve the page until SIGINT or SIGTERM. Prints its address on standard error once it can answer.

    The port is taken first, so that a wrong setting fails before Redis is started or a model loaded; requests
    that arrive in the meantime wait. Searches are logged to `logs/queries.jsonl` under VIBERARY_HOME. With more than
    one worker this process becomes gunicorn's.

    Raises:
        SettingsError: the address cannot be listened on.
        RedisServerError: no usable Redis.
    """
    with listen(settings.web.host, settings.web.port) as listener:
        if settings.web.workers > 1:
            listener.close()
            _become_gunicorn(settings.web)
        # Containers are stopped by SIGTERM, which the first process of one ignores unless it says otherwise.
        signal.signal(signal.SIGTERM, _leave)
        server = Server(open_app(settings), listener, queue=settings.web.queue)
        print(f"Viberary answers at {address(listener)} (Ctrl-C stops it)", file=sys.stderr, flush=True)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        server.serve_until(stop.is_set)


def open_app(settings: Settings) -> Flask:
    """The app of these settings, its model loaded, so that the first reader need not wait for it.

    A Redis of VIBERARY_REDIS_URL that is away is no error: searches are answered with 503 until it is back.

    Raises:
        RedisServerError: no usable Redis.
    """
    # Imported here: prometheus_client decides at its import whether processes count together.
    from viberary_pipeline.web.app import create_app
    from viberary_pipeline.web.cached import CachedSearcher
    from viberary_pipeline.web.encoders import EncoderFetcher
    from viberary_pipeline.web.prometheus import Metrics

    metrics = Metrics()
    origin = origin_of(settings.home_dir)
    searcher = CachedSearcher(
        *(_client_of(settings), settings.home_dir, settings.search),
        most_bytes=settings.web.cache * 2**20,
        count=lambda hit: metrics.cache.labels("hit" if hit else "miss").inc(),
        encoders=EncoderFetcher(origin) if origin is not None else None,
    )
    state = searcher.readiness()
    # A moment: workers are forked from this process, and share the memory of what it has loaded.
    patience = time.monotonic() + (_FETCH_SECONDS if origin is not None else 0)
    while "being fetched" in state.reason and time.monotonic() < patience:
        time.sleep(0.2)
        state = searcher.readiness()
    if not state.ready:
        print(f"Not ready to search yet: {state.reason}", file=sys.stderr)
    return create_app(searcher, query_log=settings.home_dir / LOGS / LIVE, web=settings.web, metrics=metrics)


def _client_of(settings: Settings) -> redis.Redis:
    try:
        return connect(settings, answer_seconds=ANSWER_SECONDS)
    except RedisServerError as error:
        cause, url = error.__cause__, settings.redis.url
        away = isinstance(cause, redis.ConnectionError | redis.TimeoutError)
        if url is None or not away or isinstance(cause, redis.AuthenticationError):
            raise
        print(f"viberary: {error}\n  meanwhile:  the page answers 503", file=sys.stderr)
        return open_client(url, answer_seconds=ANSWER_SECONDS)


def _become_gunicorn(web: WebSettings) -> None:
    """Run gunicorn in place of this program. Never returns."""
    given = {f"VIBERARY_WEB_{name.upper()}": str(getattr(web, name)) for name in ("host", "port", "workers")}
    arguments = ("-m", "gunicorn", "-c", "python:viberary_pipeline.web.gunicorn_conf")
    importlib.import_module("gunicorn")  # where it is absent, the command says so
    os.execve(sys.executable, [sys.executable, *arguments], {**os.environ, **given})


class _Dispatcher:
    """Hands requests to threads by their route, so that `OWN_THREADS` wait for no search.

    Args:
        queue: How many searches may wait; those beyond are marked, and refused by a thread of its own.
    """

    def __init__(self, queue: int) -> None:
        self._queue = queue
        self._searches, self._refusals, *others = self._all = [
            ThreadedTaskDispatcher() for _ in range(2 + len(OWN_THREADS))
        ]
        self._own = {route: own for routes, own in zip(OWN_THREADS, others, strict=True) for route in routes}
        for dispatcher, threads in zip(self._all, (THREADS, *[1] * (1 + len(others))), strict=True):
            dispatcher.set_thread_count(threads)

    def add_task(self, channel: HTTPChannel) -> None:
        """Called by waitress for each whole request."""
        own = self._own.get(channel.requests[0].path)
        searches = self._searches
        # Those that a free thread is about to take count as under way.
        if own is None and len(searches.queue) + searches.active_count >= THREADS + self._queue:
            _mark_as_busy(channel)
            own = self._refusals
        (own or searches).add_task(channel)

    def shutdown(self) -> None:
        """Wait some seconds for what is under way."""
        for dispatcher in self._all:
            dispatcher.shutdown()


def _mark_as_busy(channel: HTTPChannel) -> None:
    """Let the app refuse the request whose turn it is."""
    channel.requests[0].headers[BUSY] = BUSY_MARK


class _Task(WSGITask):
    """An answer whose headers are sent together with its body: where this process is killed, a proxy that has got
    nothing asks another host, and one that has got the headers cannot."""

    def write(self, data: bytes) -> None:
        """Called by waitress for each part of the body, and for no part where there is none."""
        if self.wrote_header or not data:
            super().write(data)
            return
        pieces: list[bytes] = []
        self.channel.write_soon = pieces.append
        try:
            super().write(data)
        finally:
            del self.channel.write_soon
        self.channel.write_soon(b"".join(pieces))


class _Channel(HTTPChannel):
    """A connection that knows since when it has sent no whole request."""

    task_class = _Task

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.waiting_since = time.monotonic()
        self.answered = 0
        super().__init__(*args, **kwargs)

    def service(self) -> Any:
        """Called by waitress in a thread that is free."""
        if time.monotonic() - self.waiting_since > QUEUE_SECONDS:
            _mark_as_busy(self)
        self.answered += 1
        if self.server.draining or self.answered >= REQUESTS_OF_A_CONNECTION:
            self.requests[0].headers["CONNECTION"] = "close"  # the answer says it, so that the client connects anew
        return super().service()

    def received(self, data: bytes) -> Any:
        """Called by waitress for what was sent."""
        result = super().received(data)
        if self.requests:
            self.waiting_since = time.monotonic()
        return result


class Server(TcpWSGIServer):
    """waitress over one listening socket, with the bounds of this module."""

    channel_class = _Channel
    draining = False

    def __init__(self, app: Any, listener: socket.socket, *, queue: int = WebSettings.queue) -> None:
        self._most = _most_connections()
        adjustments = Adjustments(
            sockets=[listener],
            ident="viberary",
            max_request_body_size=1 << 20,
            connection_limit=self._most + 100,  # beyond, waitress accepts none: only where all are being answered
            asyncore_use_poll=True,  # select() knows 1,024 files
            cleanup_interval=5,
            channel_timeout=int(REQUEST_SECONDS),
            clear_untrusted_proxy_headers=False,  # the app trusts as many of them as VIBERARY_WEB_PROXIES says
        )
        address = (listener.family, listener.type, listener.proto, listener.getsockname())
        super().__init__(
            app, {}, True, listener, dispatcher=_Dispatcher(queue), adj=adjustments, sockinfo=address, bind_socket=False
        )

    def serve_until(self, stopped: Callable[[], bool], turn: Callable[[], object] = bool) -> None:
        """Answer until `stopped`, and then what has arrived; `turn` is called every second or more often."""
        while not stopped():
            wasyncore.loop(timeout=0.5, map=self._map, use_poll=True, count=1)
            turn()
        wasyncore.dispatcher.close(self)  # no new connections here; of a shared socket, other processes accept them
        self.draining, started = True, time.monotonic()
        while self.active_channels and time.monotonic() < started + DRAIN_SECONDS:
            wasyncore.loop(timeout=0.05, map=self._map, use_poll=True, count=1)
            if time.monotonic() > started + LAST_REQUEST_SECONDS:
                for channel in self._channels():
                    channel.will_close = channel.will_close or not (channel.requests or channel.total_outbufs_len)
            turn()
        self.task_dispatcher.shutdown()
        wasyncore.close_all(self._map)

    def _channels(self) -> list[HTTPChannel]:
        return list(self.active_channels.values())

    def handle_accept(self) -> None:
        """Called by waitress for a new connection. Where all places are taken, the longest waiting one is closed."""
        idle = [channel for channel in self._channels() if not channel.requests]
        if idle and len(self.active_channels) >= self._most:
            min(idle, key=lambda channel: channel.waiting_since).handle_close()
        super().handle_accept()

    def maintenance(self, now: float) -> None:
        """Called by waitress every few seconds: closes what has sent no whole request for too long."""
        super().maintenance(now)
        last = time.monotonic() - REQUEST_SECONDS
        for channel in self._channels():
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


# Its word on each request that waits; /metrics has what is refused.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def _leave(signum: int, frame: object) -> None:
    raise SystemExit(0)
