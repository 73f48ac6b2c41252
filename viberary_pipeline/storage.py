"""Where jobs and vectors lie: a folder, or a prefix in S3 (AWS_ENDPOINT_URL is honoured), behind one interface.

Names are relative, with slashes. A write is whole or not there: a folder's by rename, S3's by one PUT, which shows
nothing until all of it has arrived, and whose SHA-256 the server compares.
"""

import base64
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from viberary_pipeline.errors import StorageError

S3 = "s3://"
_DELETE_AT_ONCE = 1000  # the most that S3's DeleteObjects takes
# Errors of S3 below 500 that may pass; the others of them (no right, no bucket, an expired token) come back.
_PASSING = {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "RequestLimitExceeded"}


class Place(Protocol):
    """A folder somewhere. All methods raise `StorageError` where it cannot be reached, and `FileNotFoundError` for a
    name that is not there."""

    uri: str

    def read(self, name: str) -> bytes:
        """The bytes of `name`."""

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Write `name`, atomically, over whatever was there; `durable`: so that it outlives a loss of power."""

    def local(self, name: str, scratch: Path) -> Path:
        """A local path with the bytes of `name`: the file itself, or a copy made in `scratch`."""

    def put(self, name: str, source: Path) -> None:
        """Write `name` from a local file of any size, atomically."""

    def names(self, prefix: str = "") -> list[str]:
        """The names that begin with `prefix`, sorted; never half-written ones."""

    def delete(self, *names: str) -> None:
        """Remove these; harmless for those that are not there."""

    def delete_all(self) -> None:
        """Remove everything in this place."""

    def inside(self, name: str) -> "Place":
        """The place `name` within this one."""


def place(uri: str | Path) -> Place:
    """The place at a local path or at s3://bucket/prefix."""
    text = str(uri)
    return Bucket(text) if text.startswith(S3) else Folder(Path(text))


class Folder:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.uri = str(path)

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
        try:
            with temporary.open("wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def local(self, name: str, scratch: Path) -> Path:
        path = self.path / name
        if not path.is_file():
            raise FileNotFoundError(path)
        return path

    def put(self, name: str, source: Path) -> None:
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
        try:
            shutil.copyfile(source, temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def names(self, prefix: str = "") -> list[str]:
        # Only the folder that the prefix lies in: a store's other encoders are not walked.
        top = self.path / prefix.rpartition("/")[0]
        found = (path.relative_to(self.path) for path in top.rglob("*") if path.is_file())
        names = (str(path) for path in found if not path.name.startswith("."))
        return sorted(name for name in names if name.startswith(prefix))

    def delete(self, *names: str) -> None:
        for name in names:
            (self.path / name).unlink(missing_ok=True)

    def delete_all(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def inside(self, name: str) -> "Folder":
        return Folder(self.path / name)


class Bucket:
    """A prefix of an S3 bucket. Credentials, region and endpoint come from the environment, as boto3 finds them."""

    def __init__(self, uri: str, client: Any = None) -> None:
        self.uri = uri.rstrip("/")
        self.bucket, _, prefix = self.uri.removeprefix(S3).partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = client

    @property
    def client(self) -> Any:
        if self._client is None:
            import boto3
            from botocore.config import Config

            with self._told("client"):
                retries = Config(retries={"mode": "standard", "max_attempts": 5})
                self._client = boto3.session.Session().client("s3", config=retries)
        return self._client

    def read(self, name: str) -> bytes:
        with self._told(name):
            answer = self.client.get_object(Bucket=self.bucket, Key=self._prefix + name)
            with answer["Body"] as body:
                return bytes(body.read())

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        with self._told(name):
            self.client.put_object(Bucket=self.bucket, Key=self._prefix + name, Body=data, ChecksumSHA256=checksum)

    def local(self, name: str, scratch: Path) -> Path:
        target = scratch / name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
        try:
            with self._told(name):
                self.client.download_file(self.bucket, self._prefix + name, str(temporary))
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        return target

    def put(self, name: str, source: Path) -> None:
        # One PUT below 64 MB; above, parts, which the client takes back if one fails.
        from boto3.s3.transfer import TransferConfig

        with self._told(name):
            self.client.upload_file(
                str(source),
                self.bucket,
                self._prefix + name,
                ExtraArgs={"ChecksumAlgorithm": "SHA256"},
                Config=TransferConfig(multipart_threshold=64 << 20),
            )

    def names(self, prefix: str = "") -> list[str]:
        return sorted(self.versions(prefix))

    def versions(self, prefix: str = "") -> dict[str, tuple[str, int]]:
        """{name: (ETag, bytes)} of the names that begin with `prefix`."""
        with self._told(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self._prefix + prefix
            )
            items = [item for page in pages for item in page.get("Contents", ())]
        return {item["Key"].removeprefix(self._prefix): (item["ETag"], item["Size"]) for item in items}

    def delete(self, *names: str) -> None:
        for start in range(0, len(names), _DELETE_AT_ONCE):
            objects = [{"Key": self._prefix + name} for name in names[start : start + _DELETE_AT_ONCE]]
            with self._told(names[start]):
                self.client.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})

    def delete_all(self) -> None:
        self.delete(*self.names())

    def inside(self, name: str) -> "Bucket":
        return Bucket(f"{self.uri}/{name}", self._client)

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        from boto3.exceptions import S3UploadFailedError
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in ("NoSuchKey", "404"):
                raise FileNotFoundError(f"{self.uri}/{name}") from error
            raise self._error(name, error, passing=_may_pass(error)) from error
        except S3UploadFailedError as error:
            within = error.__context__
            passing = _may_pass(within) if isinstance(within, ClientError) else True
            raise self._error(name, error, passing=passing) from error
        except (NoCredentialsError, NoRegionError) as error:
            raise self._error(name, error, passing=False) from error
        except BotoCoreError as error:
            raise self._error(name, error, passing=True) from error

    def _error(self, name: str, error: Exception, *, passing: bool) -> StorageError:
        return StorageError(
            "S3 cannot be used",
            expected=f"to reach {self.uri}/{name}",
            found=f"{type(error).__name__}: {error}",
            todo="try again; S3 or the network failed"
            if passing
            else "check the bucket's name, AWS_ENDPOINT_URL, AWS_PROFILE or the machine's role, and its rights",
            passing=passing,
        )


def _may_pass(error: Any) -> bool:
    """Whether trying again may help against a ClientError."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or error.response.get("Error", {}).get("Code") in _PASSING
