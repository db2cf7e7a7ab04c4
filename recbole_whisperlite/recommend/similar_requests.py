"""What was chosen for similar requests, exported: see ``model/similar_requests.py``."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse import csr_matrix

from recbole_whisperlite.recommend.counts import RequestCounts
from recbole_whisperlite.recommend.embed import check_size
from recbole_whisperlite.recommend.plus_terms import half_whitened

# As in the model.
_ROUNDING = np.float32(1e-6)


@dataclasses.dataclass(frozen=True)
class SimilarRequests:
    """The requests of training: what was chosen for them, and their vectors.

    Attributes:
        counts (RequestCounts): How often each item was chosen for each request text of
            training.
        vectors (numpy.ndarray): Of these texts, of length 1, float32 ``[n_texts, dim]``.
        mean (numpy.ndarray): float32 ``[dim of the frozen vectors]``.
        projection (numpy.ndarray): float64 ``[dim of the frozen vectors, dim]``.
        n_similar (int): How many similar requests count.
        prior_count (float): The weight of the towers, in choices for requests that are
            alike.
    """

    counts: RequestCounts
    vectors: np.ndarray
    mean: np.ndarray
    projection: np.ndarray
    n_similar: int
    prior_count: float

    def of(self, texts: list[str], frozen: np.ndarray) -> csr_matrix:
        """Return how often each item was chosen for similar requests, by how similar they
        are.

        Args:
            texts (list of str): The requests; none is similar to itself.
            frozen (numpy.ndarray): Frozen vectors of their wishes, ``[n, dim]``, 0 where
                there is none.

        Returns:
            scipy.sparse.csr_matrix: float32 ``[n, n_items]``.
        """
        counts = self.counts.matrix
        k = min(self.n_similar, len(self.vectors))
        if not k:
            return csr_matrix((len(texts), counts.shape[1]), dtype=np.float32)
        check_size(frozen, len(self.mean), "the components of the requests")
        cosine = half_whitened(frozen, self.mean, self.projection) @ self.vectors.T
        for row, text in enumerate(texts):
            own = self.counts.row_of(text)
            if own is not None:
                cosine[row, own] = 0
        least = np.partition(cosine, -k, axis=1)[:, -k][:, None] - _ROUNDING
        row, similar = np.nonzero((cosine >= least) & (cosine > 0))
        weights = cosine[row, similar] ** 2, (row, similar)
        return (csr_matrix(weights, shape=cosine.shape) @ counts).tocsr()

    def with_items(self, n: int) -> SimilarRequests:
        return dataclasses.replace(self, counts=self.counts.with_items(n))

    def keep_items(self, rows: np.ndarray) -> SimilarRequests:
        return dataclasses.replace(self, counts=self.counts.keep_items(rows))
