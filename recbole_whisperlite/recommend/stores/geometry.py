"""The one vector of an item whose inner product with that of a query ranks items."""

from __future__ import annotations

import dataclasses

import numpy as np

from recbole_whisperlite.recommend.scorer import Batch, LinearScorer

# Items of which the mean and the longest vector are found at once.
_AT_ONCE = 2**14
# No part of a query is taken to be shorter than this, compared with the longest part.
_LEAST_SCALE = 1e-3
# How many items may be long: this share, and no more than can be scored for each request;
# and how much longer than all others the longest is then.
_LONG_SHARE, _MOST_LONG, _STANDS_OUT = 0.01, 4096, 1.25


@dataclasses.dataclass(frozen=True)
class Geometry:
    """How the blocks of a :class:`LinearScorer` become one vector an item.

    Side by side, the rows of the blocks, each times its factor, have the inner product of
    the score with the queries side by side. Three changes keep the order of items and make
    it an order of distances, in which a graph can be searched: the mean of all items is
    subtracted, which takes the same off each score; each column is multiplied by the usual
    size of a query there, and that of the query divided by it, so that items are near each
    other if queries score them alike; and a last column makes all items equally long
    (Bachrach et al. 2014, "Speeding up the Xbox recommender system using a Euclidean
    transformation for inner-product spaces").

    Where a few items are much longer than all others, which popular ones are, those others
    would seem all alike beside them, and a graph lead to few of the long ones. So these are
    left out of indexes, and are candidates of every request.

    Attributes:
        mean (numpy.ndarray): Of the items, side by side, float32 ``[dim]``.
        scale (numpy.ndarray): float32 ``[dim]``, above 0.
        length (float): Of the vector of every item but the long ones.
    """

    mean: np.ndarray
    scale: np.ndarray
    length: float

    @classmethod
    def of(cls, scorer: LinearScorer, sample: Batch) -> Geometry:
        """Return the geometry for the queries of a sample, ``n`` of them."""
        widths = [rows.shape[1] for rows in scorer.blocks]
        n = len(sample.constant)
        queries = _side_by_side(sample.queries, widths, n)
        scale = _sizes(queries, widths)
        total, n_items = np.zeros(len(scale)), scorer.n_items
        for items in _parts(n_items):
            total += _rows(scorer, items).sum(axis=0, dtype=np.float64)
        mean = (total / max(n_items, 1)).astype(np.float32)
        lengths = cls(mean, scale, np.inf).lengths(scorer)
        n_long = min(int(_LONG_SHARE * n_items), _MOST_LONG)
        longest = np.partition(lengths, n_items - 1 - n_long)[n_items - 1 - n_long :]
        few_stand_out = longest.max() > _STANDS_OUT * longest[0]
        return cls(mean, scale, float(longest[0] if few_stand_out else longest.max()))

    @property
    def dim(self) -> int:
        """int: The length of a vector."""
        return len(self.mean) + 1

    def lengths(
        self, scorer: LinearScorer, items: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the lengths of items, all by default, without the last column: the long
        ones are above :attr:`length`; float32 ``[len(items)]``."""
        items = np.arange(scorer.n_items) if items is None else items
        result = np.zeros(len(items), dtype=np.float32)
        for part in _parts(len(items)):
            vectors = (_rows(scorer, items[part]) - self.mean) * self.scale
            result[part] = np.linalg.norm(vectors, axis=1)
        return result

    def items(self, scorer: LinearScorer, items: np.ndarray) -> np.ndarray:
        """Return the vectors of items, float32 ``[len(items), dim]``."""
        vectors = (_rows(scorer, items) - self.mean) * self.scale
        left = self.length**2 - (vectors**2).sum(axis=1, keepdims=True)
        return np.concatenate([vectors, np.sqrt(np.maximum(left, 0))], axis=1)

    def queries(self, scorer: LinearScorer, parts: tuple, n: int) -> np.ndarray:
        """Return the vectors of queries, float32 ``[n, dim]``, of length 1 or 0.

        Args:
            scorer (LinearScorer): The model.
            parts (tuple): The queries by block, as in :class:`Batch`; those at the end
                may be left out.
            n (int): How many.
        """
        widths = [rows.shape[1] for rows in scorer.blocks]
        queries = _side_by_side(parts, widths, n) / self.scale
        length = np.linalg.norm(queries, axis=1, keepdims=True)
        queries /= np.maximum(length, np.float32(1e-12))
        return np.concatenate([queries, np.zeros((n, 1), np.float32)], axis=1)


def _parts(n):
    """Yield the numbers below ``n``, some at a time."""
    for begin in range(0, n, _AT_ONCE):
        yield np.arange(begin, min(begin + _AT_ONCE, n))


def _side_by_side(parts, widths, n):
    result = np.zeros((n, sum(widths)), dtype=np.float32)
    begin = 0
    for part, width in zip(parts, widths):
        if part is not None:
            result[:, begin : begin + width] = part
        begin += width
    return result


def _rows(scorer, items):
    parts = []
    for rows, factor in zip(scorer.blocks, scorer.factors):
        part = np.asarray(rows)[items]
        parts.append(part if factor is None else part * factor[items][:, None])
    return np.concatenate(parts, axis=1).astype(np.float32)


def _sizes(queries, widths):
    """Return the usual size of a query in each column: one for all columns of a vector, and
    one for each of a few numbers that mean different things."""
    squares, sizes, begin = (queries.astype(np.float64) ** 2).mean(axis=0), [], 0
    for width in widths:
        of_block = squares[begin : begin + width]
        begin += width
        sizes.append(of_block if width <= _FEW else np.full(width, of_block.mean()))
    sizes = np.sqrt(np.concatenate(sizes))
    largest = sizes.max(initial=0) or 1.0
    return np.maximum(sizes, _LEAST_SCALE * largest).astype(np.float32)


# The memory has so many columns; no vectors of texts are that short.
_FEW = 4
