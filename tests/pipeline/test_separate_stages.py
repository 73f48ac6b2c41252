"""Stages that are materialised one by one, as the Dagster UI does: no selection of them publishes a refused build."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from homes import Built, Published, published_copy

from viberary_pipeline.definitions import build_definitions
from viberary_pipeline.redis_contract import read_pointer, read_record
from viberary_pipeline.settings import load_settings

# A build during whose verdict another machine's builder holds the lock: what was refused cannot be removed then.
LOCK_IS_BUSY = """
import json
from viberary_pipeline.cli import main
from viberary_pipeline.index import publish as module
from viberary_pipeline.redis_contract import LOCK

lock = module.build_lock

def busy(client, **options):
    client.set(LOCK, json.dumps({"host": "elsewhere", "pid": 1, "started": "0"}), ex=2)
    return lock(client, **options)

module.build_lock = busy
main()
"""


def materialize(home: Path, *stages: str, **settings: object) -> dg.ExecuteInProcessResult:
    job = build_definitions(load_settings(home=home, **settings)).resolve_implicit_global_asset_job_def()
    selection = [dg.AssetKey(stage) for stage in stages]
    with dg.DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(instance=instance, asset_selection=selection, raise_on_error=False)


def failure_of(result: dg.ExecuteInProcessResult, stage: str) -> str:
    assert not result.success
    (failed,) = [event for event in result.all_events if event.is_step_failure and event.step_key == stage]
    error = failed.step_failure_data.error
    return (error.cause or error).message


@pytest.fixture
def own(built_sample: Built, tmp_path: Path) -> Iterator[Published]:
    """A home of one's own in which the sample is published."""
    with published_copy(built_sample, tmp_path / "home") as own:
        yield own


def test_no_selection_of_stages_publishes_a_build_that_was_not_evaluated_or_was_refused(own: Published):
    home, live, client, cli = own.home, own.build, own.redis, own.cli
    statements = read_record(client, live).gate_results
    assert {gate["name"]: gate["outcome"] for gate in statements if gate["outcome"] != "passed"} == {
        "documents_kept": "not compared",
        "evaluation": "not compared",
    }

    # Never evaluated.
    skipped = materialize(home, "search_index", "published_index", hnsw_ef_runtime=210)
    assert "no verdict of evaluation" in failure_of(skipped, "published_index")
    assert read_pointer(client).live == live
    # Evaluated after all, that very build goes live.
    waiting = skipped.asset_materializations_for_node("search_index")[0].metadata["build"].value
    done = materialize(home, "search_index", "evaluation_report", "published_index", hnsw_ef_runtime=210)
    assert done.success
    assert read_pointer(client).live == waiting
    assert {gate["name"]: gate["outcome"] for gate in read_record(client, waiting).gate_results} == {
        gate["name"]: "passed" for gate in statements
    }

    # Refused while the lock is busy: the outcome is the gate's, and the build stays where it is.
    refused = subprocess.run(
        [sys.executable, "-c", LOCK_IS_BUSY, "build"],
        env={**cli.environment, "VIBERARY_RECIPE": "seed"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert refused.returncode == 3, refused.stderr
    assert "Refused by the gate evaluation" in refused.stderr
    builds = {build["build"]: build for build in json.loads(cli("status", "--json").stdout)["builds"]}
    (worse,) = [name for name, build in builds.items() if build["state"] == "refused"]
    verdict = next(gate for gate in builds[worse]["gates"] if gate["name"] == "evaluation")
    assert (verdict["outcome"], verdict["passed"]) == ("failed", False)

    alone = materialize(home, "published_index", recipe="seed")
    assert "refused by evaluation" in failure_of(alone, "published_index")
    assert read_pointer(client).live == waiting
    text = cli("status").stdout
    assert f"build {worse} (refused)" in text
    assert "gate       documents_kept not compared: no build was live before" in text
    assert json.loads(cli("gc", "--json").stdout)["builds"] == [worse]
