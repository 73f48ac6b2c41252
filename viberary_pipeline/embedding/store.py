"""The embedding store: every vector once, under the encoder's fingerprint and the text's hash.

Layout: `{root}/{fingerprint}/{sha256}.arrow`, each part named by the SHA-256 of its own bytes. Parts are
never changed; a part whose bytes do not give its name is set aside as `{sha256}.damaged`, and its texts
count as missing again. The same hash in several parts is harmless: the first found serves.
"""

import errno
import logging
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from viberary_pipeline.artifacts import file_sha256
from viberary_pipeline.embedding.jobs import ShardManifest
from viberary_pipeline.embedding.vectors import as_matrix, map_table, problem_with, vectors_schema
from viberary_pipeline.errors import ArtifactError

log = logging.getLogger(__name__)
Hashes: TypeAlias = pa.Array | pa.ChunkedArray


class EmbeddingStore:
    """The vectors of one encoder.

    Args:
        root: The folder of all encoders' vectors.
        fingerprint: The encoder's.
        dimensions: Length of its vectors.
    """

    def __init__(self, root: Path, fingerprint: str, dimensions: int) -> None:
        self.folder = root / fingerprint
        self.fingerprint = fingerprint
        self.dimensions = dimensions
        # Parts that this object has verified, by name, size and time of change: hashing each costs a read.
        self._verified: dict[tuple[str, int, int], pa.Table] = {}

    def known(self) -> pa.Array:
        """The distinct hashes of the texts whose vectors are here (string)."""
        hashes: pa.Array = pc.unique(self.read()["text_hash"])
        return hashes

    def missing(self, hashes: Hashes) -> pa.Array:
        """Those of `hashes` without a vector here: each once, in the order of first appearance."""
        distinct = pc.unique(hashes.cast(pa.string()))
        return distinct.filter(pc.invert(pc.is_in(distinct, value_set=self.known())))

    def read(self) -> pa.Table:
        """All vectors: columns `text_hash` and `vector`, memory-mapped; a hash may appear more than once."""
        return pa.concat_tables([vectors_schema(self.dimensions).empty_table(), *self._parts()])

    def vectors_for(self, hashes: Hashes) -> NDArray[np.float32]:
        """The vectors of `hashes`, float32 (len(hashes), dimensions), in that order.

        Raises:
            ArtifactError: some have no vector here.
        """
        parts = self._parts()
        stored = pa.chunked_array([c for part in parts for c in part["text_hash"].chunks], type=pa.string())
        positions = pc.index_in(hashes.cast(pa.string()), value_set=stored.combine_chunks())
        if positions.null_count:
            raise ArtifactError(
                "Texts have no vector",
                expected=f"a vector for each of {len(hashes)} texts in {self.folder}",
                found=f"{positions.null_count} missing",
                todo="materialize embeddings, or run `viberary build`",
            )
        return _gather(positions.to_numpy(zero_copy_only=False), parts, self.dimensions)

    def adopt(self, vectors_file: Path, manifest: ShardManifest) -> Path:
        """Move a finished shard's vectors in, once verified. Adopting the same content again changes nothing.

        Returns:
            The part's path; `vectors_file` is gone.

        Raises:
            ArtifactError: the file is not what the manifest says, or holds vectors that cannot be used.
        """
        found = file_sha256(vectors_file) if vectors_file.is_file() else "no such file"
        problem = None
        if found != manifest.sha256 or manifest.fingerprint != self.fingerprint:
            problem = f"SHA-256 {found}, encoder {manifest.fingerprint}"
        else:
            table = map_table(vectors_file, vectors_schema(self.dimensions))
            vectors = as_matrix(table["vector"], self.dimensions)
            problem = problem_with(vectors, rows=manifest.rows, dimensions=self.dimensions)
        if problem is not None:
            raise ArtifactError(
                f"The vectors of shard {manifest.shard} cannot be adopted",
                expected=f"{manifest.rows} vectors of {self.dimensions} dimensions with SHA-256 "
                f"{manifest.sha256} by the encoder {self.fingerprint}",
                found=problem,
                todo="run again: the shard is computed anew",
            )
        target = self.folder / f"{manifest.sha256}.arrow"
        self.folder.mkdir(parents=True, exist_ok=True)
        _move(vectors_file, target)
        return target

    def _parts(self) -> list[pa.Table]:
        """The tables of all whole parts, in the order of their names."""
        tables = [self._open(path) for path in sorted(self.folder.glob("*.arrow"))]
        return [table for table in tables if table is not None]

    def _open(self, path: Path) -> pa.Table | None:
        try:
            stat = path.stat()
            key = (path.name, stat.st_size, stat.st_mtime_ns)
            if key not in self._verified:
                if file_sha256(path) != path.stem:
                    raise ArtifactError(
                        "A part of the embedding store is damaged",
                        expected=f"SHA-256 {path.stem}",
                        found="another",
                        todo="nothing: its texts are embedded again",
                    )
                self._verified[key] = map_table(path, vectors_schema(self.dimensions))
            return self._verified[key]
        except ArtifactError as error:
            log.warning("set aside %s (%s); its texts are embedded again", path, error.what)
            aside = path.with_suffix(f".damaged-{uuid.uuid4().hex[:8]}")
        except OSError as error:  # unreadable: nothing to set aside, and another process may have done it
            log.warning("left out %s: %s", path, error)
            return None
        try:
            path.rename(aside)
        except OSError as error:
            log.warning("could not set aside %s: %s", path, error)
        return None


def _gather(positions: NDArray[np.int64], parts: Sequence[pa.Table], dimensions: int) -> NDArray[np.float32]:
    """The rows at `positions` of all parts put one after the other."""
    result = np.empty((len(positions), dimensions), dtype=np.float32)
    order = np.argsort(positions, kind="stable")
    bounds = np.cumsum([0, *(part.num_rows for part in parts)])
    cuts = np.searchsorted(positions[order], bounds)
    for part, start, first, stop in zip(parts, bounds, cuts, cuts[1:], strict=False):
        if first < stop:
            rows = order[first:stop]
            result[rows] = as_matrix(part["vector"], dimensions)[positions[rows] - start]
    return result


def _move(source: Path, target: Path) -> None:
    """Rename, or copy under a temporary name and rename where the two lie on different file systems."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
        shutil.copyfile(source, temporary)
        temporary.replace(target)
        source.unlink()
