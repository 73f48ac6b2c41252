"""Where files lie: a local folder, or a prefix in S3, behind one interface; and the one way to write a local file.

Names are relative, with slashes. A write is whole or absent: locally by a rename, in S3 by one PUT (or a multipart
upload), which shows nothing until all of it has arrived, and whose SHA-256 the server compares.

Credentials, region and endpoint of S3 are those that boto3 finds (AWS_PROFILE, a machine's role, AWS_ENDPOINT_URL).
docs/decisions/2026-11-26-object-storage.md says why this is boto3.
"""

import base64
import hashlib
import io
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Protocol

from viberary_pipeline.errors import StorageError

S3 = "s3://"
_DELETE_AT_ONCE = 1000  # the most that S3's DeleteObjects takes
_READ_ATTEMPTS = 5  # in a row without a byte
_WAIT_SECONDS = 0.5  # before the second attempt; doubled each time
_BUFFER = 1 << 20
CONNECTIONS = 16
"""Requests that threads may make to S3 at a time."""
# Errors of S3 below HTTP 500 that another try may mend; the others (no right, no bucket, an expired token) stay.
_TRANSIENT = {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "RequestLimitExceeded"}


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary path beside `path`, which replaces it at the end of the block; after an exception it is removed.

    Args:
        path: The file to write; its folder is created.
        durable: Whether the new file survives a loss of power.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield temporary
        if durable:
            _sync(temporary)
        temporary.replace(path)
        if durable:
            _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Write `content` (text as UTF-8) so that a reader sees the old file or the new one, never a part."""
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def keep_newest(paths: Iterable[Path], count: int, written: Path) -> None:
    """Remove all but the newest `count` of these files. The one just `written` counts as the newest: its time does not
    say so where the clock was set back."""
    newest_first = sorted(paths, key=lambda path: (path == written, path.stat().st_mtime_ns), reverse=True)
    for path in newest_first[count:]:
        path.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path, *, keep: bool = False) -> Iterator[Path]:
    """An empty temporary folder beside `folder`, which takes its place at the end of the block; with `keep`, one that
    another process made in the meantime stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    temporary.mkdir()
    old = temporary.with_name(f"{temporary.name}.old")
    try:
        yield temporary
        if not (keep and folder.exists()):
            if folder.exists():
                folder.rename(old)
            temporary.rename(folder)
    finally:
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_signature(path: Path | int) -> list[int]:
    """Size, inode, and the times of the last write and of the last change: equal, the file was not touched since.

    A program can set back the time of the last write, not that of the last change (ctime). An open file may be given
    by its descriptor.
    """
    stat = os.stat(path)  # noqa: PTH116  # a descriptor has no Path
    return [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]


class Place(Protocol):
    """A folder somewhere. Every method raises `FileNotFoundError` for a name that is not there, and `StorageError`
    where S3 fails (`OSError` where the local disk does)."""

    uri: str

    def read(self, name: str) -> bytes:
        """The bytes of `name`."""

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Write `name`, atomically, over whatever was there; `durable`: it survives a loss of power."""

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


def open_place(uri: str | Path) -> Place:
    """The place at a local path or at s3://bucket/prefix."""
    return Bucket(str(uri)) if is_s3(uri) else Folder(Path(uri))


def is_s3(uri: str | Path) -> bool:
    """Whether an address is one in S3."""
    return str(uri).startswith(S3)


class Folder:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.uri = str(path)

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        write_atomically(self.path / name, data, durable=durable)

    def local(self, name: str, scratch: Path) -> Path:
        path = self.path / name
        if not path.is_file():
            raise FileNotFoundError(path)
        return path

    def put(self, name: str, source: Path) -> None:
        with replacing(self.path / name) as temporary:
            shutil.copyfile(source, temporary)

    def names(self, prefix: str = "") -> list[str]:
        # Only the folder that the prefix lies in: a store's other encoders are not walked.
        top = self.path / prefix.rpartition("/")[0]
        paths = (path for path in top.rglob("*") if not path.name.startswith(".") and path.is_file())
        names = (path.relative_to(self.path).as_posix() for path in paths)
        return sorted(name for name in names if name.startswith(prefix))

    def delete(self, *names: str) -> None:
        for name in names:
            (self.path / name).unlink(missing_ok=True)

    def delete_all(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def inside(self, name: str) -> "Folder":
        return Folder(self.path / name)


class ObjectChangedError(StorageError):
    """The object under a name is no longer the version that was asked for."""


@dataclass(frozen=True)
class ObjectVersion:
    """What names the content of an object: its ETag (without quotes), and its VersionId where the bucket keeps
    versions."""

    etag: str
    version_id: str = ""

    def __str__(self) -> str:
        return f"etag:{self.etag}" + (f";version:{self.version_id}" if self.version_id else "")

    @classmethod
    def parse(cls, text: str) -> "ObjectVersion":
        """The version that `str` wrote."""
        etag, _, version_id = text.removeprefix("etag:").partition(";version:")
        return cls(etag, version_id)

    @classmethod
    def of(cls, answer: dict[str, Any]) -> "ObjectVersion":
        """The version that S3 states in an answer."""
        return cls(answer["ETag"].strip('"'), answer.get("VersionId", ""))


class Bucket:
    """A prefix of an S3 bucket. May be shared by threads."""

    def __init__(self, uri: str, client: Any = None) -> None:
        self.uri = uri.rstrip("/")
        self.bucket, _, prefix = self.uri.removeprefix(S3).partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = client

    @classmethod
    def containing(cls, uri: str) -> "tuple[Bucket, str]":
        """The place that the object at s3://bucket/some/key lies in, and its name there."""
        folder, _, name = uri.rpartition("/")
        return cls(folder), name

    @property
    def client(self) -> Any:
        """A boto3 client of its own session: boto3's default one may not be shared by threads."""
        if self._client is None:
            from boto3.session import Session
            from botocore.config import Config

            with self._translated("client"):
                retries = Config(retries={"mode": "standard", "max_attempts": 5}, max_pool_connections=CONNECTIONS)
                self._client = Session().client("s3", config=retries)
        return self._client

    def read(self, name: str) -> bytes:
        data = io.BytesIO()
        with self.stream(name) as stream:
            shutil.copyfileobj(stream, data, _BUFFER)
        return data.getvalue()

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        self.swap(name, data, None)

    def swap(self, name: str, data: bytes, seen: str | None) -> str:
        """Write `name` if its ETag still is `seen` ("": if there is no such object; None: whatever there is); returns
        the new ETag.

        Raises:
            ObjectChangedError: somebody else has written or removed it since.
        """
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        condition = {"IfMatch": f'"{seen}"'} if seen else {"IfNoneMatch": "*"} if seen is not None else {}
        try:
            with self._translated(name):
                answer = self.client.put_object(**self._key(name), Body=data, ChecksumSHA256=checksum, **condition)
        except (FileNotFoundError, ObjectChangedError) as error:
            if not condition:
                raise
            # A connection that breaks after the write is made again, and then meets what it wrote itself.
            there = self.find(name)
            if there is not None and there[1] == data:
                return there[0]
            raise _changed(f"{self.uri}/{name}") from error
        return str(answer["ETag"]).strip('"')

    def find(self, name: str) -> tuple[str, bytes] | None:
        """The ETag and the bytes of a small object; None where there is none."""
        try:
            with self._translated(name):
                answer = self.client.get_object(**self._key(name))
                with answer["Body"] as body:
                    return str(answer["ETag"]).strip('"'), body.read()
        except FileNotFoundError:
            return None

    def age(self, name: str) -> float:
        """Seconds since an object was written, by S3's clock alone: this machine's may be wrong."""
        with self._translated(name):
            answer = self.client.head_object(**self._key(name))
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return float((now - answer["LastModified"]).total_seconds())

    def local(self, name: str, scratch: Path) -> Path:
        target = scratch / name
        with self.stream(name) as stream, replacing(target, durable=False) as temporary, temporary.open("wb") as file:
            shutil.copyfileobj(stream, file, _BUFFER)
        return target

    def put(self, name: str, source: Path) -> None:
        # One PUT below 64 MB; above, parts, which the client takes back if one fails.
        from boto3.s3.transfer import TransferConfig

        config = TransferConfig(multipart_threshold=64 << 20)
        with self._translated(name):
            self.client.upload_file(
                str(source), *self._key(name).values(), ExtraArgs={"ChecksumAlgorithm": "SHA256"}, Config=config
            )

    def names(self, prefix: str = "") -> list[str]:
        return sorted(self.versions(prefix))

    def versions(self, prefix: str = "", *, deep: bool = True) -> dict[str, tuple[str, int]]:
        """{name: (ETag, bytes)} of the names that begin with `prefix`; `deep`: those with a further slash too."""
        with self._translated(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self._prefix + prefix, **({} if deep else {"Delimiter": "/"})
            )
            items = [item for page in pages for item in page.get("Contents", ())]
        found = {item["Key"].removeprefix(self._prefix): (item["ETag"], item["Size"]) for item in items}
        found.pop("", None)  # what consoles make to show an empty folder
        return found

    def head(self, name: str, count: int) -> tuple[ObjectVersion, int, bytes]:
        """Version, size and the first `count` bytes of an object that is not empty, in one request."""
        with self._translated(name):
            answer = self.client.get_object(**self._key(name), Range=f"bytes=0-{count - 1}")
            with answer["Body"] as body:
                return ObjectVersion.of(answer), int(answer["ContentRange"].rpartition("/")[2]), body.read()

    def stream(self, name: str, version: ObjectVersion | None = None) -> io.BufferedReader:
        """The bytes of an object. Where a connection breaks, it is made again and goes on where it was; every request
        asks for the same version, so that all bytes are of one object.

        Raises:
            ObjectChangedError: here or while it is read: the object is not `version` (any more).
        """
        return io.BufferedReader(_ObjectStream(self, name, version), _BUFFER)

    def delete(self, *names: str) -> None:
        for start in range(0, len(names), _DELETE_AT_ONCE):
            objects = [{"Key": self._prefix + name} for name in names[start : start + _DELETE_AT_ONCE]]
            with self._translated(names[start]):
                answer = self.client.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})
            for refused in answer.get("Errors", ()):  # S3 answers 200 all the same
                code = refused.get("Code", "")
                transient = code in _TRANSIENT or code == "InternalError"
                name = refused.get("Key", "").removeprefix(self._prefix)
                raise self._error(name, f"{code}: {refused.get('Message', '')}", transient=transient)

    def delete_all(self) -> None:
        self.delete(*self.names())

    def inside(self, name: str) -> "Bucket":
        return Bucket(f"{self.uri}/{name}", self._client)

    def _key(self, name: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self._prefix + name}

    @contextmanager
    def _translated(self, name: str) -> Iterator[None]:
        """Turn what boto3 raises over `name` into `FileNotFoundError`, `ObjectChangedError` or `StorageError`."""
        from boto3.exceptions import S3UploadFailedError
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError, S3UploadFailedError, ValueError) as error:  # ValueError: an endpoint
            cause = error.__context__ if isinstance(error, S3UploadFailedError) else error
            code = error_code(cause)
            if code in ("NoSuchKey", "404"):
                raise FileNotFoundError(f"{self.uri}/{name}") from error
            if code in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise _changed(f"{self.uri}/{name}") from error
            if code == "RequestTimeTooSkewed":
                raise StorageError(
                    "S3 refuses this machine's clock",
                    expected="a clock within 15 minutes of S3's",
                    found=f"{error}; here it is {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
                    todo="set this machine's clock (a time service, such as chrony, keeps it right), then run again",
                ) from error
            raise self._error(
                name,
                f"{type(error).__name__}: {error}",
                transient=isinstance(cause, BaseException) and is_transient(cause),
            ) from error

    def _error(self, name: str, found: str, *, transient: bool) -> StorageError:
        return StorageError(
            "S3 cannot be used",
            expected=f"to reach {self.uri}/{name}".rstrip("/"),
            found=found,
            todo="try again; if that does not help, check the network and AWS_ENDPOINT_URL"
            if transient
            else "check the bucket's name, AWS_ENDPOINT_URL, AWS_PROFILE, the keys or the machine's role, "
            "and their rights",
            passing=transient,
        )


def _changed(uri: str) -> ObjectChangedError:
    return ObjectChangedError(
        "An object in S3 has changed",
        expected=f"{uri} as it was found before",
        found="another object under this name",
        todo="run the command again",
    )


def error_code(error: BaseException | None) -> str:
    """The code of AWS in a ClientError of boto3, such as `NoSuchKey`; "" for any other exception."""
    answer = getattr(error, "response", None)  # of a ClientError a dict; of a broken connection None
    return str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""


def is_transient(error: BaseException | None) -> bool:
    """Whether an exception of boto3 says that another try may help: the network, or a server that is overloaded."""
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or error_code(error) in _TRANSIENT
    return isinstance(
        error,
        (
            boto.ConnectionError,
            boto.HTTPClientError,
            boto.IncompleteReadError,
            boto.ChecksumError,
            boto.FlexibleChecksumError,
        ),
    )


class _ObjectStream(io.RawIOBase):
    """The object's bytes, by as many requests as it takes."""

    def __init__(self, bucket: Bucket, name: str, version: ObjectVersion | None) -> None:
        self._bucket, self._name, self._version = bucket, name, version
        self._position, self._body = 0, None
        self._connect()

    @property
    def etag(self) -> str:
        """Of the object that is read."""
        assert self._version is not None
        return self._version.etag

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        from botocore.exceptions import FlexibleChecksumError

        for attempt in range(1, _READ_ATTEMPTS + 1):
            try:
                with self._bucket._translated(self._name):
                    data: bytes = (self._body or self._connect()).read(len(buffer))
            except StorageError as error:
                self._disconnect()
                # A wrong checksum speaks of bytes that were handed out already: nothing to go on from.
                if not error.passing or isinstance(error.__cause__, FlexibleChecksumError):
                    raise
                if attempt == _READ_ATTEMPTS:
                    raise self._bucket._error(
                        self._name, f"{error.found} (after {attempt} attempts)", transient=True
                    ) from error
                time.sleep(_WAIT_SECONDS * 2 ** (attempt - 1))
            else:
                break
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._disconnect()
        super().close()

    def _connect(self) -> Any:
        conditions: dict[str, str] = {}
        if self._position:
            conditions["Range"] = f"bytes={self._position}-"
        if self._version is not None:
            conditions["IfMatch"] = f'"{self._version.etag}"'
            if self._version.version_id:
                conditions["VersionId"] = self._version.version_id
        with self._bucket._translated(self._name):
            answer = self._bucket.client.get_object(**self._bucket._key(self._name), **conditions)
        self._version = self._version or ObjectVersion.of(answer)
        self._body = answer["Body"]
        return self._body

    def _disconnect(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()
