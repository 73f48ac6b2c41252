"""A proxy in front of a server on loopback, which breaks connections when it is told to."""

import fcntl
import socket
import socketserver
import struct
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class Proxy(socketserver.ThreadingTCPServer):
    """Passes TCP on to `port`, keeps the Range of every request, and breaks as many replies as it is told to."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Pass)
        self.port = port
        self.cut_after, self.cuts, self.reset = 0, 0, False
        self.ranges: list[str] = []
        self.lock = threading.Lock()

    def cut_next(self, after: int, *, times: int = 1, reset: bool = False) -> None:
        """Break the next `times` replies that are longer than `after` bytes: by an end, or by a reset."""
        self.cut_after, self.cuts, self.reset = after, times, reset
        self.ranges.clear()

    def handle_error(self, *_: Any) -> None:
        pass


class _Pass(socketserver.BaseRequestHandler):
    server: Proxy

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.port)) as upstream:
            self.requests = threading.Thread(target=self._requests, args=(upstream,), daemon=True)
            self.requests.start()
            passed = 0
            while data := upstream.recv(65536):
                passed += len(data)
                with self.server.lock:
                    cut = self.server.cuts > 0 and passed > self.server.cut_after
                    self.server.cuts -= cut
                if cut:
                    if self.server.reset:
                        self._wait_until_received()  # a reset drops what is still on its way
                        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                self.request.sendall(data)

    def _wait_until_received(self, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while struct.unpack("i", fcntl.ioctl(self.request, termios.TIOCOUTQ, bytes(4))) != (0,):
            assert time.monotonic() < deadline, "the client does not read"
            time.sleep(0.01)

    def _requests(self, upstream: socket.socket) -> None:
        with suppress(OSError):
            while data := self.request.recv(65536):
                for line in data.split(b"\r\n"):
                    if line.lower().startswith(b"range: "):
                        self.server.ranges.append(line[7:].decode())
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_WR)

    def finish(self) -> None:
        # A socket is only closed once no thread reads from it.
        with suppress(OSError):
            self.request.shutdown(socket.SHUT_RD)
        self.requests.join()
        self.request.close()


@contextmanager
def served(server: Proxy) -> Iterator[Proxy]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
