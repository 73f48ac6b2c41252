"""The bytes of raw files on disk: whole and identical, or one clear error. The files are real, and so is the damage."""

import gzip
import hashlib
import random
from pathlib import Path

import pytest

from viberary_pipeline.errors import RawDataError
from viberary_pipeline.sources.raw_files import RawPart
from viberary_pipeline.sources.reader import open_part
from viberary_pipeline.storage import file_signature

# 3 MB that compress to about half: several chunks, several of igzip's buffers.
LINES = b"".join(b'{"book_id": "%d", "title": "%x"}\n' % (n, random.Random(n).getrandbits(128)) for n in range(50_000))


def part_of(path: Path) -> RawPart:
    stat = path.stat()
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return RawPart("books", str(path), path.name, stat.st_size, sha256, tuple(file_signature(path)))


def written(path: Path, data: bytes) -> RawPart:
    path.write_bytes(data)
    return part_of(path)


def whole(part: RawPart, size: int = 1 << 20) -> bytes:
    with open_part(part, progress=False) as reader:
        return b"".join(reader.chunks(size))


def refused(part: RawPart) -> tuple[RawDataError, bytes]:
    """The error of reading `part`, and what came before it."""
    chunks: list[bytes] = []
    with open_part(part, progress=False) as reader, pytest.raises(RawDataError) as error:
        chunks.extend(reader.chunks())
    got = b"".join(chunks)
    assert reader.decompressed_read == len(got)
    return error.value, got


@pytest.mark.parametrize("size", [1, 1000, 1 << 20, 1 << 24])
@pytest.mark.parametrize("name", ["b.json.gz", "b.json"])
def test_the_bytes_are_those_that_were_packed(tmp_path, name, size):
    data = LINES[:5000] if size == 1 else LINES
    part = written(tmp_path / name, gzip.compress(data) if name.endswith(".gz") else data)
    with open_part(part, progress=False) as reader:
        chunks = list(reader.chunks(size))
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) <= size
    assert (reader.compressed_read, reader.decompressed_read) == (part.bytes, len(data))


def test_the_first_bytes_tell_gzip_and_not_the_name(tmp_path):
    assert whole(written(tmp_path / "packed.json", gzip.compress(LINES))) == LINES
    assert whole(written(tmp_path / "plain.json.gz", LINES)) == LINES
    assert whole(written(tmp_path / "short.json", b"{")) == b"{"


def test_several_gzip_members_and_padding_are_one_file(tmp_path):
    members = b"".join(gzip.compress(LINES[at : at + 600_000]) for at in range(0, len(LINES), 600_000))
    assert whole(written(tmp_path / "m.json.gz", members)) == LINES
    assert whole(written(tmp_path / "z.json.gz", members + bytes(100))) == LINES
    assert whole(written(tmp_path / "e.json.gz", gzip.compress(b""))) == b""


def test_the_counters_go_along(tmp_path):
    part = written(tmp_path / "b.json.gz", gzip.compress(LINES))
    seen = 0
    with open_part(part, progress=False) as reader:
        assert (reader.compressed_read, reader.decompressed_read) == (0, 0)
        for chunk in reader.chunks(10_000):
            seen += len(chunk)
            assert reader.decompressed_read == seen
            assert 0 < reader.compressed_read <= part.bytes
            if seen < 500_000:
                assert reader.compressed_read < part.bytes  # it is read as it goes, not at once
    assert seen == len(LINES)


PACKED = gzip.compress(LINES)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (PACKED[: len(PACKED) // 2], "Compressed file ended before the end-of-stream marker was reached"),
        (PACKED[:-4], "Compressed file ended before the end-of-stream marker was reached"),
        (PACKED[:-8] + bytes(4) + PACKED[-4:], "CRC check failed"),
        (PACKED[:-4] + bytes(4), "Incorrect length of data produced"),
        (PACKED + b"garbage" * 3, "Not a gzipped file"),
        (PACKED + b"x", "Compressed file ended before the end-of-stream marker was reached"),
        (PACKED + PACKED[:1000], "Compressed file ended before the end-of-stream marker was reached"),
    ],
    ids=[
        "half",
        "no length",
        "wrong checksum",
        "wrong length",
        "garbage after it",
        "one byte after it",
        "second member cut",
    ],
)
def test_damage_names_the_file_and_the_place(tmp_path, data, found):
    part = written(tmp_path / "goodreads_books.json.gz", data)
    error, got = refused(part)
    assert error.what == "A raw file is damaged"
    assert error.expected == f"{part.uri} to be whole gzip data with a right checksum"
    assert error.found.startswith(found)
    assert error.found.endswith(f"at about byte {len(data):,} of {len(data):,}, after {len(got):,} decompressed bytes")
    assert error.todo == "download the file again (`gzip -t FILE` checks one)"
    # What comes before the damage is handed out, but for a last piece: the rows read so far can be told.
    assert len(got) >= 1 << 20
    assert (LINES + LINES).startswith(got)


def test_flipped_bits_are_damage(tmp_path):
    for at in (len(PACKED) // 3, len(PACKED) // 2, len(PACKED) - 100):
        data = bytearray(PACKED)
        data[at] ^= 0xFF
        data[at + 1] ^= 0xFF
        error, got = refused(written(tmp_path / "b.json.gz", bytes(data)))
        assert error.what == "A raw file is damaged"
        assert f" of {len(PACKED):,}, after {len(got):,} decompressed bytes" in error.found


def test_a_file_that_is_gone_is_told(tmp_path):
    part = written(tmp_path / "b.json.gz", PACKED)
    Path(part.uri).unlink()
    with pytest.raises(RawDataError) as raised, open_part(part):
        pass
    error = raised.value
    assert error.what == "A raw file cannot be read"
    assert error.expected == f"to read {part.uri}"
    assert error.found == "FileNotFoundError: No such file or directory"
    assert error.todo == "look at the file, its permissions and its disk"


@pytest.mark.parametrize("name", ["b.json", "b.json.gz"])
def test_a_file_that_has_grown_or_lost_whole_members_is_not_taken_for_the_same(tmp_path, name):
    member = gzip.compress(LINES) if name.endswith(".gz") else LINES
    part = written(tmp_path / name, member * 2)
    for times in (1, 3):
        Path(part.uri).write_bytes(member * times)
        error, got = refused(part)
        assert error.what == "A raw file of books changed after it was fingerprinted"
        assert error.expected == f"{part.uri} with {2 * len(member):,} bytes, as raw_books saw it"
        assert error.found == f"{times * len(member):,} bytes"
        assert got == LINES * times


def test_leaving_early_is_no_error(tmp_path):
    part = written(tmp_path / "b.json.gz", PACKED)
    with open_part(part, progress=False) as reader:
        assert next(reader.chunks(100)) == LINES[:100]


@pytest.mark.parametrize("progress", [True, False])
def test_the_bar_counts_stored_bytes_and_only_on_a_terminal(tmp_path, progress, capsys):
    part = written(tmp_path / "goodreads_books.json.gz", PACKED)
    with open_part(part, progress=progress) as reader:
        assert b"".join(reader.chunks()) == LINES
    assert capsys.readouterr().err == ""  # captured standard error is no terminal
