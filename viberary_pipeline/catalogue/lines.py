"""Lines of JSON made safe for DuckDB's parser, one chunk of bytes at a time.

DuckDB reads on over the end of a line where a value is not complete: a line cut after ':' takes the next, sound
one with it, and a value spread over several lines stops the whole read. A line from '{' to '}' does neither.
"""

from collections.abc import Iterable, Iterator

MOST_BYTES = 16 << 20
"""Longest line that is read, in bytes; UCSD's longest has well below 1 MB."""

BOM = b"\xef\xbb\xbf"
_BAD = b"x\n"
_OPENS, _CLOSES, _CR = b"{}\r"


def guarded(chunks: Iterable[bytes], most_bytes: int = MOST_BYTES) -> Iterator[bytes]:
    """The same lines, but every one that is not from '{' to '}', or is too long, is the bad line `x`.

    Blank lines and a byte order mark at the start are left out; the last line gets its line feed.

    Args:
        chunks: The bytes of a file, in pieces of any size.
        most_bytes: Longest line that passes. No more than this and one chunk is ever held.
    """
    carry = b""  # the start of a line whose end has not come yet
    skipping = False  # inside a line that is too long, and was replaced
    for chunk in _without_bom(chunks):
        if skipping:
            if (end := chunk.find(b"\n")) < 0:
                continue
            chunk, skipping = chunk[end + 1 :], False
        end = chunk.rfind(b"\n") + 1
        if end:
            yield _checked(b"".join((carry, memoryview(chunk)[:end])), most_bytes)
            carry = b""
        carry += chunk[end:]
        if len(carry) > most_bytes:
            yield _BAD
            carry, skipping = b"", True
    if carry:
        yield _checked(carry + b"\n", most_bytes)


def _without_bom(chunks: Iterable[bytes]) -> Iterator[bytes]:
    start: bytes | None = b""
    for chunk in chunks:
        if start is not None:
            start += chunk
            if len(start) < len(BOM):
                continue
            chunk, start = start.removeprefix(BOM), None
        yield chunk
    if start:
        yield start


def _checked(lines: bytes, most_bytes: int) -> bytes:
    if _all_sound(lines, most_bytes):
        return lines
    return b"".join(
        line + b"\n" if len(line) <= most_bytes and _is_object(line) else _BAD
        for line in lines.split(b"\n")
        if line.strip()
    )


def _all_sound(lines: bytes, most_bytes: int) -> bool:
    # Looks at both ends of each line and copies none; find() is many times faster than count() and split().
    start = 0
    while (end := lines.find(b"\n", start)) > start:
        last = lines[end - 1] if lines[end - 1] != _CR else lines[end - 2]
        if lines[start] != _OPENS or last != _CLOSES or end - start > most_bytes:
            return False
        start = end + 1
    return start == len(lines)


def _is_object(line: bytes) -> bool:
    record = line.strip(b" \t\r")
    return record.startswith(b"{") and record.endswith(b"}")
