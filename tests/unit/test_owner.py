"""Which process holds something, and whether it is dead: asked of real processes."""

import json
import subprocess
import sys

import psutil
import pytest

from viberary_pipeline.owner import is_dead, this_process

CODE = "from viberary_pipeline.owner import this_process; print(this_process(), flush=True); input()"


@pytest.fixture
def builder():
    with subprocess.Popen([sys.executable, "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_clock_that_was_corrected_does_not_make_a_living_process_dead(builder, monkeypatch):
    owner = builder.stdout.readline()
    created = psutil.Process.create_time
    # What a step of the machine's clock does to the figure of every process that asks after it.
    monkeypatch.setattr(psutil.Process, "create_time", lambda self, *_: created(self) + 2)
    assert not is_dead(owner)
    assert not is_dead(this_process())


def test_another_process_of_the_same_number_is_not_the_owner(builder):
    owner = json.loads(builder.stdout.readline())
    assert is_dead(json.dumps({**owner, "started": owner["started"] + "0"}))
    assert is_dead(json.dumps({**json.loads(this_process()), "started": "before this boot"}))
    assert not is_dead(json.dumps({**owner, "host": "elsewhere", "started": "x"})), "nothing is known of its processes"


def test_a_killed_process_is_dead_before_and_after_somebody_reaps_it(builder):
    owner = builder.stdout.readline()
    assert not is_dead(owner)
    builder.kill()
    while psutil.Process(builder.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    assert is_dead(owner)
    builder.wait()
    assert is_dead(owner)


@pytest.mark.parametrize("text", ["", "[]", "7", "null", '{"host": 1}', b"\xff"])
def test_what_is_no_owner_is_not_known_to_be_dead(text):
    assert not is_dead(text)
