"""Messages reach local servers, once each, and no secret reaches a log or a message."""

import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from web_hook import Hook

from viberary_pipeline.errors import GateRefused, SettingsError
from viberary_pipeline.notifications import Message, NotifySettings
from viberary_pipeline.notifications.deliver import notify
from viberary_pipeline.resources.run_reporter import RunReporter
from viberary_pipeline.settings import load_settings

MESSAGE = Message(
    "refused",
    "run-1",
    "viberary: a gate refused the build: books.drift_rows: 120 rows, 240 in the live build",
    "what to do: look at <what> came in & build again",
    {"build": "b1"},
)


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


class Mailbox:
    """Takes mail from whoever logs in with the right password."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(envelope)
        return "250 taken"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"me", b"p@ss:word")
        return AuthResult(success=right, handled=False)


class MailServer(Controller):
    """On a free port; the controller itself tries the port that it was given, which is 0."""

    def _trigger_server(self) -> None:
        with socket.create_connection(self.server.sockets[0].getsockname(), timeout=10) as connection:
            connection.recv(100)


@pytest.fixture
def mail() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    server = MailServer(box, "127.0.0.1", 0, authenticator=box.authenticate, auth_require_tls=False, auth_required=True)
    server.start()
    yield box, server.server.sockets[0].getsockname()[1]
    server.stop()


def test_a_webhook_gets_the_json_of_slack_once(hook: Hook, tmp_path: Path):
    settings = NotifySettings(webhook=hook.url)
    assert notify(settings, tmp_path, MESSAGE) == ["webhook"]
    assert notify(settings, tmp_path, MESSAGE) == []
    assert hook.got == [
        {
            "path": "/services/s3cr3t",
            "type": "application/json",
            "json": {
                "text": MESSAGE.title,
                "attachments": [
                    {
                        "fallback": MESSAGE.title,
                        "color": "warning",
                        "text": "what to do: look at &lt;what&gt; came in &amp; build again",
                        "fields": [{"title": "build", "value": "b1", "short": True}],
                    }
                ],
            },
        }
    ]


def test_mail_goes_to_everybody_with_a_login(mail: tuple[Mailbox, int], tmp_path: Path):
    box, port = mail
    settings = NotifySettings(
        smtp=f"smtp://me:p%40ss%3Aword@127.0.0.1:{port}", to="a@example.org, b@example.org", sender="v@example.org"
    )
    assert notify(settings, tmp_path, MESSAGE) == ["mail"]
    (envelope,) = box.mails
    assert (envelope.mail_from, envelope.rcpt_tos) == ("v@example.org", ["a@example.org", "b@example.org"])
    text = envelope.content.decode()
    assert f"Subject: {MESSAGE.title[:40]}" in text
    assert "look at <what> came in & build again" in text
    assert "build: b1" in text


def test_a_busy_webhook_is_tried_again_and_one_that_refuses_is_not(hook: Hook, tmp_path: Path, caplog):
    settings = NotifySettings(webhook=hook.url)
    hook.answers = [503, 429]
    assert notify(settings, tmp_path, MESSAGE, wait=0.01) == ["webhook"]
    assert len(hook.got) == 3
    hook.answers = [404]
    other = Message("failure", "run-2", "viberary: the build failed")
    assert notify(settings, tmp_path, other, wait=0.01) == []
    assert len(hook.got) == 4
    assert caplog.messages == ["The message 'viberary: the build failed' could not be sent by webhook: status 404: ''"]
    # What was not taken is sent when somebody tells it again.
    assert notify(settings, tmp_path, other) == ["webhook"]


@pytest.mark.parametrize("what", ["nobody listens", "a wrong password"])
def test_no_secret_is_logged_when_sending_fails(what: str, mail: tuple[Mailbox, int], tmp_path: Path, caplog):
    caplog.set_level(logging.DEBUG)
    settings = (
        NotifySettings(webhook="http://127.0.0.1:1/services/s3cr3t", smtp="smtp://me:s3cr3t@127.0.0.1:1", to="a@b.org")
        if what == "nobody listens"
        else NotifySettings(smtp=f"smtp://me:s3cr3t@127.0.0.1:{mail[1]}", to="a@b.org")
    )
    assert notify(settings, tmp_path, MESSAGE, wait=0.01) == []
    warned = [record.name for record in caplog.records if record.levelno == logging.WARNING]
    ours = "viberary_pipeline.notifications.deliver"
    assert warned.count(ours) == (2 if what == "nobody listens" else 1)
    assert "s3cr3t" not in repr(settings) + caplog.text


@pytest.mark.parametrize("name", ["notify_webhook", "notify_smtp"])
def test_a_secret_of_the_wrong_form_is_refused_without_being_shown(name: str):
    with pytest.raises(SettingsError) as caught:
        load_settings(**{name: "hooks.example.org/s3cr3t"})
    assert f"VIBERARY_{name.upper()}=(not shown): expected a URL" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_only_the_events_that_are_asked_for_are_told(hook: Hook, tmp_path: Path):
    settings = NotifySettings(webhook=hook.url, events="publish, late")
    assert notify(settings, tmp_path, MESSAGE) == []
    assert notify(settings, tmp_path, Message("publish", "run-2", "viberary: build b1 is live")) == ["webhook"]
    with pytest.raises(SettingsError, match="success is not one of failure, refused, publish, late"):
        load_settings(notify_events="success")


@pytest.mark.parametrize(
    ("happening", "told"),
    [
        ("published", "viberary: build b1 is live, 1,234 works"),
        ("unchanged", None),
        ("refused", "viberary: a gate refused the build: books.drift_rows: 120 rows"),
        ("failed", "viberary: the build failed: embeddings: no room"),
        ("interrupted", None),
    ],
)
def test_a_run_tells_how_it_ended(happening: str, told: str | None, hook: Hook, tmp_path: Path):
    reporter = RunReporter(load_settings(home=tmp_path, notify_webhook=hook.url), None, "run-1")
    reporter.made("search_index", {"build": "b1", "documents": 1234})
    match happening:
        case "published" | "unchanged":
            reporter.made("published_index", {"build": "b1", "switched": happening == "published"})
        case "refused":
            error = GateRefused("books.drift_rows: 120 rows", expected="more", found="fewer", todo="look")
            reporter.failed("books_quality", error)
        case "failed":
            reporter.failed("embeddings", OSError("no room"))
        case "interrupted":
            reporter.failed("embeddings", KeyboardInterrupt())
    assert reporter.tags["verdict"] == happening
    reporter.close()
    assert [got["json"]["text"] for got in hook.got] == ([told] if told else [])
