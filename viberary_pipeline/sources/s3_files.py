"""Raw files in S3 or what speaks its language (AWS_ENDPOINT_URL): listed, identified, read.

Credentials, region and endpoint come from the environment or ~/.aws, as boto3 finds them.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from viberary_pipeline.errors import RawDataError

SCHEME = "s3://"
_ETAG, _VERSION_ID = "etag:", ";version:"


@dataclass(frozen=True)
class StoredObject:
    """What one object is now. `version` is its ETag, and its VersionId where the bucket keeps versions."""

    size: int
    version: str
    head: bytes


def client() -> Any:
    """A client of its own session (boto3's default one may not be shared by threads). Making one takes 0.3 s."""
    import boto3
    from botocore.config import Config

    with told(SCHEME):
        return boto3.session.Session().client("s3", config=Config(retries={"mode": "standard", "max_attempts": 5}))


def bucket_and_key(uri: str) -> tuple[str, str]:
    """('bucket', 'some/key') of s3://bucket/some/key."""
    bucket, _, key = uri.removeprefix(SCHEME).partition("/")
    return bucket, key


def sizes(folder: str) -> dict[str, int]:
    """{file name: bytes} of the objects directly under s3://bucket/prefix. Raises `RawDataError`."""
    bucket, prefix = bucket_and_key(folder.rstrip("/") + "/")
    with told(folder):
        pages = client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
        objects = [item for page in pages for item in page.get("Contents", [])]
    return {name: item["Size"] for item in objects if (name := item["Key"].removeprefix(prefix))}


def look(uri: str, client: Any) -> StoredObject:
    """Size, version and first two bytes of an object that is not empty, in one request. Raises `RawDataError`."""
    bucket, key = bucket_and_key(uri)
    with told(uri):
        answer = client.get_object(Bucket=bucket, Key=key, Range="bytes=0-1")
        with answer["Body"] as body:
            head = body.read()
    version = _ETAG + answer["ETag"].strip('"')
    if version_id := answer.get("VersionId"):
        version += _VERSION_ID + version_id
    return StoredObject(int(answer["ContentRange"].rpartition("/")[2]), version, head)


def open_stream(uri: str, version: str) -> io.BufferedReader:
    """A stream of the object's bytes that reconnects where a connection breaks, and goes on where it was.

    Every request asks for the ETag of `version`: what comes is all of one object. If it is no more, an OSError
    arises for which `is_changed` holds.
    """
    import smart_open.s3

    bucket, key = bucket_and_key(uri)
    etag, _, version_id = version.removeprefix(_ETAG).partition(_VERSION_ID)
    stream = smart_open.s3.open(
        bucket,
        key,
        "rb",
        version_id=version_id or None,
        client=client(),
        client_kwargs={"S3.Client.get_object": {"IfMatch": f'"{etag}"'}},
    )
    return io.BufferedReader(cast(io.RawIOBase, stream), 1 << 20)


def is_changed(error: BaseException) -> bool:
    """Whether a read failed because the object is no longer the one that was asked for."""
    answer = getattr(getattr(error, "backend_error", None), "response", {})
    return bool(answer.get("Error", {}).get("Code") == "PreconditionFailed")


@contextmanager
def told(uri: str) -> Iterator[None]:
    """Failures of boto3 and of a stream as a `RawDataError` that names `uri`."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise RawDataError(
            "The raw files in S3 cannot be read",
            expected=f"to read {uri}",
            found=f"{type(error).__name__}: {error}",
            todo="check the bucket's name, AWS_ENDPOINT_URL, AWS_PROFILE or the keys, and that they may list and get",
        ) from error
