"""The exact k best items of scores that are an inner product plus sparse corrections."""

import numpy as np
from scipy.sparse import csr_matrix

from recbole_whisperlite.errors import UserError

# The items of a group: so many that the maxima are few, and so few that most of the best
# are maxima.
_GROUP = 256


class DenseSearch:
    """The inner products of queries with all items, in memory.

    A search that has only some of them (an approximate index, a remote store) can stand in
    its place: :func:`exact_top_k` needs no more than these two methods.

    Args:
        scores (numpy.ndarray): float32 ``[n, n_items]``; minus infinity for items that
            may not be found.

    Raises:
        UserError: If a score is not a number.
    """

    def __init__(self, scores: np.ndarray):
        if np.isnan(scores.min(initial=0)):
            raise UserError(
                "The model is damaged: it gives scores that are not numbers. Export it "
                "again."
            )
        self._scores = scores

    def best(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the best ``k`` items of each row, and all that are as good as the last.

        Returns:
            tuple: Rows and items, int64 ``[n_found]`` each.
        """
        n_items = self._scores.shape[1]
        least = _no_more_than_best(self._scores, k)
        good = np.flatnonzero(self._scores >= least[:, None])  # faster than by two axes
        row, item = np.divmod(good, max(n_items, 1))
        score = self._scores[row, item]
        if k < n_items:
            begin = np.searchsorted(row, np.arange(len(least) + 1))
            for number, (first, end) in enumerate(zip(begin, begin[1:])):
                if end - first > k:
                    of_row = np.partition(score[first:end], end - first - k)
                    least[number] = of_row[end - first - k]
        found = (score >= least[row]) & (score > -np.inf)
        return row[found], item[found]

    def at(self, row: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Return single scores, float32, shape: that of ``row`` and ``item``."""
        return self._scores[row, item]


def _no_more_than_best(scores, k):
    """Return a number for each row that is not above its ``k``-th best score, float32
    ``[n]``: the ``k``-th highest of the maxima of groups, which is fast to find."""
    n, n_items = scores.shape
    n_groups = n_items // _GROUP
    if k > n_groups:
        return np.full(n, -np.inf, dtype=np.float32)
    of_groups = scores[:, : n_groups * _GROUP].reshape(n, _GROUP, n_groups).max(axis=1)
    return np.partition(of_groups, n_groups - k, axis=1)[:, n_groups - k]


def exact_top_k(
    search: DenseSearch, corrections: csr_matrix, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the items with the ``k`` highest sums of inner product and correction.

    A correction above 0 only raises an item. So the best items are among the ``k`` best by
    inner product and those with a correction; where ``m`` corrections of a row are below
    0, among the ``k + m`` best.

    Args:
        search (DenseSearch): The inner products.
        corrections (scipy.sparse.csr_matrix): float32 ``[n, n_items]``; without
            duplicates.
        k (int): How many items, at least 1.

    Returns:
        tuple: Items, int64 ``[n, k]``, and scores, float32 ``[n, k]``, the best first and
        among equals the first item; -1 and minus infinity where there are fewer.
    """
    n, n_items = corrections.shape
    sparse = corrections.tocoo()
    lowered = np.bincount(sparse.row[sparse.data < 0], minlength=n).max(initial=0)
    k_inner = k + int(lowered)
    row, item = search.best(k_inner)
    score = search.at(row, item)
    # No item that is corrected to less than this is among the k best.
    least = np.full(n, np.inf, dtype=np.float32)
    np.minimum.at(least, row, score)
    least[np.bincount(row, minlength=n) < k_inner] = -np.inf
    corrected = search.at(sparse.row, sparse.col) + sparse.data
    kept = (corrected >= least[sparse.row]) & (corrected > -np.inf)
    is_plain = ~_contains(
        sparse.row.astype(np.int64) * n_items + sparse.col, row * n_items + item
    )
    row = np.concatenate([row[is_plain], sparse.row[kept]])
    item = np.concatenate([item[is_plain], sparse.col[kept]])
    score = np.concatenate([score[is_plain], corrected[kept]])
    order = np.lexsort((item, -score, row))
    row, item, score = row[order], item[order], score[order]
    rank = np.arange(len(row)) - np.searchsorted(row, np.arange(n))[row]
    kept = rank < k
    items = np.full((n, k), -1, dtype=np.int64)
    scores = np.full((n, k), -np.inf, dtype=np.float32)
    items[row[kept], rank[kept]] = item[kept]
    scores[row[kept], rank[kept]] = score[kept]
    return items, scores


def _contains(keys, wanted):
    """Return which of the wanted keys are among the keys, bool ``[len(wanted)]``."""
    if not len(keys):
        return np.zeros(len(wanted), dtype=bool)
    keys = np.sort(keys)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return keys[place] == wanted


def dense_top_k(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the items with the ``k`` highest scores, as :func:`exact_top_k` does.

    Args:
        scores (numpy.ndarray): As for :class:`DenseSearch`.
        k (int): How many.
    """
    nothing = csr_matrix(scores.shape, dtype=np.float32)
    return exact_top_k(DenseSearch(scores), nothing, k)
