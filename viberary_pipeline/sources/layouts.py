"""How the lines of a file become JSON objects, which is what DuckDB reads.

UCSD's lines are objects. Those of Open Library's dumps have columns between tabs: four and an object, or values alone::

    /type/work  /works/OL1W  3  2009-12-11T01:57:19.964652  {"title": ...}
    /works/OL1W  /books/OL2M  5  2020-01-31
"""

import json
import re
from dataclasses import dataclass
from functools import cached_property

_BLANKS = b" \t\r"


@dataclass(frozen=True)
class Layout:
    """One kind of line.

    Attributes:
        columns: The names of the columns that stand before the object, b"" for one that is not read; without any the
            line is the object.
        has_object: Whether an object stands last.
    """

    columns: tuple[bytes, ...] = ()
    has_object: bool = True

    @property
    def opens(self) -> int:
        """The byte that a line begins with."""
        return ord("/" if self.columns else "{")

    @property
    def closes(self) -> int | None:
        """The byte that a line ends with; None for any."""
        return ord("}") if self.has_object else None

    def fault(self, line: bytes) -> str | None:
        """Why a line is no record by its looks alone; None for one that DuckDB can be given."""
        record = line.strip(_BLANKS)
        if self.columns:
            if record[:1] != b"/":
                return "not_a_record"
            values = line.split(b"\t", len(self.columns))
            if len(values) < len(self.columns) + self.has_object:
                return "missing_column"
            record = values[-1].strip(_BLANKS) if self.has_object else b"{}"
        if not record.startswith(b"{"):
            return "not_an_object"
        if not record.endswith(b"}"):
            return "malformed_json" if record.endswith(b"},") else "truncated_line"
        return None

    @cached_property
    def _plain(self) -> re.Pattern[bytes]:
        """Columns that are JSON strings as they stand, and the start of an object with a field."""
        value = rb'[^\s"\\]*(?: [^\s"\\]+)*'
        columns = rb"\t".join(rb"(%s)" % value if name else value for name in self.columns)
        return re.compile(columns + (rb'\t\{(?=")' if self.has_object else rb"\Z"))

    @cached_property
    def _fields(self) -> bytes:
        fields = b",".join(b'"%s":"%%b"' % name for name in self.columns if name)
        return b"{" + fields + (b"," if self.has_object else b"}")

    def to_json(self, line: bytes) -> bytes:
        """The line as one JSON object, in which the columns are fields; `{}`, which is no record, for a faulty one.

        A tab inside the object is no end of a column, and no JSON either: it becomes a blank.
        """
        if not self.columns:
            return line
        if head := self._plain.match(line):  # as nearly always
            rest = line[head.end() :]
            if not rest or (rest.endswith(b"}") and b"\t" not in rest):
                return self._fields % head.groups() + rest
        values = line.split(b"\t", len(self.columns))
        if self.fault(line):
            return b"{}"
        named = zip(self.columns, map(_quoted, values), strict=False)
        fields = b",".join(b'"%s":%s' % (name, value) for name, value in named if name)
        if not self.has_object:
            return b"{%s}" % fields
        rest = values[-1].strip(_BLANKS).replace(b"\t", b" ")[1:].lstrip(b" ")
        return b"{%s%s%s" % (fields, b"" if rest == b"}" else b",", rest)


def _quoted(value: bytes) -> bytes:
    value = value.strip(_BLANKS)
    if b'"' in value or b"\\" in value:
        return json.dumps(value.decode("utf-8", "replace")).encode()
    return b'"%s"' % value


JSON_LINES = Layout()
