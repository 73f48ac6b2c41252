"""Blocks of lines: the same whatever the chunks, safe for the parser, bounded in memory."""

from collections import Counter
from typing import Any

from viberary_pipeline.sources.blocks import BadLine, Block, blocks

LINES = b'\xef\xbb\xbf{"a": 1}\n \t\n{"b": 2} \r\n\n{"c":\n  {"d": 4}\n{}\n' + b"{" + b"e" * 20 + b'}\n"f"\n{"g": 7}'
SOUND = [(1, b'{"a": 1}'), (3, b'{"b": 2} \r'), (6, b'  {"d": 4}'), (7, b"{}"), (10, b'{"g": 7}')]


def taken(found: list[Block]) -> tuple[list[tuple[int, bytes]], list[BadLine], Counter[str]]:
    rows = []
    for block in found:
        text = b"".join(block.pieces)
        assert block.ends.tolist() == [place for place, byte in enumerate(text) if byte == ord("\n")]
        lines = text.split(b"\n")
        assert lines.pop() == b""
        assert len(lines) == block.rows
        rows += zip(block.all_numbers.tolist(), lines, strict=True)
    bad_lines = [bad for block in found for bad in block.bad]
    return rows, bad_lines, sum((block.repaired for block in found), Counter())


def test_blocks_are_alike_wherever_the_chunks_end():
    for size in range(1, len(LINES) + 1):
        chunks = [LINES[start : start + size] for start in range(0, len(LINES), size)]
        for block_bytes in (1, 20, 1000):
            rows, bad_lines, repaired = taken(list(blocks(chunks, block_bytes=block_bytes, most_bytes=15)))
            assert rows == SOUND
            assert [(bad.line, bad.reason) for bad in bad_lines] == [
                (5, "truncated_line"),
                (8, "line_too_long"),
                (9, "not_an_object"),
            ]
            assert repaired == {"byte_order_mark": 1, "blank_line": 2, "crlf": 1}


def test_a_sound_block_is_passed_on_as_it_is():
    data = b'{"a": 1}\n{"b": 2}\n'

    def parts(block: Block) -> tuple[Any, ...]:
        numbers = block.all_numbers.tolist()
        return block.pieces, block.rows, numbers, block.bad, block.repaired, block.unwanted

    assert [parts(block) for block in blocks([data])] == [([data], 2, [1, 2], [], {}, 0)]
    apart = [parts(block) for block in blocks([data] * 2, block_bytes=1)]
    assert apart == [([data], 2, [1, 2], [], {}, 0), ([data], 2, [3, 4], [], {}, 0)]
    (whole,) = blocks([data] * 2)
    assert (whole.pieces, whole.numbers, whole.first_line) == ([data, data], None, 1)


def test_nothing_is_no_block():
    assert list(blocks([])) == []


def test_crlf_alone_leaves_the_numbers_in_order():
    (block,) = blocks([b'{"a": 1}\r\n{"b": 2}\r\n'])
    assert (block.numbers, block.rows, block.lines, block.repaired) == (None, 2, 2, {"crlf": 2})
    assert block.all_numbers.tolist() == [1, 2]


def test_a_line_without_end_is_dropped_while_it_comes():
    held = 0

    def endless():
        nonlocal held
        yield b'{"a": 1}\n'
        for _ in range(1000):
            held += 100
            yield b"{" * 100
        yield b'\n{"b": 2}\n'

    found = []
    for block in blocks(endless(), most_bytes=1000):
        if block.bad:
            assert held <= 1200  # it is told before its end has come
        found.append(block)
    rows, bad_lines, _ = taken(found)
    assert rows == [(1, b'{"a": 1}'), (3, b'{"b": 2}')]
    assert bad_lines == [BadLine(2, "line_too_long", b"{" * 1100)]
