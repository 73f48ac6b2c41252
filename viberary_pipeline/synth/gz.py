"""One gzip member made of pieces that are compressed apart: as many threads as there are, the same bytes always.

Each piece is deflate data of its own that ends on a byte (a full flush), as pigz writes them; the pieces one after
the other, and an empty last block, are one deflate stream. The checksum runs over the pieces in their order.
Format: RFC 1951 and 1952.
"""

import struct
from dataclasses import dataclass
from typing import IO

from isal import igzip_lib, isal_zlib

_EXTRA = b"VS" + struct.pack("<H", 5) + b"synth"
HEAD = b"\x1f\x8b\x08\x04" + bytes(4) + b"\x00\xff" + struct.pack("<H", len(_EXTRA)) + _EXTRA
"""gzip with an extra field, no time and no file name: it tells files written here from somebody's downloads. (A
comment would do as well, but DuckDB's own gzip reader refuses files that have one.)"""

_LEVEL = 2
_LAST_BLOCK = b"\x03\x00"


@dataclass(frozen=True)
class Piece:
    """Compressed bytes, the bytes before (in parts), and how many lines these are."""

    deflated: list[bytes]
    parts: list[memoryview]
    lines: int


def deflate(parts: list[memoryview], lines: int) -> Piece:
    """Compress one piece. Releases the interpreter lock."""
    compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, -15, igzip_lib.MEM_LEVEL_EXTRA_LARGE)
    deflated = [compressor.compress(part) for part in parts]
    return Piece([*deflated, compressor.flush(isal_zlib.Z_FULL_FLUSH)], parts, lines)


class GzFile:
    """Writes pieces to an open binary file; `close()` ends the member."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._crc, self._size, self.lines = file, 0, 0, 0
        file.write(HEAD)

    def write(self, piece: Piece) -> None:
        """Append a piece."""
        for part in piece.parts:
            self._crc = isal_zlib.crc32(part, self._crc)
            self._size += part.nbytes
        self._file.writelines(piece.deflated)
        self.lines += piece.lines

    def close(self) -> None:
        """End the stream: last block, checksum, size modulo 2^32."""
        self._file.write(_LAST_BLOCK + struct.pack("<II", self._crc, self._size % 2**32))
