"""One message: what happened, in one line, what it was about, and the whole of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, Literal, get_args

Event = Literal["failure", "refused", "publish", "late"]
EVENTS: tuple[Event, ...] = get_args(Event)

_COLORS: dict[Event, str] = {"failure": "danger", "refused": "warning", "publish": "good", "late": "warning"}
_MOST_TEXT = 3000
"""Slack cuts an attachment's text at about as many characters."""


@dataclass(frozen=True)
class Message:
    """A message.

    Args:
        event: What kind of thing happened.
        key: Names this one happening: a message with the key of one that was sent is not sent again.
        title: One line for people.
        text: The rest; may be empty.
        facts: {what: value}, such as the build and its source.
    """

    event: Event
    key: str
    title: str
    text: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    def to_slack(self) -> dict[str, Any]:
        """The JSON of an incoming webhook of Slack, with its (legacy) attachments: Mattermost, Rocket.Chat and
        Discord's `/slack` take the same. https://docs.slack.dev/messaging/formatting-message-text"""
        attachment = {
            "fallback": self.title,
            "color": _COLORS[self.event],
            "text": _escaped(self.text[:_MOST_TEXT]),
            "fields": [{"title": name, "value": _escaped(value), "short": True} for name, value in self.facts.items()],
        }
        return {"text": _escaped(self.title), "attachments": [attachment]}

    def to_email(self, sender: str, to: tuple[str, ...]) -> EmailMessage:
        """The same as plain text."""
        mail = EmailMessage()
        mail["Subject"] = " ".join(self.title.split())  # a header has one line
        mail["From"], mail["To"] = sender, ", ".join(to)
        facts = "\n".join(f"{name}: {value}" for name, value in self.facts.items())
        mail.set_content("\n\n".join(part for part in (self.title, self.text, facts) if part) + "\n")
        return mail


def _escaped(text: str) -> str:
    """Slack reads these three as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
