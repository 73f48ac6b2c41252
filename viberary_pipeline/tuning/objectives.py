"""What encoders are trained for: to find the document of a query, and to agree with a teacher."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from viberary_pipeline.tuning.trainable import Tokens, TrainableEncoder

_NEVER = -1e4


@dataclass(frozen=True, slots=True)
class Example:
    """A query and the row of the document that answers it.

    Attributes:
        query: What is typed.
        document: A row of the documents.
        labelled: Whether a reader said that this document is meant. Only then does it train against the others of
            its batch; else only the teacher says which of them fit.
    """

    query: str
    document: int
    labelled: bool = True


@dataclass(frozen=True)
class Teacher:
    """Another encoder's vectors of the same texts, norm 1.

    Attributes:
        queries: float32 (examples, dimensions).
        documents: float32 (documents, dimensions).
        weight: Of its loss, beside that of the labels.
        neighbours: Documents that stand with each query's own in a batch: one of this many nearest by the teacher.
    """

    queries: NDArray[np.float32]
    documents: NDArray[np.float32]
    weight: float = 1.0
    neighbours: int = 20


class FindDocuments:
    """Queries to their documents, among those of the batch, and documents to their queries (InfoNCE both ways); with a
    teacher also its order of the batch's documents for each query (Kullback-Leibler divergence).

    Args:
        encoder: What is trained; it cuts the texts.
        documents: Texts, by row.
        examples: Queries with the rows of their documents.
        sharpness: What cosine similarities are multiplied by before the softmax.
        teacher: Whose order is learned too.
    """

    apart = False

    def __init__(
        self,
        encoder: TrainableEncoder,
        documents: Sequence[str],
        examples: Sequence[Example],
        *,
        sharpness: float = 20.0,
        teacher: Teacher | None = None,
    ) -> None:
        self._examples, self._sharpness, self._teacher = examples, sharpness, teacher
        self._queries = encoder.tokens([example.query for example in examples])
        self._documents = encoder.tokens(documents)
        self._device = encoder.device
        self._near: NDArray[np.int64] | None = None
        if teacher is not None:
            self._near = nearest(teacher.queries, teacher.documents, teacher.neighbours)

    def __len__(self) -> int:
        return len(self._examples)

    def texts(self, rows: Sequence[int], rng: random.Random) -> tuple[list[Tokens], Callable[[Tensor], Tensor]]:
        """The batch's queries, then its documents, each once; and the loss."""
        wanted = [self._examples[row].document for row in rows]
        near = [int(rng.choice(self._near[row])) for row in rows] if self._near is not None else []
        documents = list(dict.fromkeys([*wanted, *near]))  # those that are wanted come first
        column = {document: number for number, document in enumerate(documents)}
        targets = torch.tensor([column[document] for document in wanted], device=self._device)
        labelled = [number for number, row in enumerate(rows) if self._examples[row].labelled]

        def loss(vectors: Tensor) -> Tensor:
            queries, found = vectors[: len(rows)], vectors[len(rows) :]
            similarity = self._sharpness * queries @ found.T
            total = similarity.sum() * 0.0
            if labelled:
                total = total + _contrast(similarity[labelled][:, : len(set(wanted))], targets[labelled])
            if self._teacher is not None:
                mine = functional.log_softmax(similarity, dim=1)
                theirs = self._sharpness * self._of_teacher(rows, documents)
                agreement = functional.kl_div(mine, functional.softmax(theirs, dim=1), reduction="batchmean")
                total = total + self._teacher.weight * agreement
            return total

        return [self._queries[row] for row in rows] + [self._documents[row] for row in documents], loss

    def _of_teacher(self, rows: Sequence[int], documents: Sequence[int]) -> Tensor:
        """The teacher's cosine similarities (rows, documents)."""
        assert self._teacher is not None
        queries, found = self._teacher.queries[list(rows)], self._teacher.documents[documents]
        return torch.from_numpy(queries @ found.T).to(self._device)


class ImitateQueries:
    """Vectors of queries as another encoder gives them, and its order of the documents.

    Args:
        encoder: What is trained; its projection has the teacher's dimensions.
        queries: Texts.
        targets: The teacher's vectors of them, float16 or float32 (queries, dimensions), norm 1.
        documents: The teacher's vectors of documents, float32 (documents, dimensions), norm 1.
        sharpness: What cosine similarities are multiplied by before the softmax.
        order_weight: Of the order's loss beside 1 - cosine.
    """

    apart = True

    def __init__(
        self,
        encoder: TrainableEncoder,
        queries: Sequence[str],
        targets: NDArray[np.float16] | NDArray[np.float32],
        documents: NDArray[np.float32],
        *,
        sharpness: float = 20.0,
        order_weight: float = 0.3,
    ) -> None:
        self._queries, self._sharpness, self._order_weight = encoder.tokens(queries), sharpness, order_weight
        self._targets = torch.from_numpy(targets).to(encoder.device)
        self._documents = torch.from_numpy(documents).to(encoder.device)

    def __len__(self) -> int:
        return len(self._queries)

    def texts(self, rows: Sequence[int], _: random.Random) -> tuple[list[Tokens], Callable[[Tensor], Tensor]]:
        """The batch's queries, and the loss."""
        targets = self._targets[list(rows)].float()

        def loss(vectors: Tensor) -> Tensor:
            mine = functional.log_softmax(self._sharpness * vectors @ self._documents.T, dim=1)
            theirs = functional.softmax(self._sharpness * targets @ self._documents.T, dim=1)
            order = functional.kl_div(mine, theirs, reduction="batchmean")
            return (1 - (vectors * targets).sum(1)).mean() + self._order_weight * order

        return [self._queries[row] for row in rows], loss


def first_projection(
    vectors: NDArray[np.float32], targets: NDArray[np.float32], *, ridge: float = 1e-3
) -> NDArray[np.float32]:
    """The linear layer (dimensions of the targets, dimensions of the vectors) that comes nearest to the targets, by
    ridge regression: where a student's projection starts."""
    x, y = vectors.astype(np.float64), targets.astype(np.float64)
    gram = x.T @ x + ridge * len(x) / x.shape[1] * np.eye(x.shape[1])
    return np.linalg.solve(gram, x.T @ y).T.astype(np.float32)


def nearest(queries: NDArray[np.float32], documents: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Rows of the k documents nearest to each query, in no order: (queries, min(k, documents))."""
    k = min(k, len(documents))
    parts = [
        np.argpartition(-(queries[start : start + 1024] @ documents.T), k - 1, axis=1)[:, :k]
        for start in range(0, len(queries), 1024)
    ]
    return np.concatenate(parts) if parts else np.empty((0, k), np.int64)


def _contrast(similarity: Tensor, targets: Tensor) -> Tensor:
    """InfoNCE of queries to documents and back. Other queries of the same document are no negatives of it."""
    forward = functional.cross_entropy(similarity, targets)
    same = targets[:, None] == targets[None, :]
    others = same & ~torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    back = similarity[:, targets].T.masked_fill(others, _NEVER)
    return (forward + functional.cross_entropy(back, torch.arange(len(targets), device=targets.device))) / 2
