"""The embedding store: every vector once, under the encoder's fingerprint and the text's hash.

Layout: `{root}/{fingerprint}/{sha256}.arrow`, each part named by the SHA-256 of its own bytes. Parts are never
changed; a part whose bytes do not give its name is renamed to `{sha256}.damaged-...`, and its texts count as missing
again. The same hash in several parts is harmless: the first found serves. Every write is a rename, so a kill at any
moment leaves the parts that were there and at most a hidden file, which the next compaction removes.

Parts are memory-mapped. `compact` makes few large ones of many small ones, so that reading is bound by the disk.

`verified.json` remembers the files that were hashed, so that opening costs no second read: by size, inode, and the
times of modification and of change (ctime), as stat gives them. No program can set ctime back, so a file that was
written to, replaced, or given its old mtime again is hashed anew. What this cannot see: a write within the tick of the
file system's clock (milliseconds; a second or more on some network file systems) in which the file was hashed; a clock
of the machine that was set back; bits that the disk itself lost. Without `verified.json` everything is hashed again.

With a `shared` place in S3, that is the store, and the folder a copy of it on this machine: parts are fetched once,
and new ones are put there first.
"""

import contextlib
import hashlib
import json
import logging
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias
from weakref import WeakValueDictionary

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from viberary_pipeline.artifacts import file_sha256
from viberary_pipeline.errors import ArtifactError
from viberary_pipeline.storage import Folder, Place, file_signature
from viberary_pipeline.typed_json import parse_json
from viberary_pipeline.vectors import VectorDtype
from viberary_pipeline.vectors.arrow_files import (
    ShardManifest,
    as_matrix,
    empty_vectors,
    map_table,
    problem_with,
    table_bytes,
    vectors_schema,
    vectors_table,
)
from viberary_pipeline.vectors.rows import Keys, Scatter, first_of_each, keys_of

log = logging.getLogger(__name__)
Hashes: TypeAlias = pa.Array | pa.ChunkedArray

PART_ROWS = 65_536
"""Rows of a compacted part: 100 MB at 384 dimensions of float32."""
_SMALL = PART_ROWS // 2
_MANY_SMALL = 16
_LEFTOVER_SECONDS = 24 * 3600
_VERIFIED = "verified.json"
_LISTINGS = 5


class EmbeddingStore:
    """The vectors of one encoder.

    Args:
        root: The folder of all encoders' vectors on this machine.
        fingerprint: The encoder's, or the name that its job keeps vectors under (`Job.key`).
        dimensions: Length of its vectors.
        dtype: How new vectors are stored; parts of the other kind are read all the same.
        shared: Where the store really is, if not in `root`: a prefix in S3.
    """

    def __init__(
        self,
        root: Path,
        fingerprint: str,
        dimensions: int,
        *,
        dtype: VectorDtype = "float32",
        shared: Place | None = None,
    ) -> None:
        self.folder = root / fingerprint
        self.fingerprint = fingerprint
        self.dimensions = dimensions
        self.dtype = dtype
        self._here = Folder(self.folder)
        self._shared = shared.inside(fingerprint) if shared is not None else None
        # A part is mapped while somebody reads it and no longer: what was read of it counts as memory of this process.
        self._tables: WeakValueDictionary[str, pa.Table] = WeakValueDictionary()
        self._verified: dict[str, list[int]] | None = None

    @classmethod
    def all_under(cls, root: Path, shared: Place | None = None) -> "list[EmbeddingStore]":
        """The stores of all encoders that have vectors in the folder `root`, or in the `shared` place, by name."""
        found = []
        if shared is not None:
            for name in shared.names():
                if name.endswith(".arrow") and not any((root / name).parent.glob("*.arrow")):
                    Folder(root).write(name, shared.read(name))  # one part says what they all are
        for folder in sorted(path for path in root.glob("*") if path.is_dir()):
            for part in sorted(folder.glob("*.arrow")):
                # A damaged part is skipped here: its store quarantines it when it opens it.
                with contextlib.suppress(OSError, pa.ArrowInvalid, KeyError), pa.memory_map(str(part)) as source:
                    vector = pa.ipc.open_file(source).schema.field("vector")
                    dtype: VectorDtype = "float16" if vector.type.value_type == pa.float16() else "float32"
                    found.append(cls(root, folder.name, vector.type.list_size, dtype=dtype, shared=shared))
                    break
        return found

    def known(self) -> pa.Array:
        """The distinct hashes of the texts whose vectors are here (string)."""
        hashes: pa.Array = pc.unique(_hashes(self.parts()))
        return hashes

    def missing(self, hashes: Hashes) -> pa.Array:
        """Those of `hashes` without a vector here: each once, in the order of first appearance."""
        distinct = pc.unique(hashes.cast(pa.string()))
        keys, rows = np.unique(keys_of(distinct), return_index=True)
        return distinct.take(pa.array(np.sort(rows[self.lacks(keys)])))

    def lacks(self, keys: Keys) -> NDArray[np.bool_]:
        """Which of `keys` (`rows.keys_of`, distinct, ascending) have no vector here."""
        lacking = np.ones(len(keys), dtype=bool)
        for part in self.each_part() if len(keys) else ():
            here = np.sort(keys_of(part["text_hash"]))  # sorted: searched several times as fast
            positions = np.searchsorted(keys, here)
            positions[positions == len(keys)] = 0
            lacking[positions[keys[positions] == here]] = False
        return lacking

    def parts(self) -> list[pa.Table]:
        """The tables of all whole parts, memory-mapped, in the order of their names: `text_hash` and `vector`."""
        self._fetch()
        tables = []
        for _ in range(_LISTINGS):
            paths = sorted(self.folder.glob("*.arrow"))
            tables = [self._open(path) for path in paths]
            if sorted(self.folder.glob("*.arrow")) == paths:
                break  # else another process compacted meanwhile: what is gone lies in parts that were not listed
        self._remember()
        return [table for table in tables if table is not None]

    def each_part(self) -> Iterator[pa.Table]:
        """The tables of all whole parts one after the other, each mapped no longer than it is read, so that memory does
        not grow with the store. A part that another process compacts meanwhile may come twice, in two parts."""
        self._fetch()
        seen: set[Path] = set()
        for _ in range(_LISTINGS):
            for path in sorted(set(self.folder.glob("*.arrow")) - seen):
                seen.add(path)
                table = self._open(path)
                if table is not None:
                    yield table
        self._remember()

    def read(self) -> pa.Table:
        """All vectors as one table over the mapped parts; a hash may appear more than once. Where parts are of both
        kinds, those not of this store's dtype are converted (and so copied)."""
        schema = vectors_schema(self.dimensions, self.dtype)
        converted = [part if part.schema.equals(schema) else self._as_ours(part) for part in self.parts()]
        return pa.concat_tables([schema.empty_table(), *converted])

    def vectors_for(self, hashes: Hashes) -> NDArray[np.float32]:
        """The vectors of `hashes`, float32 (len(hashes), dimensions), in that order.

        Many of them are memory-mapped: beside a full Redis, a catalogue's vectors need not fit in memory as well.

        Raises:
            ArtifactError: some have no vector here.
        """
        wanted = hashes.cast(pa.string())
        distinct = pc.unique(wanted)
        codes = np.asarray(pc.index_in(wanted, value_set=distinct))
        result = empty_vectors(len(wanted), self.dimensions, self.folder)
        scatter, filled = Scatter(codes, len(distinct)), np.zeros(len(distinct), dtype=bool)
        parts = self.parts()
        wanted_codes = np.asarray(pc.index_in(_hashes(parts), value_set=distinct).fill_null(-1))
        starts = np.cumsum([0, *(len(part) for part in parts)])
        for part, start in zip(parts, starts[:-1], strict=True):
            matrix = as_matrix(part["vector"], self.dimensions)
            codes_here = wanted_codes[start : start + len(part)]
            here = np.flatnonzero(codes_here >= 0)
            code = codes_here[here]
            new = ~filled[code]
            # Of a hash that a part holds twice, the first row serves.
            code, first = np.unique(code[new], return_index=True)
            rows = here[new][first]
            filled[code] = True
            targets, sources = scatter(code, rows)
            result[targets] = matrix[sources]
        if not filled.all():
            raise ArtifactError(
                "Some texts have no vector",
                expected=f"a vector for each of {len(wanted)} texts in {self.folder}",
                found=f"{np.count_nonzero(~filled[codes])} missing",
                todo="materialize embeddings, or run `viberary build`",
            )
        return result

    def adopt(self, vectors: bytes, manifest: ShardManifest) -> Path:
        """Take a finished shard's vectors in, once verified. Adopting the same content again changes nothing.

        Args:
            vectors: The bytes of its vectors file.
            manifest: What its worker said of it.

        Returns:
            The part's path.

        Raises:
            ArtifactError: the bytes are not what the manifest says, or hold vectors that cannot be used.
        """
        found = hashlib.sha256(vectors).hexdigest()
        problem = None
        if found != manifest.sha256 or manifest.fingerprint != self.fingerprint:
            problem = f"SHA-256 {found}, encoder {manifest.fingerprint}"
        else:
            problem = self._problem(vectors, manifest.rows)
        if problem is not None:
            raise ArtifactError(
                f"The vectors of shard {manifest.shard} cannot be used",
                expected=f"{manifest.rows} vectors of {self.dimensions} dimensions with SHA-256 "
                f"{manifest.sha256} by the encoder {self.fingerprint}",
                found=problem,
                todo="run the command again: the shard is computed again",
            )
        return self._add(found, vectors)

    def compact(self) -> int:
        """Make large parts of small ones, each hash once; returns how many parts went.

        New parts are in place before old ones go, so a kill in between leaves hashes twice, which is harmless. Not
        beside a reader of another process that maps the old parts later on: callers hold the home's lock.
        """
        self._sweep()
        paths = sorted(self.folder.glob("*.arrow"))
        small = [path for path in paths if (table := self._open(path)) is not None and table.num_rows < _SMALL]
        if len(small) < _MANY_SMALL:
            return 0
        read: list[Path] = []
        kept: set[str] = set()

        def tables() -> Iterator[pa.Table]:
            # Opened anew one by one, so that no more is mapped than goes into one new part.
            for path in small:
                if (table := self._open(path)) is not None:
                    read.append(path)
                    yield table

        for table in self._portions(tables()):
            kept.add(self._add_table(table))
        gone = [path.name for path in read if path.stem not in kept]
        self._forget(gone)
        return len(gone)

    def unneeded(self, keep: Iterable[Hashes]) -> int:
        """How many vectors `prune` would remove."""
        wanted = _joined(keep)
        kept = (pc.is_in(part["text_hash"], value_set=wanted) for part in self.each_part())
        return sum(len(mask) - (pc.sum(mask).as_py() or 0) for mask in kept)

    def prune(self, keep: Iterable[Hashes]) -> int:
        """Remove the vectors of texts that none of `keep` names, and return how many went: what no kept build needs.

        A part is written anew only where it holds both kinds; new parts are in place before old ones go.
        """
        self.compact()  # few parts: each is looked through by itself
        wanted = _joined(keep)
        removed = 0
        for path in sorted(self.folder.glob("*.arrow")):
            table = self._open(path)
            if table is None:
                continue
            mask = pc.is_in(table["text_hash"], value_set=wanted)
            stays = table.filter(mask)
            if stays.num_rows == table.num_rows:
                continue
            if stays.num_rows:
                self._add_table(stays)
            removed += table.num_rows - stays.num_rows
            self._forget([path.name])
        return removed

    def _portions(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The rows of `tables` in tables of about `PART_ROWS` rows, each hash once, in this store's dtype."""
        held: list[pa.Table] = []
        count = 0
        for table in tables:
            held.append(self._as_ours(table))
            count += table.num_rows
            if count >= PART_ROWS:
                yield first_of_each(pa.concat_tables(held))
                held, count = [], 0
        if held:
            yield first_of_each(pa.concat_tables(held))

    def _problem(self, vectors: bytes, rows: int) -> str | None:
        try:
            table = pa.ipc.open_file(pa.BufferReader(vectors)).read_all()
        except (pa.ArrowInvalid, OSError) as error:
            return f"{type(error).__name__}: {error}"
        if not any(table.schema.equals(schema) for schema in self._schemas):
            return f"columns {', '.join(f'{f.name} {f.type}' for f in table.schema)}"
        return problem_with(as_matrix(table["vector"], self.dimensions), rows=rows, dimensions=self.dimensions)

    @property
    def _schemas(self) -> list[pa.Schema]:
        return [vectors_schema(self.dimensions, dtype) for dtype in ("float32", "float16")]

    def _as_ours(self, part: pa.Table) -> pa.Table:
        vectors = as_matrix(part["vector"], self.dimensions)
        return vectors_table(part["text_hash"].combine_chunks(), vectors, self.dtype)

    def _add(self, sha256: str, data: bytes) -> Path:
        name = f"{sha256}.arrow"
        if self._shared is not None:
            self._shared.write(name, data)
        self._here.write(name, data)
        return self.folder / name

    def _add_table(self, table: pa.Table) -> str:
        """Add a part, and return its SHA-256. Its bytes are let go before the next part is made."""
        data = table_bytes(table)
        sha256 = hashlib.sha256(data).hexdigest()
        self._add(sha256, data)
        return sha256

    def _forget(self, names: Sequence[str]) -> None:
        if self._shared is not None:
            self._shared.delete(*names)
        for name in names:
            self._tables.pop(name, None)
        self._here.delete(*names)

    def _fetch(self) -> None:
        """Bring the folder to what the shared place holds."""
        if self._shared is None:
            return
        theirs = {name for name in self._shared.names() if name.endswith(".arrow") and "/" not in name}
        ours = {path.name for path in self.folder.glob("*.arrow")}
        for name in sorted(theirs - ours):
            self._fetch_part(name)
        for name in ours - theirs:
            self._tables.pop(name, None)
            self._here.delete(name)

    def _fetch_part(self, name: str) -> bool:
        """Copy a part of the shared place here; returns whether it is whole. A damaged one is removed there."""
        assert self._shared is not None
        try:
            data = self._shared.read(name)
        except FileNotFoundError:  # compacted away meanwhile: its rows are in another part
            return False
        if f"{hashlib.sha256(data).hexdigest()}.arrow" != name:
            log.warning("the part %s/%s is damaged: removed; its texts are embedded again", self._shared.uri, name)
            self._shared.delete(name)
            return False
        self._here.write(name, data)
        return True

    def _open(self, path: Path, *, fetch: bool = True) -> pa.Table | None:
        """The table of a part, mapped. A damaged one is quarantined, and fetched once more where the store is shared;
        None if that does not help, or it cannot be read."""
        try:
            identity = file_signature(path)
            if self._verified is None:
                self._verified = self._read_verified()
            if self._verified.get(path.name) != identity:
                self._tables.pop(path.name, None)
                if (found := file_sha256(path)) == path.stem:
                    self._verified[path.name] = identity
                else:
                    return self._replaced(path, f"its SHA-256 is {found}", fetch=fetch)
            table = self._tables.get(path.name)
            if table is None:
                table = self._tables[path.name] = map_table(path, *self._schemas)
            return table
        except ArtifactError as error:
            return self._replaced(path, error.found, fetch=fetch)
        except OSError as error:  # unreadable, or another process was first
            log.warning("left out %s: %s", path, error)
            return None

    def _replaced(self, path: Path, problem: str, *, fetch: bool) -> pa.Table | None:
        """Quarantine a damaged part, and open the shared store's copy in its stead if there is one and it is whole."""
        log.warning("the part %s is damaged (%s): renamed to .damaged-*", path, problem)
        try:
            path.rename(path.with_suffix(f".damaged-{uuid.uuid4().hex[:8]}"))
        except OSError as error:
            log.warning("could not rename %s: %s", path, error)
            return None
        if fetch and self._shared is not None and self._fetch_part(path.name):
            return self._open(path, fetch=False)
        log.warning("the texts of %s are embedded again", path.name)
        return None

    def _read_verified(self) -> dict[str, list[int]]:
        try:
            return parse_json(dict[str, list[int]], (self.folder / _VERIFIED).read_bytes())
        except (OSError, ValueError):  # absent, or damaged: everything is hashed again
            return {}

    def _remember(self) -> None:
        """Write down which parts were hashed, where that is new; a reader without the right to write goes without."""
        if self._verified is not None and self._verified != self._read_verified():
            with contextlib.suppress(OSError):
                self._here.write(_VERIFIED, json.dumps(self._verified).encode())

    def _sweep(self) -> None:
        """Remove the hidden files of writes that were killed a day ago or more, and parts quarantined as long ago."""
        before = time.time() - _LEFTOVER_SECONDS
        for path in [*self.folder.glob(".*"), *self.folder.glob("*.damaged-*")]:
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < before:
                    path.unlink()


def _joined(keep: Iterable[Hashes]) -> pa.Array:
    return pc.unique(pa.chunked_array([c for hashes in keep for c in _chunks(hashes)], type=pa.string()))


def _hashes(parts: Sequence[pa.Table]) -> pa.ChunkedArray:
    """The hashes of all parts, one after the other, without a copy."""
    return pa.chunked_array([chunk for part in parts for chunk in part["text_hash"].chunks], type=pa.string())


def _chunks(hashes: Hashes) -> list[pa.Array]:
    return hashes.chunks if isinstance(hashes, pa.ChunkedArray) else [hashes]
