r"""
recbole_whisperlite.model.similarity
####################################
A learned similarity of histories and items
"""

import torch
import torch.nn as nn
from scipy.sparse import identity

from recbole_whisperlite.model.kept import Kept, state_of
from recbole_whisperlite.model.score import Product, Score
from recbole_whisperlite.model.terms import Candidates, SparseRows, weighted_sums

# Positions from the end of a history that have weights of their own.
_N_POSITIONS = 4
# How much the offsets of an item's neighbors count beside its own.
_OF_NEIGHBORS = 2.0
# Below any weight of a position.
_LEAST = 1e-30


class LearnedSimilarity(nn.Module):
    r"""LearnedSimilarity learns from who chose what which items go with a history.

    .. math::
        s(H, i) = \frac{\sqrt{|H|}}{\sum_j w_j} \sum_{j \in H} w_j\, q_j \cdot k_i + b_i,
        \quad q_j = A v_j + \tilde e_j, \quad k_i = B v_i + \tilde f_i

    Two projections :math:`A, B` of the frozen item vectors carry over to items that nobody
    has chosen; small offsets :math:`e, f, b` of each item, held back by weight decay, learn
    what texts do not say. Those of an item have the weighted ones of its neighbors added,

    :math:`\tilde e = e + 2 S e` (one step of LightGCN, He et al. 2020), since most items have
    few choices of their own. The weights :math:`w` depend on the distance to the
    request: a session is about what was shown last, a wardrobe is not. (A history as the
    sum of its items, with a root as in FISM: Kabbur et al., KDD 2013; queries and keys that
    differ: goes-with is not symmetric.)

    Args:
        - vectors(torch.FloatTensor): Frozen vectors of the items, shape: [n_items, dim]
        - size(int): The size of the projections
        - dropout_prob(float): In training, the share of a history's items that is left out
        - shared(scipy.sparse.csr_matrix): From :func:`shared_users`, by the ids of training
        - item_then(numpy.ndarray): The row of each item in the tables of offsets, shape:
          [n_items]; 0 for items that came after the training
        - n_then(int): The number of rows
    """

    def __init__(self, vectors, size, dropout_prob, shared, item_then, n_then):
        super(LearnedSimilarity, self).__init__()
        dim = vectors.shape[1]
        self.register_buffer("vectors", vectors, persistent=False)
        item_then = torch.from_numpy(item_then)
        self.register_buffer("item_then", item_then, persistent=False)
        self.dropout_prob = dropout_prob
        # own and neighbors' in one sum: its gradient is as large as the table
        own = identity(n_then, dtype=shared.dtype, format="csr")
        self.offset_weights = SparseRows(own + _OF_NEIGHBORS * shared)
        self.query = nn.Linear(dim, size, bias=False)
        self.key = nn.Linear(dim, size, bias=False)
        self.query_offset = nn.Embedding(n_then, size)
        self.key_offset = nn.Embedding(n_then, size)
        self.bias = nn.Embedding(n_then, 1)
        self.position = nn.Parameter(torch.zeros(_N_POSITIONS))
        # of all items, in evaluation
        self._keys = Kept()

    def train(self, mode=True):
        self._keys.forget()
        return super(LearnedSimilarity, self).train(mode)

    def reset_parameters(self):
        r"""Start almost at 0, so that the other terms are what training begins with."""
        for linear in (self.query, self.key):
            nn.init.normal_(linear.weight, std=0.05)
        for offset in (self.query_offset, self.key_offset):
            nn.init.normal_(offset.weight, std=0.01)
        nn.init.zeros_(self.bias.weight)

    def offsets(self):
        r"""Return the parameters of single items, which weight decay holds back."""
        return [self.query_offset.weight, self.key_offset.weight, self.bias.weight]

    def _offset(self, table, then):
        r"""Offsets of items by their ids in training, with those of their neighbors."""
        return self.offset_weights.weighted_sum(then, table.weight)

    def keys(self, item, is_new):
        r"""Keys and biases of items; without offsets for those that are new.

        Args:
            item (torch.LongTensor): shape: [n]
            is_new (torch.BoolTensor): shape: [n]

        Returns:
            tuple: torch.FloatTensor, shape: [n, size] and [n]
        """
        then, known = self.item_then[item], (~is_new).unsqueeze(1)
        key = self.key(self.vectors[item]) + self._offset(self.key_offset, then) * known
        return key, (self.bias(then) * known).squeeze(1)

    def queries(self, item, is_new):
        r"""Queries of items of a history; without offsets for those that are new.

        Args:
            item (torch.LongTensor): shape: [n]
            is_new (torch.BoolTensor): shape: [n]

        Returns:
            torch.FloatTensor: shape: [n, size]
        """
        offset = self._offset(self.query_offset, self.item_then[item])
        return self.query(self.vectors[item]) + offset * (~is_new).unsqueeze(1)

    def thinned(self, history):
        r"""Histories without the items that dropout leaves out in training.

        Args:
            history (torch.LongTensor): Items, padded by 0, shape: [n, length]

        Returns:
            torch.LongTensor: shape: [n, length]; 0 for what is left out
        """
        if not self.training or self.dropout_prob == 0:
            return history
        drawn = torch.rand(history.shape, device=history.device)
        return history.masked_fill(drawn < self.dropout_prob, 0)

    def forward(
        self,
        history: torch.LongTensor,
        distance: torch.LongTensor,
        candidates: Candidates,
        is_new: torch.BoolTensor,
        made_new: torch.BoolTensor | None = None,
    ) -> Score:
        r"""Score candidates.

        In evaluation the keys of all items are kept for the next batch.

        Args:
            history, distance, is_new: As for :meth:`summarize`
            candidates (Candidates): The items
            made_new (torch.BoolTensor): In training, the candidates that are treated as
                new, shape: [n_candidates]

        Returns:
            Score: shape: [n, n_candidates]
        """
        if self.training or torch.is_grad_enabled() or not candidates.is_all:
            of_candidates = is_new[candidates.item]
            if made_new is not None:
                of_candidates = of_candidates | made_new
            key, bias = self.keys(candidates.item, of_candidates)
        else:
            key, bias = self._keys(
                state_of([is_new, *self.parameters(), *self.buffers()]),
                lambda: self.keys(candidates.item, is_new),
            )
        query = self.summarize(history, distance, is_new)
        return Score(Product(query, key), bias.unsqueeze(0))

    def summarize(self, history, distance, is_new):
        r"""The weighted sum of the queries of histories.

        Args:
            history (torch.LongTensor): Items, 0 for none, shape: [n, length]
            distance (torch.LongTensor): How many items lie between each and the request,
                shape: [n, length]
            is_new (torch.BoolTensor): Of all items, shape: [n_items]

        Returns:
            torch.FloatTensor: shape: [n, size]; 0 where there is no history
        """
        present = history > 0
        weight = self.position.exp()[distance.clamp(0, _N_POSITIONS - 1)] * present
        item, index = torch.unique(history[present], return_inverse=True)
        query = self.queries(item, is_new[item])
        # the sum of n items has a root of n for its length; the weights are only relative
        root = present.sum(dim=1, keepdim=True).sqrt()
        weight = weight * root / weight.sum(dim=1, keepdim=True).clamp(min=_LEAST)
        weight = weight.to(query.dtype)  # which differ in mixed precision
        return weighted_sums(present, index, weight, query)
