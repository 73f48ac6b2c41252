"""A client of AWS, with the region, the credentials and the endpoint that boto3 finds."""

from typing import Any

from viberary_pipeline.errors import SettingsError


def client_of(service: str) -> Any:
    """A client of its own session. Raises `SettingsError` where no region is set."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.session.Session().client(service)
    except BotoCoreError as error:
        raise SettingsError(
            "AWS cannot be used",
            expected=f"a region and credentials for {service}",
            found=f"{type(error).__name__}: {error}",
            todo="set AWS_DEFAULT_REGION, and AWS_PROFILE or the keys",
        ) from error
