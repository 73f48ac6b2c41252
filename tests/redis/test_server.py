"""`viberary serve` while Redis hangs, or connections send nothing or next to nothing."""

import contextlib
import http.client
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from waitress import wasyncore

from viberary_pipeline import redis_server
from viberary_pipeline.web import server as module
from viberary_pipeline.web.limits import BUSY
from viberary_pipeline.web.server import THREADS, Server, address, listen

PROGRAM = "from viberary_pipeline import settings as s; from viberary_pipeline.web.server import serve; "


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with an embedded Redis in which nothing is published."""
    home = tmp_path_factory.mktemp("served")
    yield home
    redis_server.stop(home)


@contextlib.contextmanager
def serving(home, files=None):
    """The address of a server in a process of its own, which may open so many files."""
    redis_server.ensure(home)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM + "serve(s.load_settings(web_port=0))"],
        env={**os.environ, "VIBERARY_HOME": str(home)},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=files and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))),
    )
    try:
        said = next((line for line in process.stderr if "answers at" in line), "")
        threading.Thread(target=process.stderr.read, daemon=True).start()  # or a full pipe would stop it
        yield re.search(r"http://127\.0\.0\.1:(\d+)", said)
    finally:
        process.kill()
        process.wait()


def seconds_of(url, status=200):
    started = time.monotonic()
    try:
        answered = urllib.request.urlopen(url, timeout=30).status
    except urllib.error.HTTPError as error:
        answered = error.code
    assert answered == status
    return time.monotonic() - started


def wait_until(holds):
    last = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < last
        time.sleep(0.01)


@contextlib.contextmanager
def connections(address, idle, trickling):
    """Connections that send nothing, and connections that send a letter of a request now and then."""
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        opened = [
            stack.enter_context(socket.create_connection(("127.0.0.1", int(address[1]))))
            for _ in range(idle + trickling)
        ]

        def trickle():
            for letter in b"GET /search?query=" + b"x" * 10_000:
                for connection in opened[idle:]:
                    with contextlib.suppress(OSError):
                        connection.send(bytes([letter]))
                if stop.wait(0.2):
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            yield opened
        finally:
            stop.set()
            thread.join()


def test_idle_and_trickling_connections_stop_no_answer(home):
    with serving(home) as address, connections(address, 200, 200):
        for _ in range(3):
            time.sleep(0.3)
            assert seconds_of(f"{address[0]}/healthz") < 1
            assert seconds_of(f"{address[0]}/search?query=x", 503) < 1


def test_more_connections_than_files_stop_no_answer(home):
    with serving(home, files=300) as address, connections(address, 200, 200):
        for _ in range(3):
            time.sleep(0.3)
            assert seconds_of(f"{address[0]}/healthz") < 1


def test_a_redis_that_hangs_stops_no_health_check(home):
    with serving(home) as address:
        pid = redis_server.running(home).pid
        os.kill(pid, signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(20) as threads:
                searches = [threads.submit(seconds_of, f"{address[0]}/search?query=x", 503) for _ in range(16)]
                ready = [threads.submit(seconds_of, f"{address[0]}/readyz", 503) for _ in range(2)]
                for _ in range(5):
                    time.sleep(0.2)
                    assert seconds_of(f"{address[0]}/healthz") < 0.5
                    assert seconds_of(f"{address[0]}/metrics") < 0.5
                assert not any(search.done() for search in searches)
                assert max(done.result() for done in searches) < 20
                assert max(done.result() for done in ready) < 20
        finally:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
def stepped():
    """A server whose loop the test turns."""
    with listen("127.0.0.1", 0) as listener:
        server = Server(lambda environ, start: (start("200 OK", []), [b"x"])[1], listener)

        def turn(times=3):
            wasyncore.loop(timeout=0.05, map=server._map, use_poll=True, count=times)

        yield server, listener.getsockname(), turn
        server.task_dispatcher.shutdown()
        wasyncore.close_all(server._map)


def is_closed(connection):
    connection.settimeout(0.2)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def test_a_connection_without_a_whole_request_in_time_is_closed_whatever_trickles_in(stepped, monkeypatch):
    server, address, turn = stepped
    monkeypatch.setattr(module, "REQUEST_SECONDS", 0.5)
    with socket.create_connection(address) as trickling, socket.create_connection(address) as idle:
        for _ in range(8):
            trickling.send(b"G")
            turn(1)
            time.sleep(0.08)
        with socket.create_connection(address) as new:
            new.send(b"G")
            turn()
            server.next_channel_cleanup = 0
            turn()
            assert (is_closed(trickling), is_closed(idle), is_closed(new)) == (True, True, False)


def test_where_all_places_are_taken_the_longest_waiting_is_closed(stepped):
    server, address, turn = stepped
    server._most = 3
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(5):
            opened.append(stack.enter_context(socket.create_connection(address)))
            turn(2)
            opened[0].send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")  # this one is used
            turn(2)
            assert opened[0].recv(100).startswith(b"HTTP/1.1 200")
        assert [is_closed(connection) for connection in opened[1:]] == [True, True, False, False]


@pytest.mark.parametrize("parts", [[b"ab", b"cd"], [b"", b"ab"], []])
def test_headers_are_sent_together_with_the_first_part_of_the_body(monkeypatch, parts):
    sent, write = [], module.HTTPChannel.write_soon
    monkeypatch.setattr(module.HTTPChannel, "write_soon", lambda self, data: (sent.append(data), write(self, data))[1])

    def app(environ, start):
        start("200 OK", [("Content-Length", str(sum(map(len, parts))))])
        return parts

    stop = threading.Event()
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=Server(app, listener).serve_until, args=(stop.is_set,))
        thread.start()
        try:
            assert urllib.request.urlopen(address(listener), timeout=10).read() == b"".join(parts)
        finally:
            stop.set()
            thread.join()
    assert sent[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert [sent[0].partition(b"\r\n\r\n")[2], *sent[1:]] == ([part for part in parts if part] or [b""])


class Held:
    """An app whose searches wait until they are let go, and which refuses what the server has marked."""

    def __init__(self):
        self.go, self.under_way = threading.Event(), threading.Semaphore(0)

    def __call__(self, environ, start):
        refused = f"HTTP_{BUSY}" in environ
        if not refused and environ["PATH_INFO"] == "/search":
            self.under_way.release()
            self.go.wait(20)
        start("503 Busy" if refused else "200 OK", [("Content-Length", "0")])
        return [b""]


@contextlib.contextmanager
def held_up(queue):
    """The address of a server all of whose threads are busy and whose queue is full; the app; what they answer."""
    app, stop = Held(), threading.Event()
    with listen("127.0.0.1", 0) as listener, ThreadPoolExecutor(THREADS + queue) as readers:
        url = address(listener)
        server = Server(app, listener, queue=queue)
        thread = threading.Thread(target=server.serve_until, args=(stop.is_set,))
        thread.start()
        try:
            answers = [readers.submit(status_of, f"{url}search") for _ in range(THREADS)]
            assert all(app.under_way.acquire(timeout=10) for _ in answers)
            answers += [readers.submit(status_of, f"{url}search") for _ in range(queue)]
            wait_until(lambda: len(server.task_dispatcher._searches.queue) == queue)
            yield url, app, answers
        finally:
            app.go.set()
            stop.set()
            thread.join()


def status_of(url):
    try:
        return urllib.request.urlopen(url, timeout=30).status
    except urllib.error.HTTPError as error:
        return error.code


def test_beyond_its_queue_the_server_refuses_at_once_and_answers_the_rest():
    with held_up(queue=3) as (url, app, answers):
        assert [status_of(f"{url}search") for _ in range(20)] == [503] * 20
        assert status_of(f"{url}healthz") == 200
        app.go.set()
        assert [answer.result() for answer in answers] == [200] * len(answers)
        assert status_of(f"{url}search") == 200


def test_a_burst_of_as_many_as_there_are_free_threads_is_answered():
    app = Held()
    app.go.set()
    with listen("127.0.0.1", 0) as listener, ThreadPoolExecutor(THREADS) as readers:
        server, stop = Server(app, listener, queue=1), threading.Event()
        thread = threading.Thread(target=server.serve_until, args=(stop.is_set,))
        thread.start()
        try:
            url = f"{address(listener)}search"
            for _ in range(20):
                wait_until(lambda: server.task_dispatcher._searches.active_count == 0)
                assert list(readers.map(status_of, [url] * THREADS)) == [200] * THREADS
        finally:
            stop.set()
            thread.join()


def test_who_waited_too_long_for_a_thread_is_refused(monkeypatch):
    with held_up(queue=3) as (url, app, answers):
        monkeypatch.setattr(module, "QUEUE_SECONDS", 0.3)  # those that hold the threads may have waited longer
        time.sleep(0.4)
        app.go.set()
        assert [answer.result() for answer in answers] == [200] * THREADS + [503] * 3
        assert status_of(f"{url}search") == 200


def test_a_connection_ends_after_so_many_answers_each_of_them_whole(monkeypatch):
    monkeypatch.setattr(module, "REQUESTS_OF_A_CONNECTION", 3)
    stop, app = threading.Event(), Held()
    app.go.set()
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=Server(app, listener).serve_until, args=(stop.is_set,))
        thread.start()
        try:
            connection = http.client.HTTPConnection(*listener.getsockname())
            said = []
            for _ in range(7):  # the client connects anew where it is told that a connection ends
                connection.request("GET", "/search")
                answer = connection.getresponse()
                assert (answer.status, answer.read()) == (200, b"")
                said.append(answer.headers.get("Connection"))
            assert said == [None, None, "close"] * 2 + [None]
        finally:
            stop.set()
            thread.join()


def test_a_server_that_is_stopped_answers_what_has_arrived_and_says_that_it_ends():
    stop, app = threading.Event(), Held()
    with listen("127.0.0.1", 0) as listener:
        where = listener.getsockname()
        thread = threading.Thread(target=Server(app, listener).serve_until, args=(stop.is_set,))
        thread.start()
        with socket.create_connection(where) as under_way, socket.create_connection(where) as idle:
            idle.send(b"GET / HTTP/1.1\r\n\r\n")
            assert b"close" not in idle.recv(1000).lower()
            under_way.send(b"GET /search HTTP/1.1\r\n\r\n")
            assert app.under_way.acquire(timeout=10)
            stop.set()
            wait_until(lambda: listener.fileno() == -1)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(where)
            idle.send(b"GET / HTTP/1.1\r\n\r\n")
            assert b"Connection: close" in idle.recv(1000)
            app.go.set()
            assert under_way.recv(1000).startswith(b"HTTP/1.1 200 OK")
            thread.join(10)
            assert not thread.is_alive()
