"""What a raw file is that is not one JSON object per line, and the command that makes it so.

`certain` looks at the first bytes alone and knows before anything is read: archives, other encodings, a JSON array.
`likely` is for a file that was refused: what its beginning looks like explains the rejects.
"""

import re
import shlex
from dataclasses import dataclass

from viberary_pipeline.sources.table_specs import TABLES

HEAD_BYTES = 4096
"""How much of the beginning is looked at."""

GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Format:
    """A format that is not read.

    Attributes:
        name: What it is.
        convert: A shell filter from the file's (decompressed) bytes to one JSON object per line; with `{file}`, a
            command that reads that file itself; with `{out}`, a statement of DuckDB's. '' where none can help.
    """

    name: str
    convert: str = ""


def _duckdb(reader: str) -> str:
    """A format's `convert`: a SELECT that DuckDB copies to a file."""
    return f"COPY (FROM {reader}) TO '{{out}}' (FORMAT json, COMPRESSION {{compression}})"


_MAGIC = (
    (GZIP_MAGIC, Format("gzip data", "gzip -dc")),
    (b"PK\x03\x04", Format("a zip archive", "unzip -p {file}")),
    (b"BZh", Format("bzip2 data", "bzip2 -dc")),
    (b"\x28\xb5\x2f\xfd", Format("zstd data", "zstd -dc")),
    (b"\xfd7zXZ\x00", Format("xz data", "xz -dc")),
    (b"PAR1", Format("a Parquet file", _duckdb("read_parquet('{file}')"))),
    (b"7z\xbc\xaf\x27\x1c", Format("a 7z archive", "7z x -so {file}")),
    (b"SQLite format 3\x00", Format("an SQLite database")),
    (b"ARROW1", Format("an Arrow (Feather) file")),
    (b"\x89HDF", Format("an HDF5 file")),
    (b"%PDF", Format("a PDF document")),
    (b"version https://git-lfs", Format("a pointer of Git LFS, not the file itself")),
    # UTF-32 first: its mark begins with that of UTF-16.
    (b"\xff\xfe\x00\x00", Format("text in UTF-32", "iconv -f UTF-32 -t UTF-8")),
    (b"\x00\x00\xfe\xff", Format("text in UTF-32", "iconv -f UTF-32 -t UTF-8")),
    (b"\xff\xfe", Format("text in UTF-16", "iconv -f UTF-16 -t UTF-8")),
    (b"\xfe\xff", Format("text in UTF-16", "iconv -f UTF-16 -t UTF-8")),
)

# Without a byte order mark: which byte of a character is not zero.
_WIDE = (
    (re.compile(rb"[\t\n\r -~]\x00\x00\x00"), Format("text in UTF-32", "iconv -f UTF-32LE -t UTF-8")),
    (re.compile(rb"\x00\x00\x00[\t\n\r -~]"), Format("text in UTF-32", "iconv -f UTF-32BE -t UTF-8")),
    (re.compile(rb"(?:[\t\n\r -~]\x00){2}"), Format("text in UTF-16", "iconv -f UTF-16LE -t UTF-8")),
    (re.compile(rb"(?:\x00[\t\n\r -~]){2}"), Format("text in UTF-16", "iconv -f UTF-16BE -t UTF-8")),
)

_ARRAY = Format("one JSON array, not one object per line", "jq -c '.[]'")
_SPREAD = Format("JSON objects that are spread over several lines", "jq -c .")
_BEGINS_ARRAY = re.compile(rb"\s*\[\s*(?:\{|\]|\Z)")
_BEGINS_SPREAD = re.compile(rb'\s*\{[ \t\r]*\n\s*(?:"|\})')
_WRAPPED = re.compile(rb'\s*\{\s*"(\w+)"\s*:\s*\[\s*\{')

_LOOKS = (
    (re.compile(rb"\s*<(?:!doctype|html|head|body)", re.I), Format("an HTML page, as servers send for an error")),
    (re.compile(rb"\s*<\?xml|\s*<\w+[^>]*>", re.I), Format("XML")),
    (re.compile(rb"\x1e"), Format("JSON records after a separator character (RFC 7464)", r"tr -d '\036'")),
    (
        re.compile(rb"\s*\{'|\s*\{[^\"\n]*u'"),
        Format(
            "Python dictionaries, not JSON",
            'python -c "import ast, json, sys; [print(json.dumps(ast.literal_eval(line))) for line in sys.stdin]"',
        ),
    ),
    (re.compile(rb"[^\n]*\},[ \t\r]*\n"), Format("JSON objects with a comma after each", r"sed 's/,[[:space:]]*$//'")),
)
_TABLE = Format("a table of values (CSV)", _duckdb("read_csv('{file}', all_varchar = true{packed})"))


def certain(head: bytes) -> Format | None:
    """The format of a file that begins so, where no file of JSON lines can; None for any other beginning."""
    for magic, found in _MAGIC:
        if head.startswith(magic):
            return found
    if head[257:262] == b"ustar":
        return Format("a tar archive", "tar -xOf -")
    text = head.removeprefix(b"\xef\xbb\xbf")
    for pattern, found in _WIDE:
        if pattern.match(text):
            return found
    if _BEGINS_ARRAY.match(text):
        return _ARRAY
    if _BEGINS_SPREAD.match(text):
        wrapped = _WRAPPED.match(text)
        return Format(_SPREAD.name, f"jq -c '.{wrapped[1].decode()}[]'") if wrapped else _SPREAD
    return None


def likely(head: bytes) -> Format | None:
    """What a file most likely is that holds few records or none, by its first bytes."""
    text = head.removeprefix(b"\xef\xbb\xbf")
    known = {name for table in TABLES.values() for name in table.fields}
    if (found := certain(head)) is not None:
        return found
    if (wrapped := _WRAPPED.match(text)) and wrapped[1].decode() not in known:
        name = wrapped[1].decode()
        return Format(f"one JSON object with the records in {name!r}", f"jq -c '.{name}[]'")
    for pattern, found in _LOOKS:
        if pattern.match(text):
            return found
    header = re.split(rb"[,;\t|]", text.partition(b"\n")[0])
    if len(header) > 1 and known & {name.strip(b" \r\"'").decode(errors="replace") for name in header}:
        return _TABLE
    return None


def advice(found: Format, uri: str, *, packed: bool) -> str:
    """What to do about a file of that format: the command that writes it as one JSON object per line in its place.

    Args:
        uri: The file: an absolute path or s3://bucket/key.
        packed: Whether the file as stored is gzip.
    """
    if not found.convert or (packed and found.convert.startswith("unzip")):
        return "download the file again: it should hold one JSON object per line"
    path = uri.rpartition("/")[2] if "://" in uri else uri
    named_gz = path.endswith(".gz")
    out = f"{path}.new"
    replace = f"mv {shlex.quote(out)} {shlex.quote(path)}"
    if "{out}" in found.convert:
        query = found.convert.format(
            file=path.replace("'", "''"),
            out=out.replace("'", "''"),
            compression="gzip" if named_gz else "none",
            packed=", compression = 'gzip'" * packed,
        )
        command = "python -c " + shlex.quote(f"import duckdb; duckdb.sql({query!r})")
    else:
        if "{file}" in found.convert:
            command = found.convert.format(file=shlex.quote(path))
        else:
            file = shlex.quote(path)
            command = f"gzip -dc {file} | {found.convert}" if packed else f"{found.convert} < {file}"
        command += f" | gzip > {shlex.quote(out)}" if named_gz else f" > {shlex.quote(out)}"
    return f"write one JSON object per line: `{command} && {replace}`"
