r"""
recbole_whisperlite.model.similar_requests
##########################################
What was chosen for requests in other words
"""

import numpy as np
import torch

from recbole_whisperlite.model.nearest import assembled, nearest
from recbole_whisperlite.model.terms import SmoothedCounts, count_pairs, largest
from recbole_whisperlite.model.whitening import HalfWhitening

#: The weight of the prior, in choices for requests that are alike.
SIMILAR_COUNT = 1.0
#: The most sums :math:`m` that are kept of all requests together.
MOST_SUMS = 2**27
# Requests whose sums are all in memory at once.
_AT_ONCE = 2**12


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
        sums = _sums(whitened, trained, counts, max_neighbors)
        super(SimilarRequests, self).__init__(sums, SIMILAR_COUNT)
        self.whitening = whitening


def _sums(vectors, trained, counts, max_neighbors):
    r"""The sums :math:`m`, shape: [n_requests, n_items]."""
    row_of = torch.full((len(vectors),), -1)
    row_of[trained] = torch.arange(len(trained))
    # of each request of many the largest sums only: a gigabyte is enough
    most = max(MOST_SUMS // len(vectors), 1)
    trained, blocks = torch.from_numpy(trained), []
    for found in nearest(vectors, trained, max_neighbors, "similar requests"):
        found = found._replace(column=row_of[found.column])
        squares = found.matrix(len(trained)).power(2)
        for begin in range(0, len(found.row), _AT_ONCE):
            rows = slice(begin, begin + _AT_ONCE)
            sums = largest(squares[rows] @ counts, most)
            blocks.append((found.row[rows].numpy(), sums))
    return assembled(blocks, (len(vectors), counts.shape[1]))
