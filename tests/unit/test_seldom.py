"""Warnings that may befall every request."""

import logging

import pytest

from viberary_pipeline.web import seldom


def test_a_warning_is_written_once_in_a_while_and_says_how_many_there_were(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr(seldom.time, "monotonic", lambda: now)
    warn = seldom.Seldom(logging.getLogger("test")).warn
    for number in range(3):
        warn("away: %s", number)
        warn("full: %d", number)
    now += seldom.SECONDS
    warn("away: %s", "100 %s")
    now += seldom.SECONDS
    warn("away: %s", 4)
    assert [record.getMessage() for record in caplog.records] == [
        "away: 0",
        "full: 0",
        "away: 100 %s (and 2 times more before)",
        "away: 4",
    ]
