"""What people are told of builds, by a webhook (Slack's JSON) and by e-mail (`deliver`, which needs the pipeline's
packages)."""

from viberary_pipeline.notifications.message import Event, Message
from viberary_pipeline.notifications.settings import NotifySettings

__all__ = ["Event", "Message", "NotifySettings"]
