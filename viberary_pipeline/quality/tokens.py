"""The length of documents in the encoder's tokens, on a sample that is the same in every run."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viberary_pipeline.quality.distributions import TOKENS
from viberary_pipeline.quality.profile import distribution

if TYPE_CHECKING:
    from viberary_pipeline.duck import DuckLimits

MOST_DOCUMENTS = 20_000
_BATCH = 1_000


def token_lengths(
    parquet: Path,
    *,
    tokenizer: Path,
    max_tokens: int,
    prefix: str = "",
    scratch: Path,
    limits: "DuckLimits",
    most: int = MOST_DOCUMENTS,
) -> dict[str, Any]:
    """Count the tokens of documents, special tokens included, as the encoder does before it cuts.

    Args:
        parquet: documents.parquet.
        tokenizer: The encoder's tokenizer.json.
        max_tokens: Where the encoder cuts.
        prefix: What the encoder reads before every document.
        scratch: An existing folder, in which DuckDB may spill.
        limits: DuckDB's memory and threads.
        most: Documents in the sample: those with the lowest text hashes.

    Returns:
        `documents` (looked at), `max_tokens`, `cut` (how many are longer), and a distribution's `bins`,
        `without` and `quantiles`.
    """
    from tokenizers import Tokenizer  # type: ignore[import-untyped]

    from viberary_pipeline.duck import connect, parquet_glob, sql

    counter = Tokenizer.from_file(str(tokenizer))
    counter.no_truncation()
    counter.no_padding()
    spectrum: Counter[int] = Counter()
    with connect(limits, scratch) as connection:
        connection.read_parquet(parquet_glob(parquet)).create_view("documents")
        cursor = connection.execute(sql("quality", "profile_texts"), {"most": most})
        while rows := cursor.fetchmany(_BATCH):
            spectrum.update(len(encoding) for encoding in counter.encode_batch([prefix + text for (text,) in rows]))
    return {
        "documents": spectrum.total(),
        "max_tokens": max_tokens,
        "cut": sum(count for length, count in spectrum.items() if length > max_tokens),
        **distribution(TOKENS, spectrum),
    }
