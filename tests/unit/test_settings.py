"""Settings: what their values may be, what an empty one means, and what a home needs."""

import stat
from pathlib import Path

import duckdb
import pytest

from viberary_pipeline import settings as settings_module
from viberary_pipeline.documents.rules import DocumentRules
from viberary_pipeline.errors import SettingsError
from viberary_pipeline.redis_contract import HnswSettings
from viberary_pipeline.settings import load_settings, reference_markdown


@pytest.mark.parametrize("limit", ["4GB", "512MB", "1.5GiB", "4 GB", "700000kb", " 2TiB "])
def test_a_memory_limit_that_is_taken_is_one_that_duckdb_takes(limit):
    taken = load_settings(duckdb_memory_limit=limit).duckdb.memory_limit
    with duckdb.connect(config={"memory_limit": taken}) as connection:
        assert connection.sql("SELECT 42").fetchone() == (42,)


@pytest.mark.parametrize("limit", ["4", "GB", "4 gigs", "4GBB", "80%", "4,5GB", "-1GB"])
def test_any_other_memory_limit_is_refused_by_name(limit, monkeypatch):
    monkeypatch.setenv("VIBERARY_DUCKDB_MEMORY_LIMIT", limit)
    with pytest.raises(SettingsError, match=r"VIBERARY_DUCKDB_MEMORY_LIMIT=.*a number and a unit, such as 512MB"):
        load_settings()


def test_an_empty_variable_is_unset(monkeypatch):
    for name in ("RAW", "REDIS_URL", "WEB_PORT", "ENCODER", "DUCKDB_MEMORY_LIMIT"):
        monkeypatch.setenv(f"VIBERARY_{name}", "")
    settings = load_settings()
    assert (settings.raw, settings.redis.url, settings.web.port) == (None, None, 8000)
    assert (settings.encoder, settings.duckdb.memory_limit) == ("viberary-minilm-v1", "4GB")


def test_an_option_overrides_the_environment(monkeypatch):
    monkeypatch.setenv("VIBERARY_WEB_PORT", "8123")
    assert load_settings().web.port == 8123
    assert load_settings(web_port=None).web.port == 8123
    assert load_settings(web_port=9000).web.port == 9000


def test_several_wrong_settings_are_named_at_once(monkeypatch):
    monkeypatch.setenv("VIBERARY_WEB_PORT", "99999")
    monkeypatch.setenv("VIBERARY_EMBEDDING_DEVICE", "tpu")
    with pytest.raises(SettingsError, match=r"VIBERARY_EMBEDDING_DEVICE='tpu'.*VIBERARY_WEB_PORT='99999'"):
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


def test_a_home_is_made_for_its_user_alone(tmp_path):
    """It holds what readers typed, and a database without a password."""
    home = load_settings(home=tmp_path / "a" / "home").writable_home()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    load_settings(home=shared).writable_home()
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755  # somebody made it so


def test_groups_are_set_by_variable_and_by_keyword_alike(monkeypatch):
    monkeypatch.setenv("VIBERARY_HNSW_EF_CONSTRUCTION", "300")
    monkeypatch.setenv("VIBERARY_DOCUMENTS_LANGUAGES", "en, fr")
    settings = load_settings(hnsw_m=32, documents_min_ratings=5, accept_drift=True)
    assert settings.hnsw == HnswSettings(m=32, ef_construction=300)
    assert settings.documents == DocumentRules(languages=("en", "fr"), min_ratings=5)
    assert settings.accept_drift is True


def test_a_misspelt_variable_is_named_with_the_one_that_was_meant(monkeypatch, caplog):
    monkeypatch.setenv("VIBERARY_HNSW_EF_RUNTIM", "300")
    monkeypatch.setenv("VIBERARY_MIN_RATINGS", "5")
    settings_module._warn.cache_clear()
    for _ in range(2):  # it is said once in a process
        assert load_settings().hnsw.ef_runtime is None
    assert [record.getMessage() for record in caplog.records] == [
        "VIBERARY_HNSW_EF_RUNTIM is not a setting; did you mean VIBERARY_HNSW_EF_RUNTIME?",
        "VIBERARY_MIN_RATINGS is not a setting; did you mean VIBERARY_DOCUMENTS_MIN_RATINGS?",
    ]


def test_a_setting_of_no_name_is_refused():
    with pytest.raises(TypeError, match="no setting hnsw_x"):
        load_settings(hnsw_x=1)


def test_languages_are_resolved_to_subtags_or_refused():
    assert load_settings(documents_languages="eng,fre,und").documents.resolved().languages == ("en", "fr", "und")
    with pytest.raises(SettingsError, match="VIBERARY_DOCUMENTS_READER_LANGUAGE"):
        load_settings(documents_reader_language="klingonese").documents.resolved()


def test_the_reference_of_the_settings_is_the_code():
    """`make settings` writes it."""
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    assert page.read_text(encoding="utf-8") == reference_markdown()
