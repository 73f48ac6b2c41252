"""The processes of compose.yaml by hand, over loopback: Debian's nginx with deploy/nginx.conf, two hosts, a Redis."""

import asyncio
import contextlib
import gzip
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else None)
CONF = Path(__file__).parents[2] / "deploy" / "nginx.conf"

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (apt-get install nginx-light)")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Host:
    """A web host: `viberary serve --workers 2` on a port of its own."""

    def __init__(self, published: Any) -> None:
        self.port = free_port()
        self._published = published
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "viberary_pipeline.cli", "serve", "--workers", "2", "--port", str(self.port)],
            env={
                **os.environ,
                "VIBERARY_HOME": str(self._published.home),
                "VIBERARY_REDIS_URL": self._published.settings.redis.url,
                "VIBERARY_WEB_PROXIES": "1",
                "VIBERARY_WEB_RATE": "1000000/second",
                "TMPDIR": str(self._published.home),
            },
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """All its processes at once, as when a machine loses its power."""
        processes = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self.process.wait()

    def answers(self) -> bool:
        try:
            return get(f"http://127.0.0.1:{self.port}/readyz")[0] == 200
        except OSError:
            return False


class Site:
    """nginx over two hosts."""

    def __init__(self, hosts: list[Host], folder: Path) -> None:
        self.hosts, self.port = hosts, free_port()
        text = CONF.read_text()
        for number, host in enumerate(hosts, 1):
            # Names and their resolution are Docker's; the rest is as it is deployed.
            text = text.replace(f"server web-{number}:8000 resolve", f"server 127.0.0.1:{host.port}")
        text = text.replace("listen 8080;", f"listen 127.0.0.1:{self.port};").replace("/tmp/nginx", f"{folder}/nginx")
        assert "resolve max" not in text
        conf = folder / "nginx.conf"
        conf.write_text("daemon off;\n" + text)
        self.nginx = subprocess.Popen([str(NGINX), "-c", str(conf)], stderr=subprocess.DEVNULL)

    def get(self, path: str, **headers: str) -> tuple[int, Any, bytes]:
        return get(f"http://127.0.0.1:{self.port}{path}", **headers)


def get(url: str, **headers: str) -> tuple[int, Any, bytes]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=given), timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.headers, answer.read()


def wait_until(holds: Any) -> None:
    last = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < last
        time.sleep(0.1)


def wait_until_whole(site: Site) -> None:
    """Until both hosts answer, and nginx asks both: for `fail_timeout` (2 s) it passes over a host that has failed."""
    wait_until(lambda: all(host.answers() for host in site.hosts))
    time.sleep(2.5)


@pytest.fixture(scope="module")
def site(published: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    hosts = [Host(published) for _ in range(2)]
    site = Site(hosts, tmp_path_factory.mktemp("nginx"))
    try:
        wait_until(lambda: all(host.answers() for host in hosts))
        yield site
    finally:
        site.nginx.terminate()
        site.nginx.wait(10)
        for host in hosts:
            host.kill()


def test_the_page_comes_compressed_and_whole_through_nginx(site: Site) -> None:
    status, headers, body = site.get("/search?query=the+sea", Accept_Encoding="gzip")
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert gzip.decompress(body).rstrip().endswith(b"</html>")
    assert "Server" not in headers or not re.search(r"\d", headers["Server"])
    assert headers["Content-Security-Policy"]


def test_metrics_are_not_for_readers(site: Site) -> None:
    assert site.get("/metrics")[0] == 404
    host = f"http://127.0.0.1:{site.hosts[0].port}"
    get(f"{host}/about")  # a count has no line before the first page that it counts
    assert b'viberary_http_requests_total{route="/about",status="200"}' in get(f"{host}/metrics")[2]


def test_what_is_too_much_is_refused_at_the_door(site: Site) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{site.port}/search", data=b"query=" + b"x" * 40_000)
    with pytest.raises(urllib.error.HTTPError, match="413"):
        urllib.request.urlopen(request, timeout=30)


async def ask_until(port: int, stop: asyncio.Event, answers: Counter[str], reader: int) -> None:
    """One reader, who asks one query after another, by GET and by POST, until told to stop."""
    number = 0
    while not stop.is_set():
        number += 1
        fields = f"query=sea+{reader}+{number % 50}&format=json"
        method = (
            f"POST /search?format=json HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(fields)}"
            if number % 5 == 0
            else f"GET /search?{fields} HTTP/1.1"
        )
        try:
            stream, out = await asyncio.open_connection("127.0.0.1", port)
            body = fields if method.startswith("POST") else ""
            out.write(f"{method}\r\nHost: viberary\r\nConnection: close\r\n\r\n{body}".encode())
            answer = await asyncio.wait_for(stream.read(), 20)
            out.close()
            whole = answer.rstrip().endswith(b"}") and b'"results":[{' in answer
            status = answer[9:12].decode()
            if whole or answer.rstrip().endswith(b'"status":503}'):
                answers[f"{status} whole"] += 1
            else:
                answers[f"{status} {answer[-300:].decode(errors='replace')}"] += 1
        except (OSError, TimeoutError) as error:
            answers[type(error).__name__] += 1


async def ask_while(port: int, happens: Any) -> Counter[str]:
    """What eight readers are answered while something happens (a function, run in a thread)."""
    stop, answers = asyncio.Event(), Counter[str]()
    readers = [asyncio.create_task(ask_until(port, stop, answers, reader)) for reader in range(8)]
    await asyncio.sleep(1)
    await asyncio.to_thread(happens)
    await asyncio.sleep(1)
    stop.set()
    await asyncio.gather(*readers)
    return answers


def assert_unnoticed(answers: Counter[str]) -> None:
    """No answer is lost or torn, or nginx's word for a host that is gone.

    "503 whole" is what a host itself says where a reader would wait too long. Beside other tests that may happen to the
    host that is left.
    """
    assert set(answers) <= {"200 whole", "503 whole"}
    assert answers["200 whole"] > 50
    assert answers["503 whole"] <= 0.02 * answers["200 whole"]


def test_no_reader_notices_that_a_host_is_killed_under_load_and_comes_back(site: Site) -> None:
    wait_until_whole(site)
    first = site.hosts[0]

    def happens() -> None:
        first.kill()
        time.sleep(1.5)
        first.start()
        wait_until(first.answers)

    assert_unnoticed(asyncio.run(ask_while(site.port, happens)))


def test_no_reader_notices_that_a_host_is_stopped_or_reloaded(site: Site) -> None:
    wait_until_whole(site)
    second = site.hosts[1]

    def happens() -> None:
        second.process.send_signal(signal.SIGHUP)
        time.sleep(2)
        second.process.terminate()
        second.process.wait(30)
        second.start()
        wait_until(second.answers)

    assert_unnoticed(asyncio.run(ask_while(site.port, happens)))


def test_while_both_hosts_are_away_readers_are_told_so(site: Site) -> None:
    for host in site.hosts:
        host.kill()
    status, headers, body = site.get("/search?query=sea")
    assert (status, headers["Retry-After"]) == (503, "5")
    assert b"The library is closed for the moment" in body
    for host in site.hosts:
        host.start()
    wait_until(lambda: site.get("/search?query=sea")[0] == 200)
