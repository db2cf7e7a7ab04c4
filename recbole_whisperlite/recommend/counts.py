"""Sparse counts: of items by request text and in histories, and of words in texts."""

from __future__ import annotations

import copy

import numpy as np
from scipy.sparse import csr_matrix

from recbole_whisperlite.words import words_of


class RequestCounts:
    """How often each item was chosen for each request text. Immutable.

    Args:
        texts (list of str): The texts of the rows.
        matrix (scipy.sparse.csr_matrix): float32 ``[n_texts, n_items]``, without
            duplicates.
    """

    def __init__(self, texts: list[str], matrix: csr_matrix):
        self._texts, self._matrix = texts, matrix
        self._row_of = {text: row for row, text in enumerate(texts)}
        # Rows that replace those of the matrix: a choice must not copy all of it.
        self._changed = {}

    @property
    def n_items(self) -> int:
        return self._matrix.shape[1]

    @property
    def texts(self) -> list[str]:
        """list of str: All texts that something was chosen for."""
        new = (text for text in self._changed if text not in self._row_of)
        return [*self._texts, *new]

    @property
    def matrix(self) -> csr_matrix:
        """scipy.sparse.csr_matrix: Of all :attr:`texts`, float32 ``[n_texts, n_items]``."""
        return self.of(self.texts) if self._changed else self._matrix

    def _row(self, text):
        """Return the items chosen for a text, int ``[n]``, and how often, float32."""
        if text in self._changed:
            return self._changed[text]
        row = self._row_of.get(text)
        begin, end = (0, 0) if row is None else self._matrix.indptr[row : row + 2]
        return self._matrix.indices[begin:end], self._matrix.data[begin:end]

    def row_of(self, text: str) -> int | None:
        """Return the row of a text in :attr:`matrix`, None if nothing was chosen for it."""
        return self._row_of.get(text)

    def of(self, texts: list[str]) -> csr_matrix:
        """Return the counts of texts, which may be unknown: csr ``[len(texts), n_items]``."""
        rows = [self._row(text) for text in texts]
        begin = np.cumsum([0, *(len(items) for items, _ in rows)])
        items = np.concatenate([np.zeros(0, np.int32), *(items for items, _ in rows)])
        times = np.concatenate([np.zeros(0, np.float32), *(times for _, times in rows)])
        return csr_matrix((times, items, begin), shape=(len(texts), self.n_items))

    def times(self, request: str, item: int) -> int:
        """Return how often an item was chosen for a text."""
        items, times = self._row(request)
        return int(times[items == item].sum())

    def with_choice(self, request: str, item: int) -> RequestCounts:
        """Return the counts with one more choice of ``item`` for ``request``."""
        items, times = self._row(request)
        if item in items:
            times = times + (items == item).astype(np.float32)
        else:
            items, times = np.append(items, item), np.append(times, np.float32(1))
        other = copy.copy(self)
        other._changed = {**self._changed, request: (items.astype(np.int32), times)}
        return other

    def with_items(self, n: int) -> RequestCounts:
        """Return the counts with ``n`` items added at the end, which have none."""
        other = copy.copy(self)
        shape = self._matrix.shape[0], self.n_items + n
        other._matrix = resized(self._matrix, shape)
        return other

    def keep_items(self, rows: np.ndarray) -> RequestCounts:
        """Return the counts of some items only, in the order given."""
        return RequestCounts(self.texts, self.matrix[:, rows].tocsr())


def incidence(lists: list[np.ndarray], n_columns: int) -> csr_matrix:
    """Return how often each list has each column, float32 ``[len(lists), n_columns]``."""
    begin = np.cumsum([0, *map(len, lists)])
    columns = np.concatenate([np.zeros(0, dtype=np.int64), *lists])
    ones = np.ones(len(columns), dtype=np.float32)
    return csr_matrix((ones, columns, begin), shape=(len(lists), n_columns))


def rows_of(matrix: csr_matrix) -> np.ndarray:
    """Return the row of each entry of a sparse matrix, int64 ``[n_entries]``."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def total(matrices: list[csr_matrix]) -> csr_matrix:
    """Return the sum of sparse matrices of one shape, in one step: each addition would cost
    more than all of their entries."""
    entries = (
        np.concatenate([matrix.data for matrix in matrices]),
        (
            np.concatenate([rows_of(matrix) for matrix in matrices]),
            np.concatenate([matrix.indices for matrix in matrices]),
        ),
    )
    return csr_matrix(entries, shape=matrices[0].shape, dtype=matrices[0].dtype)


def resized(matrix: csr_matrix, shape: tuple[int, int]) -> csr_matrix:
    """Return a copy of a sparse matrix with empty rows and columns added at the end."""
    matrix = matrix.copy()
    matrix.resize(shape)
    return matrix


def take(matrix: csr_matrix | None, items: np.ndarray) -> np.ndarray:
    """Return the values of a sparse matrix at the items of each row.

    Args:
        matrix (scipy.sparse.csr_matrix or None): ``[n, n_items]``; None for zeros.
        items (numpy.ndarray): int64 ``[n, k]``; -1 gives any value.

    Returns:
        numpy.ndarray: float32 ``[n, k]``.
    """
    if matrix is None:
        return np.zeros(items.shape, dtype=np.float32)
    row = np.repeat(np.arange(len(items)), items.shape[1])
    values = np.asarray(matrix[row, np.maximum(items, 0).ravel()])
    return values.reshape(items.shape).astype(np.float32)


def bags_of_words(texts: list[str], column_of: dict[str, int]) -> csr_matrix:
    """Return which known words each text has, 1 or none, float32 ``[n, n_words]``."""
    known = ({column_of[w] for w in words_of(text) if w in column_of} for text in texts)
    columns = [np.array(sorted(each), dtype=np.int64) for each in known]
    return incidence(columns, len(column_of))
