r"""
recbole_whisperlite.model.terms
##################################
What training choices say beside texts: three terms that WhisperLite adds to its score.

Each is a number for every (row, candidate), shape: [n_rows, n_candidates]. In training a
row must not see the choice that it is trained on: its own count is taken out everywhere.
"""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from scipy.sparse import csr_matrix, diags

# Choices that stand behind the towers, where a request text has its own: with so many of
# its own, a text's memory is believed as much as the towers are.
_PRIOR_CHOICES = 20.0
# In popularity, what an item is given that was never chosen.
_UNSEEN = 0.1
# Where the logarithm of the neighbor score begins to flatten: cosines of co-choices are
# mostly below 1 / 30.
_NEIGHBOR_SCALE = 30.0
# Principal components of the items' vectors.
_COMPONENTS = 256


class Candidates:
    r"""Candidates are the items that are scored, and where each of them stands.

    Args:
        - item(torch.LongTensor): Distinct items, shape: [n_candidates]
        - n_items(int): The number of items
    """

    def __init__(self, item, n_items):
        self.item = item
        self.place = item.new_full((n_items,), -1)
        self.place[item] = torch.arange(len(item), device=item.device)

    def __len__(self):
        return len(self.item)


class SparseRows(nn.Module):
    r"""SparseRows are the rows of a sparse matrix, to be added into rows of candidates.

    Args:
        - matrix(scipy.sparse.csr_matrix): shape: [n, n_items]
    """

    def __init__(self, matrix):
        super(SparseRows, self).__init__()
        matrix = csr_matrix(matrix)
        matrix.sort_indices()
        begin = torch.from_numpy(matrix.indptr.astype(np.int64))
        item = torch.from_numpy(matrix.indices.astype(np.int64))
        value = torch.from_numpy(matrix.data.astype(np.float32))
        self.register_buffer("begin", begin, persistent=False)
        self.register_buffer("item", item, persistent=False)
        self.register_buffer("value", value, persistent=False)
        self.n_items = matrix.shape[1]
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        key = torch.from_numpy(row * self.n_items + matrix.indices)
        self.register_buffer("key", key, persistent=False)

    def at(self, row, item):
        r"""Look up single values, shape: that of ``row`` and ``item``; 0 for none."""
        key = row * self.n_items + item
        if len(self.key) == 0:
            return torch.zeros_like(key, dtype=self.value.dtype)
        place = torch.searchsorted(self.key, key).clamp_(max=len(self.key) - 1)
        return self.value[place] * (self.key[place] == key)

    def forward(self, row, candidates):
        r"""Add up rows of the matrix.

        Args:
            row (torch.LongTensor): Rows that are added up, shape: [n] or [n, length]
            candidates (Candidates): The columns

        Returns:
            torch.FloatTensor: shape: [n, n_candidates]
        """
        shape = len(row), len(candidates)
        into = torch.arange(len(row), device=row.device)
        into = into.view(-1, *[1] * (row.dim() - 1)).expand_as(row).flatten()
        row = row.flatten()
        begin = self.begin[row]
        length = self.begin[row + 1] - begin
        into = torch.repeat_interleave(into, length)
        first = torch.cumsum(length, dim=0) - length
        entry = torch.arange(len(into), device=row.device)
        entry = entry + torch.repeat_interleave(begin - first, length)
        place, value = candidates.place[self.item[entry]], self.value[entry]
        if len(candidates) < self.n_items:
            known = place >= 0
            into, place, value = into[known], place[known], value[known]
        result = self.value.new_zeros(shape)
        if result.is_cuda:  # where scatter_add_ adds in whatever order threads come by
            return result.index_put_((into, place), value, accumulate=True)
        place = into * len(candidates) + place
        return result.view(-1).scatter_add_(0, place, value).view(shape)


def count_pairs(row, item, shape):
    r"""Count pairs, given as two numpy.ndarrays, shape: [n]

    Returns:
        scipy.sparse.csr_matrix: float32, of the given shape
    """
    ones = np.ones(len(row), dtype=np.float32)
    return csr_matrix((ones, (row, item)), shape=shape)


class RequestMemory(nn.Module):
    r"""RequestMemory is how often an item was chosen for this very request text.

    .. math::
        \log \frac{n(r, i) + a\, P(i|r)}{n(r) + a}, \quad
        P(i|r) = \frac{p(i)\, e^{t(r, i)}}{\sum_j p(j)\, e^{t(r, j)}}

    with the counts :math:`n` of training, popularity :math:`p`, the logits :math:`t` of the
    towers and a constant :math:`a`: Dirichlet smoothing (Zhai & Lafferty 2004) by what the
    towers expect. A text that was never asked is ranked by the towers; one that was asked
    often, by what was chosen, whatever the towers may have learned by heart.

    Args:
        - request(numpy.ndarray): Of each training choice, shape: [n_choices]
        - item(numpy.ndarray): Of each training choice, shape: [n_choices]
        - n_requests(int): The number of request texts
        - n_items(int): The number of items
    """

    def __init__(self, request, item, n_requests, n_items):
        super(RequestMemory, self).__init__()
        self.count = SparseRows(count_pairs(request, item, (n_requests, n_items)))
        total = torch.from_numpy(np.bincount(request, minlength=n_requests)).float()
        popularity = torch.from_numpy(np.bincount(item, minlength=n_items)).float()
        popularity += _UNSEEN
        self.register_buffer("total", total, persistent=False)
        self.register_buffer("popularity", popularity, persistent=False)
        self.all_choices = float(popularity.sum())

    def log_normalizer(self, logits, drawn=None):
        r"""The logarithm of what divides :math:`P(i|r)`.

        Args:
            logits (torch.FloatTensor): Of the towers, shape: [n, n_items]; with ``drawn``,
                of some columns
            drawn (torch.LongTensor): In training, how many choices of the batch each column
                has, shape: [n_columns]. They are drawn by popularity, so that their mean
                estimates the sum

        Returns:
            torch.FloatTensor: shape: [n, 1]
        """
        weight = self.popularity if drawn is None else drawn.to(logits.dtype)
        log_share = (weight / weight.sum()).log()
        return torch.logsumexp(logits + log_share, dim=1, keepdim=True)

    def forward(self, request, candidates, logits, log_normalizer, own=None):
        r"""Score candidates.

        Args:
            request (torch.LongTensor): shape: [n]
            candidates (Candidates): The items
            logits (torch.FloatTensor): Of the towers, shape: [n, n_candidates]
            log_normalizer (torch.FloatTensor): shape: [n, 1]
            own (tuple): Rows and their places among the candidates that are the choice
                which is trained on, and is not to be seen

        Returns:
            torch.FloatTensor: shape: [n, n_candidates]
        """
        count, total = self.count(request, candidates), self.total[request]
        popularity = self.popularity[candidates.item].expand(len(request), -1)
        if own is not None:
            popularity = popularity.clone()
            popularity[own] -= 1
            count[own] -= 1
            total[own[0]] -= 1
        prior = (_PRIOR_CHOICES / self.all_choices * popularity).log()
        expected = logits + (prior - log_normalizer)
        total = (total + _PRIOR_CHOICES).log().unsqueeze(1)
        # the logarithm of 0 is slow, and of the least number small enough
        log_count = count.clamp_(min=torch.finfo(count.dtype).tiny).log_()
        return torch.logaddexp(log_count, expected).sub_(total)


class Neighbors(nn.Module):
    r"""Neighbors is how often items of the history were chosen by the same users.

    .. math::
        \log\Big(1 + 30 \sum_{j \in H} \frac{n(i, j)}{\sqrt{n(i)\, n(j)}}\Big)

    with the numbers :math:`n` of users in training: the score of ItemKNN (Deshpande & Karypis
    2004) for the history, flattened, because it is heavy-tailed.

    Args:
        - user(numpy.ndarray): Of each training choice, shape: [n_choices]
        - item(numpy.ndarray): Of each training choice, shape: [n_choices]
        - n_users(int): The number of users
        - n_items(int): The number of items
        - most(int): Neighbors kept of each item
    """

    def __init__(self, user, item, n_users, n_items, most):
        super(Neighbors, self).__init__()
        chosen = count_pairs(user, item, (n_users, n_items)) > 0
        chosen = chosen.astype(np.float32)
        users = np.asarray(chosen.sum(axis=0)).ravel()
        share = np.divide(1, np.sqrt(users), where=users > 0, out=np.zeros_like(users))
        together = chosen.T @ chosen
        together.setdiag(0)
        cosine = _NEIGHBOR_SCALE * diags(share) @ together @ diags(share)
        self.scaled_cosine = SparseRows(_largest(csr_matrix(cosine), most))
        self.register_buffer("share", torch.from_numpy(share), persistent=False)

    def forward(self, history, candidates, own=None, chose=None):
        r"""Score candidates.

        Args:
            history (torch.LongTensor): Padded by 0, shape: [n, length]
            candidates (Candidates): The items
            own (tuple): As for :class:`RequestMemory`; its user is not counted among those
                who chose both
            chose (torch.BoolTensor): With ``own``: whether the user's choice of each item
                of the history is one of training, shape: [n, length]. Default: all

        Returns:
            torch.FloatTensor: shape: [n, n_candidates]
        """
        score = self.scaled_cosine(history, candidates)
        if own is not None:
            row, place = own
            item = candidates.item[place].unsqueeze(1)
            mine = _NEIGHBOR_SCALE * self.share[history[row]] * self.share[item]
            each = self.scaled_cosine.at(history[row], item.expand_as(mine))
            mine = mine if chose is None else mine * chose[row]
            score[own] = (each - mine).clamp_(min=0).sum(dim=1)
        return score.log1p_()


class LikeHistory(nn.Module):
    r"""LikeHistory is how much an item is like what of the history the request is about.

    The request attends over the history in the space of the towers; the mean of the frozen
    vectors, weighted by that, is compared with those of the items. (Attention by the query
    decides what is personal: Ai et al., "A Zero Attention Model for Personalized Product
    Search", CIKM 2019.) Of the vectors only the principal components are kept: their dot
    products are almost the same and cost less.

    Args:
        - vectors(torch.FloatTensor): Of the items, shape: [n_items, dim]
    """

    def __init__(self, vectors):
        super(LikeHistory, self).__init__()
        vectors = F.normalize(vectors, dim=1)
        if min(vectors.shape) > _COMPONENTS:
            # the same components whenever the model is built
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                vectors = vectors @ torch.svd_lowrank(vectors, q=_COMPONENTS)[2]
        self.register_buffer("vectors", vectors, persistent=False)

    def forward(self, history, attention):
        r"""Return what the history is about, to be multiplied with ``vectors``.

        Args:
            history (torch.LongTensor): Padded by 0, shape: [n, length]
            attention (torch.FloatTensor): Before the softmax, shape: [n, length]

        Returns:
            torch.FloatTensor: shape: [n, dim]; 0 where there is no history
        """
        weight = attention.masked_fill(history == 0, -torch.inf)
        weight = torch.softmax(weight, dim=1).nan_to_num()
        return F.embedding_bag(
            history, self.vectors, mode="sum", per_sample_weights=weight
        )


def _largest(matrix, most):
    r"""Keep the ``most`` largest values of each row."""
    length = np.diff(matrix.indptr)
    row = np.repeat(np.arange(matrix.shape[0]), length)
    order = np.lexsort((-matrix.data, row))
    place = np.arange(len(row)) - np.repeat(matrix.indptr[:-1], length)
    kept = order[place < most]
    return csr_matrix(
        (matrix.data[kept], (row[kept], matrix.indices[kept])), shape=matrix.shape
    )
