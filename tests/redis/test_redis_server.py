"""The embedded Redis and the connection to it, against real servers."""

import contextlib
import json
import os
import platform
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest
import redis

from viberary_pipeline.errors import RedisServerError
from viberary_pipeline.machine import process_lives
from viberary_pipeline.redis_server import Server, candidates, connect, ensure, launch, openssl, running, stop
from viberary_pipeline.redis_server.probe import StillLoading, open_client
from viberary_pipeline.settings import load_settings

PASSWORD = "s3cret-Password"

# 1 ms per key, with clients served after each kilobyte: 2,000 keys are two seconds of LOADING.
SLOW_LOADING = ("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes homes by name; ends their servers afterwards."""
    made: list[Path] = []

    def make(name: str = "a home") -> Path:  # the space is deliberate: Redis reads its arguments as a file
        made.append(tmp_path / name)
        made[-1].mkdir()
        return made[-1]

    yield make
    for home in made:
        stop(home)


@pytest.fixture
def home(homes: Callable[..., Path]) -> Path:
    return homes()


class OtherRedis:
    """A Redis that is not ours: the same program, started by hand."""

    def __init__(self, folder: Path, *options: str, search: bool = True) -> None:
        for candidate in candidates.candidates(None):
            with contextlib.suppress(candidates.Unfit):
                _, environment = candidates.examine(candidate)
                break
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        folder.mkdir(exist_ok=True)
        command = [
            str(candidate.binary),
            "--port",
            str(self.port),
            "--dir",
            str(folder),
            "--save",
            "",
            *options,
        ]
        if search and candidate.module:
            command += ["--loadmodule", str(candidate.module)]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        _wait_for(lambda: _listens(self.port))


@pytest.fixture
def other_redis(tmp_path: Path) -> Iterator[Callable[..., OtherRedis]]:
    started: list[OtherRedis] = []

    def start(*options: str, search: bool = True, folder: Path = tmp_path / "other") -> OtherRedis:
        started.append(OtherRedis(folder, *options, search=search))
        return started[-1]

    yield start
    for server in started:
        server.process.kill()
        server.process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.01)


def _client(server: Server) -> redis.Redis:
    return open_client(server.url, answer_seconds=20)


def _ensure_elsewhere(home: Path) -> subprocess.Popen[str]:
    """`ensure` in another process, which prints the server and ends."""
    program = (
        "import json, sys; from dataclasses import asdict; from pathlib import Path\n"
        "from viberary_pipeline.redis_server import ensure\n"
        "print(json.dumps(asdict(ensure(Path(sys.argv[1])))))"
    )
    return subprocess.Popen([sys.executable, "-c", program, str(home)], stdout=subprocess.PIPE, text=True)


def _result(process: subprocess.Popen[str]) -> Server:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return Server(**json.loads(output))


def _kill(server: Server) -> None:
    os.kill(server.pid, signal.SIGKILL)
    _wait_for(lambda: not process_lives(server.pid))


def _servers_in(home: Path) -> list[int]:
    folder = str((home / "redis/data").resolve())
    return [p.pid for p in psutil.process_iter(["name", "cwd"]) if p.info["cwd"] == folder]


def _script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


# ------------------------------------------------------------------ one server per home, found again


def test_a_second_process_finds_the_server_that_the_first_started(home: Path) -> None:
    first = _result(_ensure_elsewhere(home))
    assert running(home) == first
    assert _result(_ensure_elsewhere(home)) == first
    assert ensure(home) == first
    assert _servers_in(home) == [first.pid]


def test_concurrent_starts_yield_one_server(home: Path) -> None:
    servers = [_result(process) for process in [_ensure_elsewhere(home) for _ in range(4)]]
    assert servers == [servers[0]] * 4
    assert _servers_in(home) == [servers[0].pid]


def test_two_homes_have_a_server_each(homes: Callable[[str], Path]) -> None:
    one, two = homes("one"), homes("two")
    first, second = ensure(one), ensure(two)
    with _client(first) as client:
        client.set("whose", "first")
    with _client(second) as client:
        assert client.get("whose") is None
    assert stop(one)
    assert running(one) is None
    assert running(two) == second


def test_the_server_is_configured_for_the_index_and_private_to_the_machine(home: Path) -> None:
    server = ensure(home)
    with _client(server) as client:
        client.hset("document", mapping={"vector": b"\0" * 4 * 1024, "description": "word " * 500})
        assert client.object("encoding", "document") == b"listpack"  # one block of memory
        names = ["maxmemory-policy", "save", "appendonly", "protected-mode", "dbfilename", "dir"]
        assert client.config_get(*names) == {
            "maxmemory-policy": "noeviction",
            "save": "",
            "appendonly": "no",
            "protected-mode": "yes",
            "dbfilename": "dump.rdb",
            "dir": str(home / "redis/data"),
        }
        search = {name: client.execute_command("FT.CONFIG", "GET", name) for name in ("ON_TIMEOUT", "TIMEOUT")}
    assert search == {"ON_TIMEOUT": {b"ON_TIMEOUT": b"fail"}, "TIMEOUT": {b"TIMEOUT": b"1000"}}
    listening = psutil.Process(server.pid).net_connections(kind="inet")
    assert {(c.laddr.ip, c.laddr.port) for c in listening if c.status == psutil.CONN_LISTEN} == {
        ("127.0.0.1", server.port)
    }
    assert server.url == f"redis://127.0.0.1:{server.port}/0"


def test_the_server_is_detached_from_the_command_that_started_it(home: Path, tmp_path: Path) -> None:
    inherited = (tmp_path / "held open").open("w")
    os.set_inheritable(inherited.fileno(), True)
    server = ensure(home)
    assert os.getsid(server.pid) == server.pid
    open_files = {Path(file.path) for file in psutil.Process(server.pid).open_files()}
    assert open_files == {home / "redis/redis.log"}
    inherited.close()


def test_stop_saves_and_waits_until_the_server_is_gone(home: Path) -> None:
    server = ensure(home)
    with _client(server) as client:
        client.set("key", "value")
    assert stop(home) is True
    assert not process_lives(server.pid)
    assert running(home) is None
    assert stop(home) is False
    with _client(ensure(home)) as client:
        assert client.get("key") == b"value"


def test_stop_of_a_home_that_never_had_a_server(home: Path) -> None:
    assert stop(home) is False
    assert list(home.iterdir()) == []


def test_a_server_that_cannot_save_is_not_stopped(home: Path) -> None:
    server = ensure(home)
    with _client(server) as client:
        client.set("key", "value")
    blocked = home / "redis/data/dump.rdb"
    blocked.mkdir()  # the snapshot cannot be renamed onto a folder, whoever runs this test
    with pytest.raises(RedisServerError, match="did not stop") as caught:
        stop(home)
    assert "dump.rdb" in caught.value.found
    assert running(home) == server
    blocked.rmdir()


# ------------------------------------------------------------------ state that no longer holds


def test_kill_9_loses_only_what_was_not_saved(home: Path) -> None:
    first = ensure(home)
    with _client(first) as client:
        client.execute_command(
            "FT.CREATE", "idx", "PREFIX", "1", "doc:", "SCHEMA", "title", "TEXT"
        )  # definitions are part of what is saved
        client.hset("doc:1", mapping={"title": "cold blooded revenge"})
        client.save()
        client.hset("doc:2", mapping={"title": "unsaved revenge"})
    _kill(first)
    assert running(home) is None
    second = ensure(home)
    assert second.pid != first.pid
    with _client(second) as client:
        assert client.keys("*") == [b"doc:1"]
        assert client.execute_command("FT._LIST") == [b"idx"]
        _wait_for(lambda: client.ft("idx").search("revenge").total == 1)


def test_a_load_that_outlasts_our_patience_goes_on(
    homes: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = homes("slow")
    usable = ensure(home)
    with _client(usable) as client:
        client.mset({f"key:{i}": i for i in range(2000)})
    stop(home)
    slow = _script(tmp_path / "redis-server", f'exec {usable.binary} "$@" {" ".join(SLOW_LOADING)}')
    module = next(c.module for c in candidates.candidates(None) if str(c.binary) == usable.binary)
    monkeypatch.setattr(candidates, "MODULE_FOLDERS", (module and module.parent,))
    with pytest.raises(StillLoading):
        ensure(home, binary=slow, loading_seconds=0.2)
    loading = running(home)
    assert loading is not None
    assert loading.binary == str(slow)
    assert ensure(home) == loading
    with _client(loading) as client:
        assert client.dbsize() == 2000


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "null"])
def test_a_damaged_state_file_is_replaced(home: Path, content: str) -> None:
    (home / "redis").mkdir()
    (home / "redis/server.json").write_text(content)
    assert running(home) is None
    server = ensure(home)
    assert running(home) == server


def test_a_process_number_given_to_another_program_is_noticed(home: Path) -> None:
    server = ensure(home)
    stop(home)
    state = {**asdict(server), "pid": os.getpid(), "run_id": "0" * 40}
    (home / "redis/server.json").write_text(json.dumps(state))
    assert running(home) is None
    again = ensure(home)
    assert again.pid not in (server.pid, os.getpid())
    assert running(home) == again


def test_another_redis_on_the_recorded_port_is_noticed(home: Path, other_redis: Callable[..., OtherRedis]) -> None:
    server = ensure(home)
    run_id = json.loads((home / "redis/server.json").read_text())["run_id"]
    stop(home)
    other = other_redis()
    state = {**asdict(server), "port": other.port, "pid": other.process.pid, "run_id": run_id}
    (home / "redis/server.json").write_text(json.dumps(state))
    assert running(home) is None
    assert ensure(home).port != other.port
    assert other.process.poll() is None


def test_a_copied_home_does_not_use_the_server_of_the_original(homes: Callable[[str], Path]) -> None:
    original, copy = homes("original"), homes("copy")
    first = ensure(original)
    shutil.copytree(original, copy, dirs_exist_ok=True)
    assert running(copy) is None
    second = ensure(copy)
    assert second.pid != first.pid
    assert running(original) == first


def test_a_server_whose_record_is_lost_is_adopted(home: Path) -> None:
    server = ensure(home)
    (home / "redis/server.json").unlink()
    assert running(home) is None
    adopted = ensure(home)
    assert (adopted.pid, adopted.port, adopted.version) == (server.pid, server.port, server.version)
    assert running(home) == adopted


def test_a_server_whose_home_was_removed_is_ended(home: Path) -> None:
    lost = ensure(home)
    shutil.rmtree(home / "redis")
    server = ensure(home)
    assert server.pid != lost.pid
    _wait_for(lambda: not process_lives(lost.pid))
    assert running(home) == server


def test_a_busy_server_is_not_taken_for_a_dead_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ensure(home)
    monkeypatch.setattr("viberary_pipeline.redis_server.probe.PROBE_SECONDS", 0.3)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        assert running(home) == server
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_a_port_that_another_program_took_in_the_meantime(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], free := _free_port()])
        monkeypatch.setattr(launch, "_free_port", lambda *_: next(ports))
        # A listener that never answers costs one bounded wait, shortened here.
        monkeypatch.setattr("viberary_pipeline.redis_server.probe.PROBE_SECONDS", 0.3)
        assert ensure(home).port == free


def test_a_restarted_server_listens_where_it_did(homes: Callable[[str], Path]) -> None:
    """A page that outlived the server finds it again; where another took the port, a free one is used."""
    home = homes("restarted")
    first = ensure(home)
    stop(home)
    assert ensure(home).port == first.port
    stop(home)
    with socket.create_server(("127.0.0.1", first.port)):
        assert ensure(home).port != first.port


def test_a_server_that_hangs_is_given_up_in_time(home: Path) -> None:
    server = ensure(home)
    client = connect(load_settings(home=home), answer_seconds=0.3)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        assert time.monotonic() - started < 5
    finally:
        os.kill(server.pid, signal.SIGCONT)


# ------------------------------------------------------------------ candidates


def test_a_redis_that_is_too_old_is_passed_over(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    debian = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=d81b8ff71cfb150e"
    _script(tmp_path / "bin/redis-server", f"echo '{debian}'")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    assert candidates.candidates(None)[0].origin == "installed"
    assert ensure(home).binary != str(tmp_path / "bin/redis-server")


def test_without_a_candidate_each_is_named_with_its_reason(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = _script(tmp_path / "old/redis-server", "echo 'Redis server v=7.0.15 sha=0:0 bits=64'")
    other = _script(tmp_path / "other/redis-server", "echo 'Valkey server v=8.0.1 sha=0:0 bits=64'")
    broken = _script(
        tmp_path / "broken/redis-server",
        '[ "$1" = --version ] && echo "Redis server v=8.0.0" && exit\necho "Fatal: cannot map memory" >&2; exit 3',
    )
    monkeypatch.setenv("PATH", os.pathsep.join(str(path.parent) for path in (old, other, broken)))
    monkeypatch.setattr(candidates.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RedisServerError) as caught:
        ensure(home)
    found = caught.value.found.splitlines()
    assert found[1] == f"    - {old} (installed): version 7.0.15 is older than 7.4"
    assert found[2].startswith(f"    - {other} (installed): `--version` names no Redis: Valkey server v=8.0.1")
    assert found[3].startswith(f"    - {broken} (installed): ended with exit code 3 at its start")
    assert found[4] == "      Fatal: cannot map memory"
    assert "install Redis 8" in caught.value.todo
    assert "VIBERARY_REDIS_URL" in caught.value.todo
    assert running(home) is None


def test_a_redis_without_the_search_module_is_no_candidate(
    homes: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usable = ensure(homes("with search"))
    home = homes("without search")
    program = tmp_path / "bin/redis-server"
    program.parent.mkdir()
    shutil.copy(usable.binary, program)  # the same program, with no module anywhere near it
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setattr(candidates, "MODULE_FOLDERS", ())
    monkeypatch.setattr(candidates.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RedisServerError) as caught:
        ensure(home)
    assert "unknown command 'FT._LIST'" in caught.value.found
    assert "(no search module was found to load)" in caught.value.found
    assert running(home) is None
    assert _servers_in(home) == []


def test_an_interrupted_start_leaves_no_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        assert len(_servers_in(home)) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr(launch, "wait_until_usable", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ensure(home)
    assert _servers_in(home) == []
    assert not (home / "redis/server.json").exists()


def test_a_binary_that_was_asked_for_is_not_replaced_by_another(home: Path, tmp_path: Path) -> None:
    missing = tmp_path / "none/redis-server"
    with pytest.raises(RedisServerError) as caught:
        ensure(home, binary=missing)
    (reason,) = caught.value.found.splitlines()[1:]
    assert reason.startswith(f"    - {missing} (setting): cannot be run: ")
    assert running(home) is None


def test_the_binary_of_the_setting_is_used(home: Path) -> None:
    usable = ensure(home)
    stop(home)
    server = ensure(home, binary=Path(usable.binary))
    assert (server.binary, server.origin) == (usable.binary, "setting")


def test_a_failed_start_shows_the_end_of_the_log(home: Path) -> None:
    data = home / "redis/data"
    data.mkdir(parents=True)
    (data / "dump.rdb").write_bytes(b"this is no snapshot")
    with pytest.raises(RedisServerError) as caught:
        ensure(home)
    assert "Wrong signature trying to load DB from file" in caught.value.found
    assert "dump.rdb" in caught.value.todo
    assert running(home) is None
    assert _servers_in(home) == []
    assert (data / "dump.rdb").read_bytes() == b"this is no snapshot"


# ------------------------------------------------------------------ connect


def test_connect_starts_the_embedded_server(home: Path) -> None:
    with connect(load_settings(home=home)) as client:
        client.set("key", b"\xff\x00")
        assert client.get("key") == b"\xff\x00"
        server = running(home)
        assert server is not None
        assert client.info("server")["process_id"] == server.pid


def test_connect_prefers_the_url(home: Path, other_redis: Callable[..., OtherRedis]) -> None:
    other = other_redis("--requirepass", PASSWORD)
    url = f"redis://:{PASSWORD}@127.0.0.1:{other.port}/0"
    with connect(load_settings(home=home, redis_url=url)) as client:
        assert client.info("server")["process_id"] == other.process.pid
    assert running(home) is None


def test_connect_over_a_unix_socket(
    tmp_path_factory: pytest.TempPathFactory, other_redis: Callable[..., OtherRedis]
) -> None:
    path = tmp_path_factory.mktemp("socket") / "redis.sock"
    other = other_redis("--unixsocket", str(path))
    with connect(load_settings(redis_url=f"unix://{path}?db=0")) as client:
        assert client.info("server")["process_id"] == other.process.pid


def test_connect_refuses_a_redis_without_search(other_redis: Callable[..., OtherRedis]) -> None:
    other = other_redis(search=False)
    with pytest.raises(RedisServerError) as caught:
        connect(load_settings(redis_url=other.url))
    assert caught.value.what == "Redis has no search"
    assert caught.value.found.startswith("unknown command 'FT._LIST'")
    assert "redis:8" in caught.value.todo


def test_connect_refuses_a_redis_that_may_evict(home: Path) -> None:
    with connect(load_settings(home=home)) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(RedisServerError) as caught:
        connect(load_settings(home=home))
    assert caught.value.expected == "maxmemory-policy noeviction"
    assert caught.value.found.startswith("allkeys-lru at the embedded server at redis://127.0.0.1:")
    assert "CONFIG SET maxmemory-policy noeviction" in caught.value.todo


def test_a_url_that_leads_nowhere_is_refused_quickly_and_its_password_hidden() -> None:
    port = _free_port()
    started = time.monotonic()
    with pytest.raises(RedisServerError) as caught:
        connect(load_settings(redis_url=f"redis://reader:{PASSWORD}@127.0.0.1:{port}/0?socket_timeout=5"))
    assert time.monotonic() - started < 5
    assert caught.value.expected == f"an answer from redis://reader:***@127.0.0.1:{port}/0"
    assert "refused" in caught.value.found
    assert PASSWORD not in str(caught.value)


def test_an_unknown_option_in_the_url_is_refused() -> None:
    with pytest.raises(RedisServerError, match="nonsense"):
        connect(load_settings(redis_url="redis://127.0.0.1:6379/0?nonsense=1"))


def test_a_wrong_password_is_refused_and_hidden(other_redis: Callable[..., OtherRedis]) -> None:
    other = other_redis("--requirepass", "another")
    with pytest.raises(RedisServerError) as caught:
        connect(load_settings(redis_url=f"redis://:{PASSWORD}@127.0.0.1:{other.port}/0"))
    assert caught.value.found.startswith("AuthenticationError: ")
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"http://:{PASSWORD}@127.0.0.1:6379/0",
        f"{PASSWORD}@127.0.0.1:6379",
        f"redis://:{PASSWORD}/x@127.0.0.1:6379/0",
        f"redis://:12#{PASSWORD}@127.0.0.1:6379/0",
        f"redis://:12?{PASSWORD}@127.0.0.1:6379/0",
        f"redis://127.0.0.1:{PASSWORD}/0",
        f"redis://[{PASSWORD}/0",
    ],
)
def test_a_malformed_url_is_refused_without_printing_it(url: str) -> None:
    with pytest.raises(RedisServerError, match="VIBERARY_REDIS_URL cannot be used") as caught:
        connect(load_settings(redis_url=url))
    assert PASSWORD not in str(caught.value)


def test_connect_waits_while_the_data_is_loading(tmp_path: Path, other_redis: Callable[..., OtherRedis]) -> None:
    writer = other_redis()
    with redis.Redis.from_url(writer.url) as client:
        client.mset({f"key:{i}": i for i in range(2000)})
        client.save()
    loader = other_redis(*SLOW_LOADING)
    with pytest.raises(StillLoading) as caught:
        connect(load_settings(redis_url=loader.url), loading_seconds=0.2)
    assert caught.value.found.startswith("LOADING, ")
    with connect(load_settings(redis_url=loader.url)) as client:
        assert client.dbsize() == 2000


# ------------------------------------------------------------------ fetch


def test_fetch_proves_that_the_embedded_server_works() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "viberary_pipeline.redis_server", "fetch"],
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("VIBERARY_")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Redis ")
    assert " with search is ready: " in done.stdout


needs_linux = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="OpenSSL 1.1 is fetched on Linux x86_64",
)


def _wheel(folder: Path) -> Path:
    """A wheel that pip takes for the one we ask for, with other contents."""
    path = folder / "mysql_connector_python-8.0.33-cp311-cp311-manylinux1_x86_64.whl"
    information = "mysql_connector_python-8.0.33.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mysql/vendor/libssl.so.1.1", b"ssl")
        archive.writestr("mysql/vendor/libcrypto.so.1.1", b"crypto")
        archive.writestr("mysql/vendor/plugin/authentication.so", b"not wanted")
        archive.writestr(
            f"{information}/METADATA",
            "Metadata-Version: 2.1\nName: mysql-connector-python\nVersion: 8.0.33\n",
        )
        archive.writestr(
            f"{information}/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp311-cp311-manylinux1_x86_64\n",
        )
        archive.writestr(f"{information}/RECORD", "")
    return path


def test_openssl_goes_to_the_cache_where_the_environment_is_read_only(tmp_path: Path) -> None:
    (tmp_path / "read only").touch()  # a file where a folder is needed: no user can write below it
    homes = (tmp_path / "read only/openssl", tmp_path / "cache/openssl")
    assert openssl._unpack(_wheel(tmp_path), homes) == homes[1]
    assert {path.name: path.read_bytes() for path in homes[1].iterdir()} == {
        "libssl.so.1.1": b"ssl",
        "libcrypto.so.1.1": b"crypto",
    }
    assert list(homes[1].parent.iterdir()) == [homes[1]]
    assert openssl._unpack(_wheel(tmp_path), homes) == homes[1]  # another process was faster


@needs_linux
def test_openssl_of_another_content_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = tmp_path / "index"
    index.mkdir()
    _wheel(index)
    monkeypatch.setattr(openssl, "_homes", lambda: (tmp_path / "env/openssl", tmp_path / "cache/openssl"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    with pytest.raises(RedisServerError, match="is not the expected file") as caught:
        openssl.folder()
    assert openssl.SHA256 in caught.value.expected
    assert list(tmp_path.iterdir()) == [index]


@needs_linux
def test_openssl_without_a_package_index_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openssl, "_homes", lambda: (tmp_path / "env/openssl", tmp_path / "cache/openssl"))
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{_free_port()}/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    with pytest.raises(RedisServerError) as caught:
        openssl.folder()
    assert caught.value.expected == f"pip to download {openssl.REQUIREMENT}"
    assert "mysql-connector-python" in caught.value.found
    assert "redis_server fetch" in caught.value.todo
    assert list(tmp_path.iterdir()) == []
