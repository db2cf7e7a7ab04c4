"""Ties: equal scores are ranked in a random order that no model can choose.

``torch.topk`` returns equal scores in an order that depends on the ids of the items and on
k. A model that counts, and so gives many items one score, would gain or lose by how the
catalogue happens to be numbered. Here every query has a random order of all items, which
decides between equal scores: it depends on the seed and on the external ids of user, request
and item only, so it is the same for every model and for every k.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

_LARGEST = 2**63 - 1
#: The constants of MurmurHash3's 64-bit finalizer, as signed integers.
_FACTORS = (0xFF51AFD7ED558CCD - 2**64, 0xC4CEB9FE1A85EC53 - 2**64)
# Queries whose keys for the whole catalogue are held at once.
_STEP = 256


class TieOrder:
    """The order in which some queries rank items with equal scores.

    Args:
        query (torch.Tensor): A random number of each query, int64 ``[n_queries]``.
        item (torch.Tensor): One of each item, int64 ``[n_items]``.
    """

    def __init__(self, query: torch.Tensor, item: torch.Tensor):
        self._query, self._item = query, item

    @classmethod
    def of_tokens(
        cls, seed: int, users: np.ndarray, requests: np.ndarray, items: np.ndarray
    ) -> TieOrder:
        """Return the order for queries that are given by external ids.

        Args:
            seed (int): Another one gives another order.
            users, requests (numpy.ndarray): Of each query, str ``[n_queries]``.
            items (numpy.ndarray): Of the catalogue, str ``[n_items]``.
        """
        user, request, item = (
            torch.from_numpy(_hash(tokens)) for tokens in (users, requests, items)
        )
        return cls(_mixed(_mixed(user + seed) ^ request), item)

    def __getitem__(self, index: np.ndarray) -> TieOrder:
        """Return the order for the queries ``index``."""
        return TieOrder(self._query[torch.as_tensor(index)], self._item)

    def to(self, device: torch.device) -> TieOrder:
        """Return the order on a device."""
        return TieOrder(self._query.to(device), self._item.to(device))

    def keys(self, query: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        """Return the numbers that decide ties: the larger one is ranked first.

        Args:
            query, item (torch.Tensor): Queries and item ids, int64, of shapes that
                broadcast to one another.

        Returns:
            torch.Tensor: int64 from 0 on, of the common shape.
        """
        return _mixed(self._query[query] ^ self._item[item])

    def best(self, scores: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the best items of each query, like ``torch.topk``.

        The lists for a smaller k are the beginnings of those for a larger one.

        Args:
            scores (torch.Tensor): float ``[n_queries, n_items]``; -inf for what is no
                candidate. These come last in any order.
            k (int): Length of the lists; at most the catalogue's.

        Returns:
            tuple: Scores, float, and item ids, int64, both ``[n_queries, k]``.
        """
        n_items = scores.shape[1]
        k = min(k, n_items)
        score, item = torch.topk(scores, min(k + 1, n_items), dim=-1)
        tied = (score[:, 1:] == score[:, :-1]) & score[:, 1:].isfinite()
        goes_on = tied[:, k - 1 :].any(dim=1)
        score, item = score[:, :k], item[:, :k]
        for row in goes_on.nonzero().squeeze(1).split(_STEP):
            item[row] = self._led(scores, score[row], item[row], row)
        row = tied.any(dim=1).nonzero().squeeze(1)
        item[row] = self._in_order(score[row], item[row], row)
        return score, item

    def _led(self, scores, score, item, row):
        """Return the lists ``item`` of queries ``row``, whose last tie goes on beyond the
        end of the list, with those of it that lead."""
        last, k = score[:, -1:], score.shape[1]
        equal, of = (scores[row] == last).nonzero(as_tuple=True)
        keys = torch.full((len(row), scores.shape[1]), -1, device=item.device)
        keys[equal, of] = self.keys(row[equal], of)
        leading = keys.topk(k, dim=1).indices
        position = torch.arange(k, device=item.device)
        position = position - (score > last).sum(dim=1, keepdim=True)
        return torch.where(position < 0, item, leading.gather(1, position.clamp(min=0)))

    def _in_order(self, score, item, row):
        """Return the lists ``item`` of queries ``row`` with their ties in order."""
        by_key = self.keys(row[:, None], item).argsort(dim=1, descending=True)
        by_score = score.gather(1, by_key).argsort(dim=1, descending=True, stable=True)
        return item.gather(1, by_key.gather(1, by_score))

    def places(
        self, scores: torch.Tensor, query: torch.Tensor, item: torch.Tensor
    ) -> torch.Tensor:
        """Return how many items are ranked before certain ones.

        Args:
            scores (torch.Tensor): float ``[n_queries, n_items]``.
            query, item (torch.Tensor): Row and item of each, int64 ``[n]``.

        Returns:
            torch.Tensor: int64 ``[n]``.
        """
        before = torch.empty_like(query)
        # in parts, because each item gets a copy of its query's row of scores
        for part in torch.arange(len(query), device=query.device).split(_STEP):
            rows, own = scores[query[part]], item[part, None]
            score = rows.gather(1, own)
            before[part] = (rows > score).sum(dim=1)
            place, other = (rows == score).nonzero(as_tuple=True)
            row = query[part[place]]
            leads = self.keys(row, other) > self.keys(row, item[part[place]])
            before[part] += torch.bincount(place[leads], minlength=len(part))
        return before


def _hash(tokens):
    """A random number for each str, int64; the same in every process."""
    tokens = np.asarray(tokens).astype(str).astype(object)
    return pd.util.hash_array(tokens, categorize=False).view(np.int64)


def _mixed(values):
    """Hash int64 to int64 from 0 on, one to one but for the sign."""
    for factor in _FACTORS:
        # a logical shift: >> repeats the sign
        values = values ^ ((values >> 33) & (2**31 - 1))
        values.mul_(factor)
    values ^= (values >> 33) & (2**31 - 1)
    return values.bitwise_and_(_LARGEST)
