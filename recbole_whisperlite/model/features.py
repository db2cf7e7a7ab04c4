r"""
recbole_whisperlite.model.features
##################################
What textbook signals say of an item for a request and a history

LinearFusion weighs these features, and LambdaMART grows trees on them. All counts are those
of training; only the history is that of the query.
"""

from collections.abc import Iterator
from logging import getLogger

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix, diags, vstack

from recbole.config import Config
from recbole.data.dataset import Dataset

from recbole_whisperlite.model.bm25 import words
from recbole_whisperlite.model.terms import LikeHistory, count_pairs

#: The features, in their order.
NAMES = (
    "log request count",
    "log popularity",
    "log ItemKNN",
    "EASE",
    "log EASE",
    "mean cosine",
    "nearest cosine",
    "recency",
    "BM25",
    "text cosine",
)
# Added to the count of every item in popularity, so that none is 0.
_UNSEEN = 0.1
# The prior of a request's counts, in interactions; it is popularity.
_PRIOR_COUNT = 2.0
# Sums of cosines are mostly below 1 / 30, coefficients of EASE below 1 / 50: above, the
# logarithm flattens them.
_KNN_SCALE = 30.0
_EASE_SCALE = 50.0
_EASE_RANGE = -0.2, 1.0
# The numbers that one batch of features holds besides its result: 16 MB as float32.
_MAX_NUMBERS = 2**22
# The number of items whose cosines with all others are dense at once.
_BLOCK = 1000


class Features(torch.nn.Module):
    r"""Features describes all items for requests and the histories of those who ask.

    ====================  ==================================================================
    log request count     :math:`\log((n(r, i) + 2 p(i)) / (n(r) + 2))`: Dirichlet smoothing
                          by the share :math:`p` of the item among all interactions
    log popularity        :math:`\log p(i)`, plus a constant
    log ItemKNN           log1p of the sum of cosines, as columns of users, with the history
    EASE, log EASE        the item's EASE score (Steck 2019), clipped and as log1p
    mean, nearest cosine  of the item's half-whitened frozen vector with the history's mean
                          and with the nearest item of it
    recency               log popularity where an interaction counts the less the older it
                          is, minus log popularity
    BM25, text cosine     match of request and item: by words, by frozen vectors
    ====================  ==================================================================

    Without a history, features of the history are 0; so are EASE above ``ease_max_items``
    items, recency without times, and BM25 and cosines without item texts.

    Args:
        config (Config): With ``neighbor_num``, ``ease_reg_weight``, ``ease_max_items``,
            ``recency_half_life``, ``k1`` and ``b``
        dataset (RequestDatasetMixin): The training part
    """

    def __init__(self, config: Config, dataset: Dataset):
        super(Features, self).__init__()
        self.n_items = dataset.item_num
        self.device = config["device"]
        choices = dataset.training_choices()
        user, item, request = choices.current()
        counts = count_pairs(request, item, (len(dataset.request_texts), self.n_items))
        self.counts = _zero_row(counts)
        self.total = np.asarray(self.counts.sum(axis=1)).astype(np.float32)
        popularity = np.bincount(item, minlength=self.n_items) + _UNSEEN
        self.share = (popularity / popularity[1:].sum()).astype(np.float32)
        users = count_pairs(user, item, (user.max(initial=0) + 1, self.n_items))
        users.data[:] = 1
        self.similarity = _cosines(users, config["neighbor_num"])
        # recency is in the state dict, as a checkpoint's record has no times
        recency = _recency(dataset, popularity, config["recency_half_life"])
        self._keep("recency", recency, persistent=True)
        self._keep("log_popularity", np.log(popularity))
        self._keep("ease", self._ease(users, config))
        self._set_texts(config, dataset)

    def _keep(self, name, values, persistent=False):
        if values is not None:
            values = torch.from_numpy(values.astype(np.float32))
        self.register_buffer(name, values, persistent=persistent)

    def _ease(self, users, config):
        if self.n_items > config["ease_max_items"]:
            getLogger().info(
                f"EASE is left out: its matrix has {self.n_items} rows, and "
                f"ease_max_items is {config['ease_max_items']}."
            )
            return None
        gram = (users.T @ users).toarray().astype(np.float64)
        gram[np.diag_indices(self.n_items)] += config["ease_reg_weight"]
        inverse = np.linalg.inv(gram)
        weights = -inverse / np.diag(inverse)
        np.fill_diagonal(weights, 0)
        return weights

    def _set_texts(self, config, dataset):
        self.word_index = items = requests = half_whitened = None
        if dataset.item_file is not None and any(dataset.item_texts):
            items = dataset.item_vectors()
            half_whitened = LikeHistory(torch.from_numpy(items)).vectors.numpy()
            items = _normalized(items)
            requests = _normalized(dataset.request_vectors())
            self.request_words = words(dataset.request_texts)
            self.word_index = _word_index(dataset.item_texts, config)
        self._keep("half_whitened", half_whitened)
        self._keep("item_vectors", items)
        self._keep("request_vectors", requests)

    def forward(
        self, request: torch.LongTensor, history: torch.LongTensor
    ) -> torch.FloatTensor:
        r"""Describe all items.

        Args:
            request (torch.LongTensor): Ids of request texts, shape: [n]
            history (torch.LongTensor): Items that the user had before, padded by 0, shape:
                [n, length]. An item counts once

        Returns:
            torch.FloatTensor: shape: [n, n_items, n_features], in the order of ``NAMES``
        """
        return torch.stack(
            [column.expand(len(request), -1) for column in self.each(request, history)],
            dim=2,
        )

    def each(
        self, request: torch.LongTensor, history: torch.LongTensor
    ) -> Iterator[torch.FloatTensor]:
        r"""Yield one feature after the other, so that not all are in memory, shape:
        [n, n_items], or [1, n_items] where it is the same for all"""
        rows = request.cpu().numpy()
        yield self._log_request_count(rows)
        yield self.log_popularity.unsqueeze(0)
        had = self._had(history)
        neighbors = self._dense((had @ self.similarity).toarray())
        yield neighbors.mul_(_KNN_SCALE).log1p_()
        yield from self._each_of_ease(had)
        yield from self._each_cosine(had)
        yield self._or_zero(self.recency)
        yield self._bm25(rows)
        yield self._text_cosine(request)

    def _dense(self, values):
        return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(self.device)

    def _or_zero(self, values):
        if values is None:
            return torch.zeros(1, self.n_items, device=self.device)
        return values.unsqueeze(0)

    def _had(self, history):
        history = history.cpu().numpy()
        row, column = np.nonzero(history)
        had = count_pairs(row, history[row, column], (len(history), self.n_items))
        had.data[:] = 1
        return had

    def _log_request_count(self, rows):
        smoothed = self.counts[rows].toarray()
        smoothed += _PRIOR_COUNT * self.share
        smoothed /= self.total[rows] + _PRIOR_COUNT
        return self._dense(np.log(smoothed))

    def _each_of_ease(self, had):
        if self.ease is None:
            yield from [self._or_zero(None)] * 2
            return
        score = self._sum(had, self.ease)
        yield score.clamp(*_EASE_RANGE)
        yield score.clamp_(min=0).mul_(_EASE_SCALE).log1p_()

    def _sum(self, had, rows, mode="sum"):
        r"""The sum, or largest value, of the rows that each row of ``had`` names."""
        item = torch.from_numpy(had.indices.astype(np.int64)).to(self.device)
        begin = torch.from_numpy(had.indptr[:-1].astype(np.int64)).to(self.device)
        return F.embedding_bag(item, rows, begin, mode=mode)

    def _each_cosine(self, had):
        if self.item_vectors is None:
            yield from [self._or_zero(None)] * 2
            return
        vectors = self.half_whitened
        mean = F.normalize(self._sum(had, vectors), dim=1)
        yield mean @ vectors.T
        yield self._nearest(had)

    def _nearest(self, had):
        result = torch.zeros(had.shape, device=self.device)
        # the cosines of the items of a few histories with the catalogue at a time
        limit = max(_MAX_NUMBERS // self.n_items, 1)
        start = 0
        while start < len(result):
            end = np.searchsorted(had.indptr, had.indptr[start] + limit, "right") - 1
            end = min(max(end, start + 1), len(result))
            part = had[start:end]
            items, part.indices = np.unique(part.indices, return_inverse=True)
            if len(items):
                items = torch.from_numpy(items.astype(np.int64)).to(self.device)
                cosine = self.half_whitened[items] @ self.half_whitened.T
                result[start:end] = self._sum(part, cosine, mode="max")
            start = end
        return result

    def _bm25(self, rows):
        if self.word_index is None:
            return self._or_zero(None)
        distinct, index = np.unique(rows, return_inverse=True)
        score = np.zeros((len(distinct), self.n_items), dtype=np.float32)
        for row, request in zip(score, distinct):
            known = self.word_index.get_tokens_ids(self.request_words[request])
            if known:
                row[1:] = self.word_index.get_scores_from_ids(known)
        return self._dense(score)[torch.from_numpy(index).to(self.device)]

    def _text_cosine(self, request):
        if self.item_vectors is None:
            return self._or_zero(None)
        return self.request_vectors[request] @ self.item_vectors.T


def _zero_row(counts):
    r"""Without the counts of row 0: interactions without a request."""
    counts.data[: counts.indptr[1]] = 0
    counts.eliminate_zeros()
    return counts


def _cosines(users, k):
    r"""The ``k`` largest cosines of each item's column of users with those of others."""
    norm = np.sqrt(np.maximum(np.asarray(users.sum(axis=0)).ravel(), 1))
    columns = (users @ diags(1 / norm)).tocsc().astype(np.float32)
    blocks = []
    for start in range(0, columns.shape[1], _BLOCK):
        block = (columns[:, start : start + _BLOCK].T @ columns).toarray()
        row = np.arange(len(block))
        block[row, start + row] = 0
        if block.shape[1] > k:
            least = -np.partition(-block, k - 1, axis=1)[:, k - 1 : k]
            block[block < least] = 0
        blocks.append(csr_matrix(block))
    return vstack(blocks).tocsr()


def _recency(dataset, popularity, half_life):
    inter = dataset.inter_feat
    if dataset.time_field not in inter:
        return None
    time = inter[dataset.time_field].numpy().astype(np.float64)
    item = inter[dataset.iid_field].numpy()
    age = time.max(initial=-np.inf) - time
    span = age.max(initial=0)
    if not span > 0:
        return None
    weight = 0.5 ** (age / (half_life * span))
    if dataset.label_field in inter:
        weight *= inter[dataset.label_field].numpy() == 1
    # the items' shares of what is recent and of all, with the same prior for each
    recent = np.bincount(item, weights=weight, minlength=len(popularity))
    recent += _UNSEEN * weight.mean()
    return np.log(recent / weight.mean()) - np.log(popularity)


def _normalized(vectors):
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(norm, 1e-12)


def _word_index(item_texts, config):
    from bm25s import BM25 as Index  # imported on demand: few models need it

    item_words = words(item_texts[1:])
    if not any(item_words):
        return None
    index = Index(k1=config["k1"], b=config["b"])
    index.index(item_words, show_progress=False)
    return index
