r"""
recbole_whisperlite.model.similar_requests
##########################################
What was chosen for requests in other words
"""

import numpy as np
import torch
import torch.nn as nn
from scipy.sparse import csr_matrix, vstack

from recbole_whisperlite.model.terms import Candidates, SparseRows, count_pairs
from recbole_whisperlite.model.whitening import HalfWhitening

#: The factor of the sum before its logarithm.
SCALE = 30.0
#: Requests that are as similar as the last one that counts, but for rounding, count too.
ROUNDING = 1e-6
# The most cosines in memory at once: 64 MB as float32.
_MOST_COSINES = 2**24


class SimilarRequests(nn.Module):
    r"""SimilarRequests scores items by how often they were chosen for similar requests.

    .. math::
        \log\Big(1 + 30 \sum_{r' \in N(r)} \cos(r, r')^2\, n(r', i)\Big)

    with the training counts :math:`n` and the requests :math:`N(r)` of training whose frozen
    vectors, half whitened, are nearest to that of the request: k nearest neighbors among
    requests, as ItemKNN has them among items. People seldom say the same in the same
    words, so that most requests have no count of their own. The request itself is no
    neighbor of its own: so a target never counts for itself in training.

    Args:
        - vectors(torch.FloatTensor): Frozen vectors of the requests, shape: [n_requests,
          dim]; row 0 is that of no request
        - request(numpy.ndarray): Of each training interaction, 0 without a request, shape:
          [n_interactions]
        - item(numpy.ndarray): Of each training interaction, shape: [n_interactions]
        - n_items(int): The number of items
        - max_neighbors(int): How many similar requests count
    """

    def __init__(self, vectors, request, item, n_items, max_neighbors):
        super(SimilarRequests, self).__init__()
        asked = request > 0
        request, item = request[asked], item[asked]
        trained = np.unique(request)
        self.whitening = HalfWhitening(vectors, trained)
        whitened = self.whitening(vectors)
        whitened[0] = 0
        counts = count_pairs(request, item, (len(vectors), n_items))[trained]
        self.rows = SparseRows(_sums(whitened, trained, counts, max_neighbors))
        # for requests that come after the training
        self.counts = SparseRows(counts)
        trained = torch.from_numpy(trained)
        self.register_buffer("trained", trained, persistent=False)
        self.register_buffer("vectors", whitened[trained], persistent=False)

    def forward(
        self, request: torch.LongTensor, candidates: Candidates
    ) -> torch.FloatTensor:
        r"""Score candidates.

        Args:
            request (torch.LongTensor): shape: [n]
            candidates (Candidates): The items

        Returns:
            torch.FloatTensor: shape: [n, n_candidates]
        """
        return self.rows(request, candidates).mul_(SCALE).log1p_()


def _sums(vectors, trained, counts, max_neighbors):
    r"""The sums before the logarithm, shape: [n_requests, n_items]."""
    k = min(max_neighbors, len(trained))
    if not k:
        return csr_matrix((len(vectors), counts.shape[1]))
    of_trained = vectors[trained].T
    column = torch.full((len(vectors),), -1)
    column[trained] = torch.arange(len(trained))
    step = max(_MOST_COSINES // len(trained), 1)
    blocks = []
    for begin in range(0, len(vectors), step):
        cosine = vectors[begin : begin + step] @ of_trained
        own = column[begin : begin + step]
        row = torch.where(own >= 0)[0]
        cosine[row, own[row]] = 0
        least = cosine.topk(k, dim=1)[0][:, -1:] - ROUNDING
        cosine.masked_fill_((cosine < least) | (cosine <= 0), 0)
        blocks.append(csr_matrix(cosine.numpy() ** 2) @ counts)
    return vstack(blocks)
