"""Settings: what their values may be, what an empty one means, and what a home needs."""

from pathlib import Path

import duckdb
import pytest

from viberary_pipeline.errors import SettingsError
from viberary_pipeline.settings import load_settings


@pytest.mark.parametrize("limit", ["4GB", "512MB", "1.5GiB", "4 GB", "700000kb", " 2TiB "])
def test_a_memory_limit_that_is_taken_is_one_that_duckdb_takes(limit):
    taken = load_settings(duckdb_memory_limit=limit).duckdb_memory_limit
    with duckdb.connect(config={"memory_limit": taken}) as connection:
        assert connection.sql("SELECT 42").fetchone() == (42,)


@pytest.mark.parametrize("limit", ["4", "GB", "4 gigs", "4GBB", "80%", "4,5GB", "-1GB"])
def test_any_other_memory_limit_is_refused_by_name(limit, monkeypatch):
    monkeypatch.setenv("VIBERARY_DUCKDB_MEMORY_LIMIT", limit)
    with pytest.raises(SettingsError, match=r"VIBERARY_DUCKDB_MEMORY_LIMIT=.*a number and a unit, such as 512MB"):
        load_settings()


def test_an_empty_variable_is_unset(monkeypatch):
    for name in ("RAW", "REDIS_URL", "PORT", "ENCODER", "DUCKDB_MEMORY_LIMIT"):
        monkeypatch.setenv(f"VIBERARY_{name}", "")
    settings = load_settings()
    assert (settings.raw, settings.redis_url, settings.port) == (None, None, 8000)
    assert (settings.encoder, settings.duckdb_memory_limit) == ("all-MiniLM-L6-v2", "4GB")


def test_an_option_overrides_the_environment(monkeypatch):
    monkeypatch.setenv("VIBERARY_PORT", "8123")
    assert load_settings().port == 8123
    assert load_settings(port=None).port == 8123
    assert load_settings(port=9000).port == 9000


def test_several_wrong_settings_are_named_at_once(monkeypatch):
    monkeypatch.setenv("VIBERARY_PORT", "99999")
    monkeypatch.setenv("VIBERARY_DEVICE", "tpu")
    with pytest.raises(SettingsError, match=r"VIBERARY_DEVICE='tpu'.*VIBERARY_PORT='99999'"):
        load_settings()


def test_reading_makes_no_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_settings(home="var").home_dir == tmp_path / "var"
    assert load_settings(home="~/books").home_dir == Path.home() / "books"
    assert list(tmp_path.iterdir()) == []


def test_a_writable_home_is_made_and_left_empty(tmp_path):
    home = tmp_path / "a" / "home"
    settings = load_settings(home=home)
    assert (settings.writable_home(), settings.writable_home()) == (home, home)
    assert list(home.iterdir()) == []


def test_a_home_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="VIBERARY_HOME cannot be used") as caught:
        load_settings(home=tmp_path / "file" / "home").writable_home()
    assert str(tmp_path / "file" / "home") in str(caught.value)


def test_a_read_only_home_can_be_read_from_and_not_written():
    """/proc takes no new file from anyone, root included, whatever its permissions say."""
    settings = load_settings(home="/proc/self")
    assert settings.home_dir == Path("/proc/self")
    with pytest.raises(SettingsError, match="VIBERARY_HOME cannot be used"):
        settings.writable_home()


def test_status_and_search_leave_the_home_alone(published):
    """With a Redis elsewhere, reading works from a home that is not there and cannot be made."""
    elsewhere = {"VIBERARY_HOME": "/proc/self/home", "VIBERARY_REDIS_URL": published.settings.redis_url}
    shown = published.cli("status", **elsewhere)
    assert shown.returncode == 0, shown.stderr
    assert f"live      {published.build}" in shown.stdout
    asked = published.cli("search", "dragons", **elsewhere)
    assert asked.returncode == 1
    assert f"The query encoder of build {published.build} is not in this VIBERARY_HOME" in asked.stderr
