"""The best items among candidates: those that an index found, scored by the model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recbole_whisperlite.recommend.counts import rows_of
from recbole_whisperlite.recommend.scorer import Batch, LinearScorer

#: So few allowed items are all scored: an index would find others first.
FEW = 20_000
# More than this share of a catalogue is scored faster in order than item by item.
_MANY = 0.2
# How much longer each search is, if one did not find enough.
_LONGER = 4


def top(
    scorer: LinearScorer,
    batch: Batch,
    k: int,
    allowed: np.ndarray,
    find: Callable[[np.ndarray, int], np.ndarray],
    besides: np.ndarray,
    *,
    n_candidates: int,
    most: int,
    is_filtered: bool = False,
    few: int = FEW,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best items, as :meth:`LinearScorer.top`.

    What ``find`` has not found has an inner product below that of all it has. A correction
    above 0 can still raise it, so all items with one are scored; a correction below 0
    cannot. So once the ``k``-th best score is no lower than the lowest inner product that
    was found, nothing is missing; else the search is made longer, as in the threshold
    algorithm (Fagin, Lotem & Naor 2003). If it would find more than ``most``, every item is
    scored. The answer is exact if ``find`` is; filters are met in any case.

    Args:
        scorer (LinearScorer): The model.
        batch (Batch): What is asked, ``n`` requests.
        k (int): How many.
        allowed (numpy.ndarray): bool ``[n, n_items]`` or ``[1, n_items]``.
        find (callable): From rows of the batch, int64 ``[m]``, and a number to their items
            of the highest inner products, int64 ``[m, number]``, -1 for none.
        besides (numpy.ndarray): Items that ``find`` does not know, int64.
        n_candidates (int): How many allowed items are looked for at first.
        most (int): How many ``find`` can find. If it had to find more to find
            ``n_candidates`` that are allowed, all that are allowed are scored.
        is_filtered (bool): Whether what ``find`` finds is mostly allowed.
        few (int): If so few items are allowed, all of them are scored.
    """
    n, n_items = len(batch.constant), scorer.n_items
    allowed = np.broadcast_to(allowed, (n, n_items))
    corrections = _Corrections(batch)
    n_allowed = allowed.sum(axis=1)
    items = np.full((n, k), -1, dtype=np.int64)
    scores = np.full((n, k), -np.inf, dtype=np.float32)

    def rank(rows, row, item):
        row, item = _distinct(row, item, n_items)
        kept = allowed[row, item]
        row, item = row[kept], item[kept]
        score = scorer.inner_at(batch, row, item) + corrections.at(row, item)
        items[rows], scores[rows] = _best(rows, row, item, score, k)

    wanted = np.full(n, max(n_candidates, k))
    if not is_filtered:
        wanted = np.ceil(wanted * n_items / np.maximum(n_allowed, 1)).astype(np.int64)
    is_few = (n_allowed <= few) | (wanted > most)
    rows = np.flatnonzero(~is_few)
    number = int(wanted[rows].max(initial=1))
    while len(rows):
        found = find(rows, number)
        row, item = np.repeat(rows, found.shape[1]), found.ravel()
        row, item = row[item >= 0], item[item >= 0]
        raised_row, raised_item = corrections.raised(rows)
        always = np.tile(besides, len(rows))
        of_always = np.repeat(rows, len(besides))
        rank(
            rows,
            np.concatenate([row, raised_row, of_always]),
            np.concatenate([item, raised_item, always]),
        )
        lowest = np.full(n, np.inf, dtype=np.float32)
        np.minimum.at(lowest, row, scorer.inner_at(batch, row, item))
        rows = rows[scores[rows, -1] < lowest[rows]]
        if number >= min(most, n_items):
            break
        number = min(number * _LONGER, most)
    rows = np.union1d(rows, np.flatnonzero(is_few))
    in_order = n_allowed[rows] > _MANY * n_items
    if len(one_by_one := rows[~in_order]):
        row, item = np.nonzero(allowed[one_by_one])
        rank(one_by_one, one_by_one[row], item)
    if len(rows := rows[in_order]):
        every_item, every_score = scorer.top(batch, k, allowed)
        items[rows], scores[rows] = every_item[rows], every_score[rows]
    return items, scores


class _Corrections:
    """The corrections of a batch, by row and item."""

    def __init__(self, batch):
        matrix = batch.corrections
        self.row, self.item = rows_of(matrix), matrix.indices.astype(np.int64)
        self.value, self._n_items = matrix.data, matrix.shape[1]
        key = self.row * self._n_items + self.item
        self._order = np.argsort(key, kind="stable")
        self._key = key[self._order]

    def raised(self, rows):
        """Return the rows and items with a correction above 0."""
        chosen = (self.value > 0) & np.isin(self.row, rows)
        return self.row[chosen], self.item[chosen]

    def at(self, row, item):
        if not len(self._key):
            return np.zeros(len(row), dtype=np.float32)
        key = row * self._n_items + item
        place = np.minimum(np.searchsorted(self._key, key), len(self._key) - 1)
        value = self.value[self._order[place]]
        return np.where(self._key[place] == key, value, np.float32(0))


def _distinct(row, item, n_items):
    return np.divmod(np.unique(row * n_items + item), n_items)


def _best(rows, row, item, score, k):
    """Return the ``k`` best items of each of ``rows``, which rise, and their scores."""
    order = np.lexsort((item, -score, row))
    row, item, score = row[order], item[order], score[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    kept = rank < k
    place = np.searchsorted(rows, row[kept]), rank[kept]
    items = np.full((len(rows), k), -1, dtype=np.int64)
    scores = np.full((len(rows), k), -np.inf, dtype=np.float32)
    items[place], scores[place] = item[kept], score[kept]
    return items, scores
