"""Clients of EC2 and AWS Batch, with the region, the credentials and the endpoint that boto3 finds."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from viberary_pipeline.errors import SettingsError, WorkerError
from viberary_pipeline.storage import error_code

_SERVICES = {"ec2": "EC2", "batch": "AWS Batch"}


def client_of(service: str) -> Any:
    """A client of its own session for `ec2` or `batch`. Raises `SettingsError` where no region is set."""
    from boto3.session import Session
    from botocore.exceptions import BotoCoreError

    try:
        return Session().client(service)
    except (BotoCoreError, ValueError) as error:  # ValueError: an endpoint that is no address
        raise SettingsError(
            "AWS cannot be used",
            expected=f"a region and credentials for {service}",
            found=f"{type(error).__name__}: {error}",
            todo="set AWS_DEFAULT_REGION, and AWS_PROFILE or the keys; set AWS_ENDPOINT_URL to an http address, or "
            "unset it",
        ) from error


def refused(service: str, found: str) -> WorkerError:
    """The error for a call that `service` did not answer as it should."""
    return WorkerError(
        f"{_SERVICES[service]} refused a request",
        expected="the rights of deploy/aws/pipeline-policy.json, and settings that it takes",
        found=found,
        todo=f"correct the rights or the VIBERARY_{service.upper()}_* settings; see docs/operations.md",
    )


@contextmanager
def refusals(service: str, operation: str, *, harmless: str = "") -> Iterator[None]:
    """Turn what boto3 raises into `refused`; an error whose code begins with `harmless` passes without a word."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (ClientError, BotoCoreError) as error:
        if not harmless or not error_code(error).startswith(harmless):
            raise refused(service, f"{operation}: {type(error).__name__}: {error}") from error
