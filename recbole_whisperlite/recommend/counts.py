"""Sparse counts: of items by request text, and of items in histories."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse import csr_matrix


@dataclasses.dataclass(frozen=True)
class RequestCounts:
    """How often each item was chosen for each request text.

    Attributes:
        texts (list of str): The texts of the rows.
        matrix (scipy.sparse.csr_matrix): float32 ``[n_texts, n_items]``.
    """

    texts: list[str]
    matrix: csr_matrix

    def __post_init__(self):
        row_of = {text: row for row, text in enumerate(self.texts)}
        object.__setattr__(self, "_row_of", row_of)

    def of(self, texts: list[str]) -> csr_matrix:
        """Return the counts of texts, which may be unknown: csr ``[len(texts), n_items]``."""
        rows = [[self._row_of[text]] if text in self._row_of else [] for text in texts]
        rows = [np.array(row, dtype=np.int64) for row in rows]
        return (incidence(rows, len(self.texts)) @ self.matrix).tocsr()

    def times(self, request: str, item: int) -> int:
        """Return how often an item was chosen for a text."""
        row = self._row_of.get(request)
        return 0 if row is None else int(self.matrix[row, item])

    def with_choice(self, request: str, item: int) -> RequestCounts:
        """Return the counts with one more choice of ``item`` for ``request``."""
        texts, row = self.texts, self._row_of.get(request, len(self.texts))
        if request not in self._row_of:
            texts = [*texts, request]
        shape = len(texts), self.matrix.shape[1]
        one = csr_matrix((np.ones(1, np.float32), ([row], [item])), shape=shape)
        return RequestCounts(texts, (resized(self.matrix, shape) + one).tocsr())

    def with_items(self, n: int) -> RequestCounts:
        """Return the counts with ``n`` items added at the end, which have none."""
        shape = len(self.texts), self.matrix.shape[1] + n
        return RequestCounts(self.texts, resized(self.matrix, shape))

    def keep_items(self, rows: np.ndarray) -> RequestCounts:
        """Return the counts of some items only, in the order given."""
        return RequestCounts(self.texts, self.matrix[:, rows].tocsr())


def incidence(lists: list[np.ndarray], n_columns: int) -> csr_matrix:
    """Return how often each list has each column, float32 ``[len(lists), n_columns]``."""
    begin = np.cumsum([0, *map(len, lists)])
    columns = np.concatenate([np.zeros(0, dtype=np.int64), *lists])
    ones = np.ones(len(columns), dtype=np.float32)
    return csr_matrix((ones, columns, begin), shape=(len(lists), n_columns))


def resized(matrix: csr_matrix, shape: tuple[int, int]) -> csr_matrix:
    """Return a copy of a sparse matrix with empty rows and columns added at the end."""
    matrix = matrix.copy()
    matrix.resize(shape)
    return matrix


def take(matrix: csr_matrix, items: np.ndarray) -> np.ndarray:
    """Return the values of a sparse matrix at the items of each row.

    Args:
        matrix (scipy.sparse.csr_matrix): ``[n, n_items]``.
        items (numpy.ndarray): int64 ``[n, k]``; -1 gives any value.

    Returns:
        numpy.ndarray: float32 ``[n, k]``.
    """
    row = np.repeat(np.arange(len(items)), items.shape[1])
    values = np.asarray(matrix[row, np.maximum(items, 0).ravel()])
    return values.reshape(items.shape).astype(np.float32)
