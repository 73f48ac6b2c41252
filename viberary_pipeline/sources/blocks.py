"""The lines of a raw file in blocks, each made safe for DuckDB's parser; what is no record is kept apart.

DuckDB reads on over the end of a line where a value is not complete: a line cut after ':' takes the next, sound
one with it, and a value spread over several lines stops the whole read. A line from '{' to '}' does neither, so
only such lines are let through.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from viberary_pipeline.sources.layouts import JSON_LINES, Layout

MOST_BYTES = 16 << 20
"""Longest line that is read, in bytes; UCSD's longest has well below 1 MB."""

BLOCK_BYTES = 64 << 20
"""Size of a block: some ten thousand records, so that what is done once per block costs nothing."""

BLOCK_LINES = 200_000
"""Most lines of a block, blank ones included: what is kept of a bad one takes more memory than a short line itself."""

TEXT_BYTES = 2000
"""How much of a bad line is kept."""

BOM = b"\xef\xbb\xbf"
_LINE_FEED = ord("\n")
_FIRST, _NONE = np.zeros(1, np.int64), np.empty(0, np.int64)


Numbers = npt.NDArray[np.int64]
"""Numbers or places of lines."""


@dataclass(frozen=True)
class BadLine:
    """A line that is no record: its number (from 1) in the file, why, and its first bytes."""

    line: int
    reason: str
    text: bytes


@dataclass(eq=False)
class Block:
    """Whole lines of one file.

    Attributes:
        pieces: The lines that look sound, each with its line feed, in pieces: nothing is copied to join them.
        rows: How many lines those are.
        numbers_of_pieces: The numbers (from 1) in the file of the lines of each piece.
        ends_of_pieces: The places of the line feeds of each piece, where they are known already.
        bad: The lines that are no record.
        repaired: What was passed over or put right, by name: blank_line, byte_order_mark, crlf.
        unwanted: How many lines look sound, and are not among those that are wanted.
        held: The bytes of the sound and of the bad lines.
    """

    pieces: list[bytes | memoryview] = field(default_factory=list)
    rows: int = 0
    numbers_of_pieces: list[Numbers] = field(default_factory=list)
    ends_of_pieces: list[Numbers | None] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    repaired: Counter[str] = field(default_factory=Counter)
    unwanted: int = 0
    held: int = 0

    @property
    def lines(self) -> int:
        """Lines that are wanted and not blank: every one must become a row or a reject."""
        return self.rows + len(self.bad)

    @property
    def first_line(self) -> int:
        """The number in the file of the first row."""
        return int(self.numbers_of_pieces[0][0]) if self.numbers_of_pieces else 1

    @property
    def numbers(self) -> Numbers | None:
        """The numbers in the file of all rows, ascending, where they do not follow on each other, else None."""
        numbers = self.all_numbers
        return None if not len(numbers) or numbers[-1] - numbers[0] == len(numbers) - 1 else numbers

    @property
    def all_numbers(self) -> Numbers:
        """The numbers in the file of all rows, ascending."""
        return np.concatenate([_NONE, *self.numbers_of_pieces])

    @property
    def ends(self) -> Numbers:
        """The places of the line feeds in all pieces joined."""
        known = zip(self.pieces, self.ends_of_pieces, strict=True)
        of_pieces = [_line_feeds(np.frombuffer(piece, np.uint8)) if ends is None else ends for piece, ends in known]
        starts = np.cumsum([0, *map(len, self.pieces)]).tolist()
        return np.concatenate([_NONE, *(ends + start for ends, start in zip(of_pieces, starts, strict=False))])

    def add(self, piece: bytes | memoryview, first_line: int, ends: Numbers | None = None) -> None:
        """Add one sound line that has this number, or those that end at these places, of which the first has it."""
        rows = 1 if ends is None else len(ends)
        self.add_each(piece, np.arange(first_line, first_line + rows), ends)

    def add_each(self, piece: bytes | memoryview, numbers: Numbers, ends: Numbers | None = None) -> None:
        """Add sound lines that have these numbers."""
        self.pieces.append(piece)
        self.held += len(piece)
        self.rows += len(numbers)
        self.numbers_of_pieces.append(numbers)
        self.ends_of_pieces.append(ends)

    def refuse(self, number: int, reason: str, line: bytes) -> None:
        """Keep a line that is no record apart."""
        self.bad.append(BadLine(number, reason, line[:TEXT_BYTES]))
        self.held += len(line)


@dataclass(frozen=True)
class _Lines:
    """Whole lines: `data[start:end]`, which ends with a line feed."""

    data: bytes
    start: int
    end: int


@dataclass(frozen=True)
class _TooLong:
    """A line that grew too long: how it began."""

    text: bytes


def blocks(
    chunks: Iterable[bytes],
    layout: Layout = JSON_LINES,
    *,
    others: re.Pattern[bytes] | None = None,
    wanted: Numbers | None = None,
    block_bytes: int = BLOCK_BYTES,
    most_bytes: int = MOST_BYTES,
) -> Iterator[Block]:
    """The lines of one file in blocks, in order.

    Args:
        chunks: The file's bytes, in pieces of any size.
        layout: What its lines look like.
        others: What lines of other tables begin with, where a file holds those of several: they are passed over.
        wanted: The numbers of the lines that are let through, ascending; None: all of them. The others are counted, and
            one that is no record by its looks is in `bad` all the same.
        block_bytes: About the size of a block. No more than this, one line and one chunk is held at a time.
        most_bytes: Longest line that is let through.
    """
    block = Block()
    number = 1
    for piece in _whole_lines(chunks, most_bytes):
        if isinstance(piece, _TooLong):
            block.refuse(number, "line_too_long", piece.text)
            number += 1
        else:
            number = _add(block, piece, number, layout, most_bytes, others, wanted)
        if (
            block.held >= block_bytes
            or block.lines + block.repaired["blank_line"] >= BLOCK_LINES
            or isinstance(piece, _TooLong)
        ):
            yield block
            block = Block()
    if block.lines or block.repaired or block.unwanted:
        yield block


def _whole_lines(chunks: Iterable[bytes], most_bytes: int) -> Iterator[_Lines | _TooLong]:
    """All lines. Of a line that grows too long only the start is kept."""
    carry = b""  # the start of a line whose end has not come yet
    skipping = False  # inside a line that is too long
    for chunk in chunks:
        start = 0
        if skipping:
            if (start := chunk.find(b"\n") + 1) == 0:
                continue
            skipping = False
        end = chunk.rfind(b"\n") + 1
        if end > start:
            if carry:
                first = chunk.find(b"\n", start) + 1
                carry += chunk[start:first]
                yield _Lines(carry, 0, len(carry))
                carry, start = b"", first
            if end > start:
                yield _Lines(chunk, start, end)
                start = end
        carry += chunk[start:]
        if len(carry) > most_bytes:
            yield _TooLong(carry[:TEXT_BYTES])
            carry, skipping = b"", True
    if carry:
        yield _Lines(carry + b"\n", 0, len(carry) + 1)


def _add(
    block: Block,
    lines: _Lines,
    number: int,
    layout: Layout,
    most_bytes: int,
    others: re.Pattern[bytes] | None,
    wanted: Numbers | None,
) -> int:
    """Add the lines to the block, the first of which has this number; the number of the line after them."""
    if number == 1 and lines.data.startswith(BOM, lines.start):
        lines = _Lines(lines.data, lines.start + len(BOM), lines.end)
        block.repaired["byte_order_mark"] = 1
    if others is None and (ends := _ends_if_sound(lines, layout, most_bytes)) is not None:
        if wanted is None:
            block.add(memoryview(lines.data)[lines.start : lines.end], number, ends)
        else:
            _add_wanted(block, lines, ends, number, wanted)
        return number + len(ends)
    these = None if wanted is None else {*_between(wanted, number, number + lines.end - lines.start).tolist()}
    sound: list[bytes] = []
    numbers: list[int] = []
    for line in lines.data[lines.start : lines.end - 1].split(b"\n"):
        if others is not None and others.match(line):
            number += 1
            continue
        if line.endswith(b"\r"):
            block.repaired["crlf"] += 1
        if not line.strip():
            block.repaired["blank_line"] += 1
        elif reason := "line_too_long" if len(line) > most_bytes else layout.fault(line):
            block.refuse(number, reason, line)
        elif these is not None and number not in these:
            block.unwanted += 1
        else:
            sound.append(line)
            numbers.append(number)
        number += 1
    if sound:
        block.add_each(b"\n".join((*sound, b"")), np.array(numbers))
    return number


def _add_wanted(block: Block, lines: _Lines, ends: Numbers, number: int, wanted: Numbers) -> None:
    """Add those of the lines that are wanted, as copies: a view of one would hold the whole piece that it is in."""
    numbers = _between(wanted, number, number + len(ends))
    places = numbers - number
    starts = np.where(places == 0, 0, ends[places - 1] + 1) + lines.start
    after = ends[places] + lines.start + 1
    cut = [lines.data[start:end] for start, end in zip(starts.tolist(), after.tolist(), strict=True)]
    if cut:
        block.add_each(b"".join(cut), numbers)
    block.unwanted += len(ends) - len(numbers)


def _between(numbers: Numbers, low: int, high: int) -> Numbers:
    """Those of ascending numbers that are at least `low` and less than `high`."""
    first, after = np.searchsorted(numbers, (low, high))
    return numbers[first:after]


def _line_feeds(data: npt.NDArray[np.uint8]) -> Numbers:
    return np.flatnonzero(data == _LINE_FEED)


def _ends_if_sound(lines: _Lines, layout: Layout, most_bytes: int) -> Numbers | None:
    """Where the lines end, counted from the start of the first; None where one does not look sound."""
    # Looks at both ends of all lines at once: a look at each alone takes Python ten times as long.
    data = np.frombuffer(lines.data, np.uint8)[lines.start : lines.end]
    ends = _line_feeds(data)
    starts = np.concatenate((_FIRST, ends[:-1] + 1))
    if (
        (data[starts] != layout.opens).any()  # as of a blank line
        or (layout.closes is not None and (data[ends - 1] != layout.closes).any())
        or (ends - starts).max() > most_bytes
    ):
        return None
    return ends
