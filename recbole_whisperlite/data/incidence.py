"""Pairs of ids as a sparse bool matrix."""

import numpy as np
from scipy.sparse import csr_matrix


def incidence(
    rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]
) -> csr_matrix:
    """Return a bool csr_matrix that is True at ``(rows, columns)``, which may repeat."""
    matrix = csr_matrix((np.ones(len(rows), dtype=bool), (rows, columns)), shape=shape)
    matrix.sum_duplicates()
    matrix.sort_indices()
    return matrix
