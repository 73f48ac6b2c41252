"""Sends messages, each once. A message that cannot be sent never stops a build.

Whoever learns of something tells it: the process of the run itself, so that runs of cron need no daemon, and the
sensors, which also see runs whose process was killed. `VIBERARY_HOME/notifications.json` holds the keys of what was
sent.
"""

import json
import logging
import smtplib
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests
from filelock import FileLock
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from viberary_pipeline.notifications.message import Message
from viberary_pipeline.notifications.settings import NotifySettings
from viberary_pipeline.storage import write_atomically

SENT = "notifications.json"

_TIMEOUT = 10.0
_ATTEMPTS = 3
_REMEMBERED = 1000

log = logging.getLogger(__name__)


class _MayPass(Exception):
    """The other side is busy or away: another attempt may help. Its text names no address."""


class _Refused(Exception):
    """The other side does not want the message: another attempt would not help."""


def notify(settings: NotifySettings, home: Path, message: Message, *, wait: float = 1.0) -> list[str]:
    """Send a message to whatever is set, unless it was sent before.

    Args:
        settings: Where to, and which events.
        home: VIBERARY_HOME.
        message: The message.
        wait: Seconds before the second attempt; the third waits twice as long.

    Returns:
        The channels (`webhook`, `mail`) that took it now. One that did not is logged, without its address, and is
        tried again when the same message is next sent.
    """
    channels: dict[str, Callable[[], None]] = {}
    if message.event in settings.events:
        if settings.webhook is not None:
            channels["webhook"] = lambda: _post(str(settings.webhook.get_secret_value()), message)  # type: ignore[union-attr]
        if settings.smtp is not None and settings.to:
            channels["mail"] = lambda: _mail(settings, message)
    if not channels:
        return []
    taken = []
    with FileLock(home / f".{SENT}.lock"):
        sent = _sent(home / SENT)
        for name, send in channels.items():
            if [name, message.key] in sent:
                continue
            try:
                _persistently(send, wait)
            except (_MayPass, _Refused) as error:
                log.warning("The message %r could not be sent by %s: %s", message.title, name, error)
            else:
                taken.append(name)
        if taken:
            known = [*sent, *([name, message.key] for name in taken)]
            write_atomically(home / SENT, json.dumps(known[-_REMEMBERED:]))
    return taken


def _persistently(send: Callable[[], None], wait: float) -> None:
    Retrying(
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential_jitter(initial=wait, jitter=wait / 4),
        retry=retry_if_exception_type(_MayPass),
        reraise=True,
    )(send)


def _post(url: str, message: Message) -> None:
    try:
        answer = requests.post(url, json=message.to_slack(), timeout=_TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        raise _MayPass(type(error).__name__) from None  # its text holds the URL, and with it the token
    if answer.status_code == 429 or answer.status_code >= 500:
        raise _MayPass(f"status {answer.status_code}")
    if answer.status_code >= 300:
        raise _Refused(f"status {answer.status_code}: {answer.text[:100]!r}")


def _mail(settings: NotifySettings, message: Message) -> None:
    assert settings.smtp is not None
    url = urlsplit(settings.smtp.get_secret_value())
    kind = smtplib.SMTP_SSL if url.scheme == "smtps" else smtplib.SMTP
    try:
        with kind(url.hostname or "", url.port or 0, timeout=_TIMEOUT) as server:
            server.ehlo()
            if kind is smtplib.SMTP and server.has_extn("starttls"):
                server.starttls()
                server.ehlo()
            if url.username:
                server.login(unquote(url.username), unquote(url.password or ""))
            server.send_message(message.to_email(settings.sender, settings.to))
    except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused) as error:
        code = getattr(error, "smtp_code", 550)
        raise (_MayPass if 400 <= code < 500 else _Refused)(f"{type(error).__name__} {code}") from None
    except smtplib.SMTPNotSupportedError as error:  # no login is offered
        raise _Refused(type(error).__name__) from None
    except (OSError, smtplib.SMTPException) as error:
        raise _MayPass(type(error).__name__) from None


def _sent(path: Path) -> Sequence[list[str]]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return known if isinstance(known, list) else []
