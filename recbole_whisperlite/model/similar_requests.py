r"""
recbole_whisperlite.model.similar_requests
##########################################
What was chosen for requests in other words
"""

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack

from recbole_whisperlite.model.terms import (
    MOST_COSINES,
    SmoothedCounts,
    count_pairs,
)
from recbole_whisperlite.model.whitening import HalfWhitening

#: The weight of the prior, in choices for requests that are alike.
SIMILAR_COUNT = 1.0
#: Requests that are as similar as the last one that counts, but for rounding, count too.
ROUNDING = 1e-6


class SimilarRequests(SmoothedCounts):
    r"""SimilarRequests scores items by how often they were chosen for similar requests.

    .. math::
        \log \frac{m(r, i) + a\, P(i|r)}{\sum_j m(r, j) + a}, \quad
        m(r, i) = \sum_{r' \in N(r)} \cos(r, r')^2\, n(r', i)

    with the training counts :math:`n` and the requests :math:`N(r)` of training whose frozen
    vectors, half whitened, are nearest to that of the request: k nearest neighbors among
    requests, as ItemKNN has them among items. People seldom say the same in the same
    words, so that most requests have no count of their own. The prior :math:`P` is that of
    :class:`RequestMemory`, and what is new has the prior alone, as there. The request
    itself is no neighbor of its own: so a target never counts for itself in training.

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
        asked = request > 0
        request, item = request[asked], item[asked]
        trained = np.unique(request)
        whitening = HalfWhitening(vectors, trained)
        whitened = whitening(vectors)
        whitened[0] = 0
        counts = count_pairs(request, item, (len(vectors), n_items))[trained]
        sums = csr_matrix(_sums(whitened, trained, counts, max_neighbors))
        super(SimilarRequests, self).__init__(sums, SIMILAR_COUNT)
        self.whitening = whitening


def _sums(vectors, trained, counts, max_neighbors):
    r"""The sums :math:`m`, shape: [n_requests, n_items]."""
    k = min(max_neighbors, len(trained))
    if not k:
        return csr_matrix((len(vectors), counts.shape[1]))
    of_trained = vectors[trained].T
    column = torch.full((len(vectors),), -1)
    column[trained] = torch.arange(len(trained))
    step = max(MOST_COSINES // len(trained), 1)
    blocks = []
    for begin in range(0, len(vectors), step):
        cosine = vectors[begin : begin + step] @ of_trained
        own = column[begin : begin + step]
        row = torch.where(own >= 0)[0]
        cosine[row, own[row]] = 0
        row, similar, value = _largest(cosine, k)
        entries = value.numpy() ** 2, (row.numpy(), similar.numpy())
        blocks.append(csr_matrix(entries, shape=cosine.shape) @ counts)
    return vstack(blocks)


def _largest(cosine, k):
    r"""Row, column and value of the ``k`` largest cosines above 0 of each row, and of all that
    are as large as the last of them, shape: [n_kept] each."""
    # more than k, since most that tie for the last place are few
    value, column = cosine.topk(min(2 * k, cosine.shape[1]), dim=1)
    least = value[:, k - 1 : k] - ROUNDING
    kept = (value >= least) & (value > 0)
    if value.shape[1] < cosine.shape[1] and kept[:, -1].any():
        kept = (cosine >= least) & (cosine > 0)
        return *torch.where(kept), cosine[kept]
    return torch.where(kept)[0], column[kept], value[kept]
