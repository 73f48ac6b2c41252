"""One home, one build at a time."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from viberary_pipeline.errors import HomeBusyError
from viberary_pipeline.home_lock import hold_home

HOLDER = """
import sys, time
from pathlib import Path
from viberary_pipeline.home_lock import hold_home
with hold_home(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holding(home: Path, seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_build_is_refused_where_it_may_not_wait_and_told_who_is_there(tmp_path):
    other = holding(tmp_path, 60)
    try:
        with pytest.raises(HomeBusyError, match=f"process {other.pid}, since 20"), hold_home(tmp_path, wait_seconds=0):
            pass
    finally:
        other.kill()
        other.wait()


def test_a_second_build_waits_with_a_message_until_the_first_has_ended(tmp_path):
    other = holding(tmp_path, 1.5)
    said: list[str] = []
    with hold_home(tmp_path, wait_seconds=60, say=said.append):
        assert other.wait(10) == 0
        assert json.loads((tmp_path / "build.owner.json").read_text())["pid"] == os.getpid()
    assert len(said) == 1
    assert said[0].startswith(f"waiting for another build in {tmp_path}: process {other.pid}, since ")


def test_the_lock_goes_with_a_killed_process(tmp_path):
    other = holding(tmp_path, 60)
    other.send_signal(signal.SIGKILL)
    other.wait()
    started = time.monotonic()
    with hold_home(tmp_path, wait_seconds=0):
        pass
    assert time.monotonic() - started < 1


def test_one_process_may_hold_it_again(tmp_path):
    with hold_home(tmp_path), hold_home(tmp_path, wait_seconds=0):
        pass
    with hold_home(tmp_path, wait_seconds=0):
        pass
    assert not (tmp_path / "build.owner.json").exists()


def test_two_homes_do_not_wait_for_each_other(tmp_path):
    other = holding(tmp_path / ".", 30)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with hold_home(elsewhere, wait_seconds=0):
        other.kill()
        other.wait()


def test_a_damaged_owner_file_does_not_matter(tmp_path):
    other = holding(tmp_path, 60)
    try:
        for text in ("[]", "", "null", '{"pid": 1}'):
            (tmp_path / "build.owner.json").write_text(text)
            with pytest.raises(HomeBusyError, match="has not said who it is"), hold_home(tmp_path, wait_seconds=0):
                pass
    finally:
        other.kill()
        other.wait()
