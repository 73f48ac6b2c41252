"""Raw files in S3: a real client against a real server of the protocol on loopback, over connections that break."""

import gzip
import random
import socket
from typing import Any

import pytest

from viberary_pipeline.errors import RawDataError, StorageError
from viberary_pipeline.sources.raw_files import RawInput, RawPart, find
from viberary_pipeline.sources.reader import open_part

BUCKET = "viberary-raw"
BOOKS = "goodreads_books.json.gz"
LINES = b"".join(b'{"book_id": "%d", "title": "%x"}\n' % (n, random.Random(n).getrandbits(128)) for n in range(100_000))
PACKED = gzip.compress(LINES)  # 2.3 MB: several of the reader's buffers


def put(s3: Any, key: str, body: bytes = PACKED) -> dict[str, Any]:
    return dict(s3.put_object(Bucket=BUCKET, Key=key, Body=body))


def found(table: str, location: str) -> RawInput:
    raw = find(table, location)
    assert raw is not None
    return raw


def read(part: RawPart) -> bytes:
    with open_part(part, progress=False) as reader:
        data = b"".join(reader.chunks())
        assert (reader.compressed_read, reader.decompressed_read) == (part.bytes, len(data))
        return data


def refused(table: str, location: str) -> RawDataError:
    with pytest.raises(RawDataError) as error:
        find(table, location)
    return error.value


def out_of_reach(location: str) -> StorageError:
    with pytest.raises(StorageError) as error:
        find("books", location)
    return error.value


@pytest.mark.parametrize("prefix", ["", "raw", "raw/2026 november"])
def test_a_prefix_is_a_folder(s3, prefix):
    folder = f"s3://{BUCKET}/{prefix}".rstrip("/")
    stored = put(s3, f"{prefix}/{BOOKS}".lstrip("/"))
    put(s3, f"{prefix}/goodreads_books.json".lstrip("/"))
    put(s3, f"{prefix}/deeper/goodreads_book_works.json".lstrip("/"))
    for location in (folder, folder + "/"):
        raw = found("books", location)
        version = "etag:" + stored["ETag"].strip('"')
        assert raw == RawInput(
            "books",
            (RawPart("books", f"{folder}/{BOOKS}", BOOKS, len(PACKED), version, None),),
            ("goodreads_books.json.gz is read, and not goodreads_books.json",),
        )
        assert find("works", location) is None
        raw.check_unchanged()
    assert read(raw.parts[0]) == LINES


def test_more_objects_than_one_page_lists(s3, monkeypatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")  # the server's; a thousand in S3
    for n in range(7):
        put(s3, f"a-{n}.txt", b"{}")
    put(s3, BOOKS)
    assert len(s3.list_objects_v2(Bucket=BUCKET)["Contents"]) == 3
    assert [part.name for part in found("books", f"s3://{BUCKET}").parts] == [BOOKS]


def test_a_books_object_means_its_subset(s3):
    for name in ("books_poetry.json.gz", "books_comics.json", "reviews_poetry.json.gz", "book_authors.json.gz"):
        put(s3, f"p/goodreads_{name}")
    location = f"s3://{BUCKET}/p/goodreads_books_poetry.json.gz"
    names = {table: [part.name for part in found(table, location).parts] for table in ("books", "authors", "reviews")}
    assert names == {
        "books": ["goodreads_books_poetry.json.gz"],
        "authors": ["goodreads_book_authors.json.gz"],
        "reviews": ["goodreads_reviews_poetry.json.gz"],
    }
    error = refused("reviews", f"s3://{BUCKET}/p/goodreads_books_comics.json")
    assert error.what == "The raw file of reviews is missing"
    assert error.expected.startswith(f"in s3://{BUCKET}/p: goodreads_reviews_comics.json.gz or ")
    error = refused("books", f"s3://{BUCKET}/p/goodreads_books_fantasy.json")
    assert error.what == "The books file is missing"


def test_plain_json_is_read_as_it_is(s3):
    put(s3, "goodreads_books.json", LINES)
    assert read(found("books", f"s3://{BUCKET}").parts[0]) == LINES


def test_a_missing_bucket_or_prefix_is_told(s3):
    error = out_of_reach("s3://no-such-bucket/raw")
    assert error.what == "S3 cannot be used"
    assert error.expected == "to reach s3://no-such-bucket/raw"
    assert "NoSuchBucket" in error.found
    assert error.todo == (
        "check the bucket's name, AWS_ENDPOINT_URL, AWS_PROFILE, the keys or the machine's role, and their rights"
    )
    error = refused("books", f"s3://{BUCKET}/nothing")
    assert (error.what, error.expected, error.found) == (
        "The raw files are missing",
        f"objects under s3://{BUCKET}/nothing/",
        "none",
    )


def test_no_keys_and_no_server_are_told(s3, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        error = out_of_reach(f"s3://{BUCKET}/raw")
        assert error.passing
        assert error.found.startswith("EndpointConnectionError: Could not connect")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "no address")
    assert out_of_reach(f"s3://{BUCKET}/raw").found == "ValueError: Invalid endpoint: no address"
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert out_of_reach(f"s3://{BUCKET}/raw").found == (
        "ProfileNotFound: The config profile (nobody) could not be found"
    )
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert out_of_reach(f"s3://{BUCKET}/raw").found == "NoCredentialsError: Unable to locate credentials"


@pytest.mark.parametrize(
    ("body", "what"),
    [(b"", "A raw file is empty"), (LINES, "A raw file is not gzip"), (b"{", "A raw file is not gzip")],
)
def test_an_object_that_is_empty_or_no_gzip_is_told(s3, body, what):
    put(s3, BOOKS, body)
    error = refused("books", f"s3://{BUCKET}")
    assert error.what == what
    assert f"s3://{BUCKET}/{BOOKS}" in error.expected


@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
def test_a_connection_that_breaks_is_taken_up_where_it_was(s3, proxy, reset):
    put(s3, BOOKS)
    part = found("books", f"s3://{BUCKET}").parts[0]
    proxy.cut_next(1_500_000, reset=reset)
    assert read(part) == LINES
    (resumed,) = proxy.ranges
    start = int(resumed.removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= 1_500_000  # it went on, rather than beginning again


def test_a_connection_that_always_breaks_is_told(s3, proxy, monkeypatch):
    put(s3, BOOKS)
    part = found("books", f"s3://{BUCKET}").parts[0]
    monkeypatch.setattr("viberary_pipeline.storage._WAIT_SECONDS", 0.01)  # between attempts: 8 s in all
    proxy.cut_next(1_000, times=1_000)
    with pytest.raises(StorageError) as error:
        read(part)
    assert error.value.passing
    assert error.value.expected == f"to reach {part.uri}"
    assert "after 5 attempts" in error.value.found


def test_an_object_that_changed_is_told(s3):
    put(s3, BOOKS)
    raw = found("books", f"s3://{BUCKET}")
    part = raw.parts[0]
    other = put(s3, BOOKS, gzip.compress(LINES + b"{}\n"))
    with pytest.raises(RawDataError) as error:
        raw.check_unchanged()
    assert error.value.what == "A raw file of books changed after it was fingerprinted"
    assert error.value.found.endswith(", etag:" + other["ETag"].strip('"'))
    with pytest.raises(RawDataError) as error:
        read(part)
    assert error.value.what == "A raw file of books changed after it was fingerprinted"
    assert error.value.expected == f"{part.uri} with {part.bytes:,} bytes, as raw_books saw it"
    assert error.value.found == "another object under this name"


def test_an_object_that_changes_while_it_is_read_is_never_mixed_with_the_new_one(s3, proxy):
    put(s3, BOOKS)
    part = found("books", f"s3://{BUCKET}").parts[0]
    proxy.cut_next(1_500_000)
    chunks: list[bytes] = []
    with open_part(part, progress=False) as reader:
        pieces = reader.chunks(10_000)
        chunks.append(next(pieces))
        put(s3, BOOKS, gzip.compress(LINES[::-1]))
        with pytest.raises(RawDataError) as error:
            chunks.extend(pieces)
    assert error.value.found == "another object under this name"
    assert LINES.startswith(b"".join(chunks))


def test_a_bucket_that_keeps_versions_gives_the_one_that_was_found(s3):
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    first = put(s3, BOOKS)
    raw = found("books", f"s3://{BUCKET}")
    part = raw.parts[0]
    assert part.version == f"etag:{first['ETag'].strip(chr(34))};version:{first['VersionId']}"
    put(s3, BOOKS, gzip.compress(LINES[::-1]))
    assert read(part) == LINES
    with pytest.raises(RawDataError, match="changed after it was fingerprinted"):
        raw.check_unchanged()


def test_damage_in_s3_names_the_object_and_the_place(s3):
    put(s3, BOOKS, PACKED[:-4])
    part = found("books", f"s3://{BUCKET}").parts[0]
    with pytest.raises(RawDataError) as error:
        read(part)
    assert error.value.what == "A raw file is damaged"
    assert error.value.expected == f"{part.uri} to be whole gzip data with a right checksum"
    assert f"at about byte {len(PACKED) - 4:,} of {len(PACKED) - 4:,}, after " in error.value.found
