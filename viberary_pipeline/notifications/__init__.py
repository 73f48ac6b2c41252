"""What people are told of builds, by a webhook (Slack's JSON) and by e-mail (`deliver`, which needs the pipeline's
packages)."""

import logging
from pathlib import Path
from typing import Protocol

from viberary_pipeline.notifications.message import Event, Message
from viberary_pipeline.notifications.settings import NotifySettings

__all__ = ["Event", "Message", "NotifySettings", "tell"]

log = logging.getLogger(__name__)


class _Settings(Protocol):
    @property
    def notify(self) -> NotifySettings: ...
    @property
    def home_dir(self) -> Path: ...


def tell(settings: _Settings, message: Message) -> None:
    """Send a message where the settings say; whatever goes wrong with it is logged and stops nothing."""
    if settings.notify.webhook is None and settings.notify.smtp is None:
        return
    try:
        from viberary_pipeline.notifications.deliver import notify

        notify(settings.notify, settings.home_dir, message)
    except Exception as error:
        log.warning("The message %r could not be sent: %s", message.title, type(error).__name__)
