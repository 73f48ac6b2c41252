"""The bundled sample replaces itself, and no catalogue of somebody's own."""

import contextlib
from pathlib import Path

import pytest
import redis
from small_library import SmallLibrary

from viberary_pipeline.errors import SettingsError
from viberary_pipeline.quality.baseline import Baseline, save_baseline
from viberary_pipeline.redis_contract import record_key
from viberary_pipeline.resources.home_lock import check_source
from viberary_pipeline.settings import load_settings


def refused(build: str) -> contextlib.AbstractContextManager[object]:
    return pytest.raises(
        SettingsError, match=f"VIBERARY_RAW to be set, as the build {build} was made from files of yours"
    )


@pytest.mark.parametrize("source", ["given", "openlibrary", "both", "sample", ""])
def test_what_is_live_decides(source: str, client: redis.Redis, tmp_path: Path):
    build = SmallLibrary(client, tmp_path / "files", [("Dune", "Frank Herbert", "A desert planet")]).record.build
    client.hset(record_key(build), "source", source)
    own = source in ("given", "openlibrary", "both")
    with refused(build) if own else contextlib.nullcontext():
        check_source(load_settings(home=tmp_path), client)
    check_source(load_settings(home=tmp_path, raw="/data"), client)


@pytest.mark.parametrize("source", ["given", "openlibrary", "both", "sample"])
def test_where_redis_is_empty_the_last_build_of_the_home_decides(source, client: redis.Redis, tmp_path: Path):
    save_baseline(tmp_path, Baseline("b1", source, {}))
    with contextlib.nullcontext() if source == "sample" else refused("b1"):
        check_source(load_settings(home=tmp_path), client)
