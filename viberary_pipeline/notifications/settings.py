"""The settings of messages: where they go, and about what."""

from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic.dataclasses import dataclass

from viberary_pipeline.notifications.message import EVENTS
from viberary_pipeline.words import Words


@dataclass(frozen=True)
class NotifySettings:
    """Messages about builds."""

    webhook: SecretStr | None = Field(
        default=None,
        description="A URL to which messages are posted, as JSON in the form of Slack's incoming webhooks.",
    )
    smtp: SecretStr | None = Field(
        default=None,
        description="The mail server: `smtp://user:password@host:587` (with STARTTLS, if the server offers it) or `smtps://...`.",
    )
    to: Words = Field(default=(), description="The addresses to which messages are mailed.")
    sender: str = Field(default="viberary@localhost", description="The address that these mails come from.")
    events: Words = Field(
        default=EVENTS,
        description="The events that send a message: `failure`, `refused` (by a gate), `publish`, `late`.",
    )
    late_hours: float = Field(
        default=0, ge=0, description="A build is `late` if none has finished for so many hours; 0: never."
    )

    @field_validator("webhook")
    @classmethod
    def _webhook_is_a_url(cls, value: SecretStr | None) -> SecretStr | None:
        return _url(value, "http", "https")

    @field_validator("smtp")
    @classmethod
    def _server_is_a_url(cls, value: SecretStr | None) -> SecretStr | None:
        return _url(value, "smtp", "smtps")

    @field_validator("events")
    @classmethod
    def _events_are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(value) - set(EVENTS)):
            raise ValueError(f"{', '.join(unknown)} is not one of {', '.join(EVENTS)}")
        return value


def _url(value: SecretStr | None, *schemes: str) -> SecretStr | None:
    """The messages name no part of it: it may hold a password or a token."""
    if value is not None:
        try:
            url = urlsplit(value.get_secret_value())
            named = url.scheme in schemes and bool(url.hostname) and (url.port or 1) > 0
        except ValueError:
            named = False
        if not named:
            raise ValueError(f"expected a URL that begins with {'://, '.join(schemes)}:// and names a host")
    return value
