"""The keys of Open Library's records, had from the bytes of a block of lines without parsing them.

Nearly every line of the works' and the editions' files begins and names its work in one way::

    /type/edition  /books/OL2M  5  2020-01-31T...  {..., "works": [{"key": "/works/OL1W"}], ...}

Only such a line is told at sight. Of any other one its JSON has to say.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from viberary_pipeline.sources.blocks import Block, Numbers

Bytes = npt.NDArray[np.uint8]

_FIELD, _BEFORE, _AFTER = b'"works"', b'"works": [{"key": "/works/OL', b'W"}]'
_PADDING = bytes(64)
"""Behind the last line, so that eight bytes may be read from any place in a line, and from a little behind it."""
_WORD, _WORDS = 8, np.dtype("<u8")
_ONES = np.uint64(0x0101010101010101)
_ZERO = ord("0")


@dataclass(frozen=True)
class Keys:
    """Of the lines of one block.

    Attributes:
        lines: The numbers in the file of those that are told at sight.
        ids: The number in the key of each: 2 of /books/OL2M.
        works: Of editions, the number of the work of each; None of works.
        others: The other lines, as a block of their own.
    """

    lines: Numbers
    ids: Numbers
    works: Numbers | None
    others: Block


def keys_at_sight(block: Block, begins: bytes, letter: bytes, *, of_works: bool) -> Keys:
    """The keys of the lines of a block.

    Args:
        block: As `blocks` gave it.
        begins: What a line begins with, up to the number in its key.
        letter: What stands behind that number.
        of_works: Whether the records name the work that they are of. One that names none, several, or one in another
            form is not told at sight, and neither is one that has the word "works" elsewhere, too.
    """
    text = b"".join((*block.pieces, _PADDING))
    data = np.frombuffer(text, np.uint8)
    ends = block.ends
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))[: len(ends)]
    ids = _numbers_at(data, starts, begins, letter + b"\t")
    told = ids >= 0
    works = None
    if of_works:
        works = np.full(len(ends), -1, np.int64)
        places = _places(data, _FIELD)
        of_line = np.searchsorted(ends, places)
        works[of_line] = _numbers_at(data, places, _BEFORE, _AFTER)
        told &= (works >= 0) & (np.bincount(of_line, minlength=len(ends)) == 1)
    numbers = block.all_numbers
    others = Block()
    for place in np.flatnonzero(~told).tolist():
        others.add(text[starts[place] : ends[place] + 1], int(numbers[place]))
    return Keys(numbers[told], ids[told], None if works is None else works[told], others)


def _places(data: Bytes, word: bytes) -> Numbers:
    """Where a word stands in a text.

    Its second letter is looked for first. This takes a third of the time of bytes.find, and lets other threads work.
    """
    places = np.flatnonzero(data[: -len(_PADDING)] == word[1]) - 1  # -1 is a place in the padding
    return places[_stands_at(data, places, word)]


def _stands_at(data: Bytes, places: Numbers, text: bytes) -> npt.NDArray[np.bool_]:
    """Whether a text stands at each place. Eight bytes are compared at a time: half as long as one by one."""
    words = _words(data)
    right = np.ones(len(places), np.bool_)
    for start in range(0, len(text), _WORD):
        part = text[start : start + _WORD]
        expected, ours = (np.frombuffer(bits.ljust(_WORD, b"\0"), _WORDS)[0] for bits in (part, b"\xff" * len(part)))
        right &= (words[places + start] & ours) == expected
    return right


def _numbers_at(data: Bytes, places: Numbers, before: bytes, after: bytes) -> Numbers:
    """The number at each place that stands between two texts; -1 where none does, or one that is spelled otherwise."""
    right = _stands_at(data, places, before)
    digits = places + len(before)
    eight = _words(data)[digits] ^ _ONES * _ZERO  # a digit is 0 to 9 now, and any other byte more
    # In each byte that is no digit the highest bit is set. A sum may carry into the bytes behind the first such byte,
    # but only that one counts.
    others = ((eight + _ONES * 118) | eight) & _ONES * 128
    lengths = np.bitwise_count((others & -others) - 1).astype(np.int64) >> 3
    right &= (eight & 255 != 0) & (lengths > 0)
    # The digits to the end of the word, behind zeros; then pairs of digits, of pairs, of fours are added up.
    number = eight << (8 * (_WORD - lengths)).astype(_WORDS)
    for bits, fields in ((8, 0x00FF00FF00FF00FF), (16, 0x0000FFFF0000FFFF), (32, 0x00000000FFFFFFFF)):
        number = (number * 10 ** (bits // 8) + (number >> bits)) & fields
    ninth = data[digits + _WORD] - _ZERO  # what is no digit wraps to 10 or more
    is_long = (lengths == _WORD) & (ninth < 10)
    number = np.where(is_long, number * 10 + ninth, number)
    right &= _stands_at(data, digits + lengths + is_long, after)
    return np.where(right, number.astype(np.int64), -1)


def _words(data: Bytes) -> npt.NDArray[np.uint64]:
    """The eight bytes from each place on, the first of them lowest."""
    return np.ndarray(len(data) - _WORD, _WORDS, data, strides=(1,))
