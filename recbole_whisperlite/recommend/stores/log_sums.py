"""The normalizer of the memory, estimated: the only sum over all items in a score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recbole_whisperlite.recommend.plus_scorer import PlusScorer
from recbole_whisperlite.recommend.plus_terms import log_sum

#: How many items the rest of the catalogue is estimated from.
SAMPLE = 2**14


class SampledSum:
    """The log of the sum of ``popularity * exp(logits)``, estimated.

    The items that an index finds for the text of a request are summed up, and what the
    others add is estimated from a sample that was drawn by popularity. This is unbiased
    whatever the index finds, and precise as far as it finds the items that stand out
    (Mussmann & Ermon 2016, "Learning and inference via maximum inner product search").

    An error of it moves the score of an item by no more than the weight of the memory times
    the error: all scores of a request by about the same, those of items that were counted
    for it by less.

    Args:
        scorer (PlusScorer): The model, with a memory.
        size (int): How many items are drawn; a catalogue that is no larger is summed up.
    """

    def __init__(self, scorer: PlusScorer, size: int = SAMPLE):
        self.items, log_popularity = None, scorer.log_popularity
        if len(log_popularity) > size and scorer.known.any():
            share = np.exp(log_popularity - log_popularity.max()).cumsum(dtype="f8")
            draws = np.random.default_rng(0).random(size) * share[-1]
            # the last items may have no share at all
            drawn = np.minimum(np.searchsorted(share, draws, "right"), len(share) - 1)
            self.items = np.sort(drawn)
            self._rows = np.asarray(scorer.embeddings)[self.items]
            self._log_each = np.float32(scorer.log_total - np.log(size))

    def of(
        self,
        scorer: PlusScorer,
        logits: np.ndarray,
        find: Callable[[np.ndarray], np.ndarray],
    ) -> np.ndarray:
        """Return the logs, float32 ``[n]``.

        Args:
            scorer (PlusScorer): The model; not kept, as it may be large.
            logits (numpy.ndarray): Scaled embeddings of requests, ``[n, size]``.
            find (callable): From them to items of high inner products, int64 ``[n, m]``,
                -1 for none.
        """
        embeddings = np.asarray(scorer.embeddings)
        log_popularity = scorer.log_popularity
        if self.items is None:
            return scorer.log_normalizers(logits)
        found, rest = find(logits), logits @ self._rows.T
        sums = []
        for row, of_row in enumerate(found):
            of_row = np.unique(of_row[of_row >= 0])
            of_found = embeddings[of_row] @ logits[row] + log_popularity[of_row]
            rest[row, np.isin(self.items, of_row)] = -np.inf
            sums.append([log_sum(of_found), log_sum(rest[row]) + self._log_each])
        return log_sum(np.array(sums, dtype=np.float32))
