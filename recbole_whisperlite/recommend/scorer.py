"""What every exported model does: score the catalogue for a batch of requests."""

from __future__ import annotations

import abc
import dataclasses
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from recbole_whisperlite.recommend.counts import RequestCounts
from recbole_whisperlite.recommend.top_k import DenseSearch, dense_top_k, exact_top_k

# Items whose rows are read together: what a block of them makes stays in the cache.
_BLOCK = 2**13


class Asked(NamedTuple):
    """A batch of what is asked.

    Attributes:
        requests (list of str): The texts; "" where there is none.
        histories (list of numpy.ndarray): The items of each user, oldest first, int64.
        pictures (numpy.ndarray or None): Vectors of pictures that are asked for, float32
            ``[n, dim]``, zero where there is none; None if there is none at all.
    """

    requests: list[str]
    histories: list[np.ndarray]
    pictures: np.ndarray | None = None

    @property
    def has_text(self) -> np.ndarray:
        """numpy.ndarray: Whether each request says something, bool ``[n]``."""
        return np.array([bool(text) for text in self.requests], dtype=bool)


@dataclasses.dataclass
class Batch:
    """A batch, encoded.

    The score of an item is the inner product of ``queries`` with the item's rows in the
    blocks of its :class:`LinearScorer`, each times its factor, plus ``constant``, plus
    ``corrections``.

    Attributes:
        asked (Asked): What is asked.
        queries (tuple): One array for each block, float32 ``[n, dim of the block]``, or
            None for a block that plays no part.
        constant (numpy.ndarray): float32 ``[n]``.
        corrections (scipy.sparse.csr_matrix): float32 ``[n, n_items]``.
        of_parts (dict): What :meth:`Scorer.parts` needs besides.
        products (dict): The inner products of a query with all rows of its block, float32
            ``[n, n_items]``, by the number of the block, where they are known already.
    """

    asked: Asked
    queries: tuple[np.ndarray | None, ...]
    constant: np.ndarray
    corrections: csr_matrix
    of_parts: dict = dataclasses.field(default_factory=dict)
    products: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)


class NewItems(NamedTuple):
    """Items to be added.

    Attributes:
        texts (list of str): Their texts.
        pictures (numpy.ndarray or None): Vectors of their pictures, as for
            :meth:`recbole_whisperlite.recommend.embed.Embedder.items`.
    """

    texts: list[str]
    pictures: np.ndarray | None


class Scorer(abc.ABC):
    """Scores the catalogue. Immutable: a change returns another scorer.

    Attributes:
        kind (str): The name of the model, under which it is exported.
        n_items (int): The size of the catalogue.
        knows_pictures (bool): Whether a picture can be asked for.
        splits_requests (bool): Whether it understands what a request rules out.
    """

    kind: str
    n_items: int
    knows_pictures = False
    splits_requests = False

    @abc.abstractmethod
    def encode(self, asked: Asked) -> Batch:
        """Encode a batch."""

    @abc.abstractmethod
    def scores(self, batch: Batch) -> np.ndarray:
        """Return the scores of the catalogue, float32 ``[n, n_items]``."""

    @abc.abstractmethod
    def parts(self, batch: Batch, items: np.ndarray) -> dict[str, np.ndarray]:
        """Return the parts of scores by name; their sum is the score.

        Args:
            batch (Batch): The batch.
            items (numpy.ndarray): Items of each row, int64 ``[n, k]``; -1 for none.

        Returns:
            dict: float32 ``[n, k]`` each; what stands at -1 has no meaning.
        """

    def top(
        self, batch: Batch, k: int, allowed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the best items among those that are allowed.

        Args:
            batch (Batch): The batch.
            k (int): How many.
            allowed (numpy.ndarray): bool ``[n, n_items]`` or ``[1, n_items]``.

        Returns:
            tuple: As from :func:`recbole_whisperlite.recommend.top_k.exact_top_k`.
        """
        scores = np.where(allowed, self.scores(batch), np.float32(-np.inf))
        return dense_top_k(scores, k)

    def similar(self, item: int, text: str) -> np.ndarray | None:
        """Return how similar the items are to one of them, float32 ``[n_items]``.

        Args:
            item (int): Its row.
            text (str): Its text.

        Returns:
            numpy.ndarray or None: None if the model cannot compare items.
        """
        return None

    def splits(self, text: str) -> tuple[str, str]:
        """Return what is understood of a request: its wish, and what it rules out."""
        return text, ""

    def times_chosen(self, request: str, item: int) -> int | None:
        """Return how often an item was chosen for a request text, None if unknown."""
        return None

    def attended(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """Return how much the items of a history count, for the first row of a batch.

        Returns:
            tuple: Items, int64 ``[n]``, and weights, float32 ``[n]``, whose sum is 1;
            empty for a model that does not attend to them.
        """
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)

    @abc.abstractmethod
    def with_items(self, new: NewItems) -> Scorer:
        """Return a scorer with items added at the end of the catalogue."""

    @abc.abstractmethod
    def keep_items(self, rows: np.ndarray) -> Scorer:
        """Return a scorer of the items ``rows`` only, int64, in this order."""

    def with_choice(self, request: str, item: int) -> Scorer:
        """Return a scorer that knows that ``item`` was chosen; "" for no request."""
        return self

    @abc.abstractmethod
    def settings(self) -> dict:
        """Return all but arrays that the model needs, as JSON can hold it."""

    @abc.abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that the model needs, by ``file`` or ``file/name``."""


class LinearScorer(Scorer):
    """A scorer whose scores are inner products with blocks, and sparse corrections.

    Attributes:
        blocks (tuple): Rows of the items, float32 ``[n_items, dim]`` each; they may be
            memory-mapped.
        factors (tuple): For each block what its inner products are multiplied by, float32
            ``[n_items]``, or :class:`Factor`, or None.
    """

    blocks: tuple[np.ndarray, ...] = ()

    @property
    def factors(self) -> tuple[np.ndarray | None, ...]:
        return (None,) * len(self.blocks)

    def inner(self, batch: Batch) -> np.ndarray:
        """Return all but the corrections of :meth:`scores`, float32 ``[n, n_items]``.

        The rows are read once, block by block: two queries of the same rows follow each
        other while these are in the cache.
        """
        result = np.repeat(batch.constant[:, None], self.n_items, axis=1)
        for known in batch.products.values():
            result += known
        parts = self._asked_parts(batch, batch.products)
        for begin in range(0, self.n_items, _BLOCK):
            of_block = slice(begin, begin + _BLOCK)
            for query, rows, factor in parts:
                inner = query @ rows[of_block].T
                if factor is not None:
                    inner *= factor[of_block]
                result[:, of_block] += inner
        return result

    def inner_at(self, batch: Batch, row: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Return some of :meth:`inner`, without computing the others.

        Args:
            batch (Batch): The batch.
            row (numpy.ndarray): Rows of the batch, which rise, int64 ``[n]``.
            item (numpy.ndarray): An item for each, int64 ``[n]``.

        Returns:
            numpy.ndarray: float32 ``[n]``.
        """
        result, parts = batch.constant[row], self._asked_parts(batch)
        ends = np.searchsorted(row, np.arange(len(batch.constant) + 1))
        for number, (first, end) in enumerate(zip(ends, ends[1:])):
            for begin in range(first, end, _BLOCK):
                of_block = slice(begin, min(begin + _BLOCK, end))
                items = item[of_block]
                for query, rows, factor in parts:
                    inner = rows[items] @ query[number]
                    if factor is not None:
                        inner *= factor[items]
                    result[of_block] += inner
        return result

    def _asked_parts(self, batch, without=()):
        """Return the queries that play a part, each with its rows and factor; without those
        of some blocks."""
        parts = enumerate(zip(batch.queries, self.blocks, self.factors))
        # as plain arrays: each part of a memmap would be one more Python object
        return [
            (query, np.asarray(rows), factor)
            for number, (query, rows, factor) in parts
            if number not in without and query is not None and query.any()
        ]

    def scores(self, batch: Batch) -> np.ndarray:
        result = self.inner(batch)
        sparse = batch.corrections.tocoo()
        result[sparse.row, sparse.col] += sparse.data
        return result

    def top(
        self, batch: Batch, k: int, allowed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        inner = self.inner(batch)
        np.copyto(inner, np.float32(-np.inf), where=~allowed)
        return exact_top_k(DenseSearch(inner), batch.corrections, k)


@dataclasses.dataclass(frozen=True)
class Factor:
    """Weights of items that lie between two: ``factor[items]`` computes some of them.

    Attributes:
        seldom (numpy.float32): That of an item that nobody chose.
        frequent (numpy.float32): That of the item that was chosen most often.
        frequency (numpy.ndarray): Where between them, from 0 to 1, float32 ``[n_items]``.
    """

    seldom: np.float32
    frequent: np.float32
    frequency: np.ndarray

    def __getitem__(self, items: np.ndarray | slice) -> np.ndarray:
        return self.seldom + (self.frequent - self.seldom) * self.frequency[items]


def products(
    query: np.ndarray | None, rows: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """Return the inner products of each query with its items, float32 ``[n, k]``; 0
    without queries."""
    if query is None:
        return np.zeros(items.shape, dtype=np.float32)
    return np.einsum("nd,nkd->nk", query, rows[np.maximum(items, 0)])


def csr_arrays(matrix: csr_matrix, file: str) -> dict[str, np.ndarray]:
    """Return the arrays of a sparse matrix for :meth:`Scorer.arrays`."""
    matrix = matrix.tocsr()
    return {
        f"{file}/begin": matrix.indptr.astype(np.int64),
        f"{file}/item": matrix.indices.astype(np.int32),
        f"{file}/value": matrix.data.astype(np.float32),
    }


def count_arrays(counts: RequestCounts) -> dict[str, np.ndarray]:
    """Return the arrays of counts by request for :meth:`Scorer.arrays`."""
    return {
        "requests.parquet/request": counts.texts,
        **csr_arrays(counts.matrix, "memory.npz"),
    }
