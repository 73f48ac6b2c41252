"""Works that are worth a random pick: with a description, and well rated by enough readers of this build."""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

MOST = 2000
_BEST_SHARE = 0.2
_FEWEST = 50  # in a small library more than the best fifth, or a reader soon knows them all
_SHORTEST_DESCRIPTION = 150
_COLUMNS = ("work_id", "average_rating", "ratings_count", "review_count", "description")


def worth_a_pick(documents: Path) -> list[str]:
    """The work ids, at most `MOST`; none where no work has a description.

    The order is by weighted rating (v R + m C) / (v + m): R and v are a work's mean rating and ratings, C and m the
    build's mean of R and its upper quartile of v. So a few enthusiasts do not outweigh many readers. The best fifth is
    taken, of those with a description and no fewer reviews than the median; of more than `MOST`, every nth.
    """
    ids: list[str] = []
    parts = []
    with pq.ParquetFile(documents) as file:
        columns = [name for name in _COLUMNS if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=columns):
            table = {name: batch[name] for name in columns}
            ids += table["work_id"].to_pylist()
            described = pc.fill_null(pc.utf8_length(table["description"]), 0).to_numpy() >= _SHORTEST_DESCRIPTION
            figures = [
                pc.fill_null(table[name].cast("float64"), 0.0).to_numpy() if name in table else np.zeros(len(described))
                for name in ("average_rating", "ratings_count", "review_count")
            ]
            parts.append(np.column_stack([described, *figures]))
    if not ids:
        return []
    described, rating, ratings, reviews = np.concatenate(parts).T
    rated = ratings > 0
    mean, enough = (float(rating[rated].mean()), float(np.quantile(ratings, 0.75))) if rated.any() else (0.0, 0.0)
    weighted = (ratings * rating + enough * mean) / np.maximum(ratings + enough, 1)
    fit = np.flatnonzero((described > 0) & (reviews >= np.median(reviews)))
    best = fit[np.argsort(-weighted[fit], kind="stable")][: max(_FEWEST, int(len(ids) * _BEST_SHARE))]
    step = max(1, -(-len(best) // MOST))
    return [ids[row] for row in best[::step]]
