"""What the terms of an exported WhisperLitePlus need to know: see ``model/terms.py``."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse import csr_matrix

from recbole_whisperlite.recommend.counts import RequestCounts, resized
from recbole_whisperlite.recommend.embed import check_size, unit

# Cosines that are held at once: 64 MB as float32.
_MOST_COSINES = 2**24
# Logits that are held at once, few enough to stay in the cache: 1 MB as float32.
_MOST_LOGITS = 2**18
# Equal vectors may have cosines that differ by rounding.
_ROUNDING = np.float32(1e-6)


@dataclasses.dataclass(frozen=True)
class Memory:
    """What was chosen for which request: ``RequestMemory`` and ``Popularity``.

    Attributes:
        counts (RequestCounts): How often each item was chosen for each request text.
        popularity (numpy.ndarray): How often each item was chosen, float32 ``[n_items]``.
        prior_count (float): The weight of the towers, in interactions.
        unseen (float): Added to the count of every item.
        new_log_factor (float): The log of how popular an item that was never chosen is,
            as a share of the average of the others.
    """

    counts: RequestCounts
    popularity: np.ndarray
    prior_count: float
    unseen: float
    new_log_factor: float

    @property
    def is_new(self) -> np.ndarray:
        """numpy.ndarray: Whether an item was never chosen, bool ``[n_items]``."""
        return self.popularity == 0

    @property
    def log_popularity(self) -> np.ndarray:
        """numpy.ndarray: float32 ``[n_items]``."""
        chosen = self.popularity[~self.is_new]
        average = chosen.sum(dtype=np.float64) / max(len(chosen), 1)
        of_new = np.log(average + self.unseen) + self.new_log_factor
        log_popularity = np.log(self.popularity + np.float32(self.unseen))
        return np.where(self.is_new, np.float32(of_new), log_popularity)

    def columns(self, known: np.ndarray) -> np.ndarray:
        """Return what the score of an item is linear in: its log popularity, whether it
        was never chosen, among all items and among those that could have been, and one by
        the number of its choices.

        Args:
            known (numpy.ndarray): Whether an item was in the catalogue in training, bool
                ``[n_items]``.

        Returns:
            numpy.ndarray: float32 ``[n_items, 4]``.
        """
        seldom = ~self.is_new / np.maximum(self.popularity, 1)
        columns = self.log_popularity, self.is_new, self.is_new & known, seldom
        return np.stack(columns, axis=1).astype(np.float32)

    def with_choice(self, request: str, item: int) -> Memory:
        popularity, counts = self.popularity.copy(), self.counts
        popularity[item] += 1
        if request:
            counts = counts.with_choice(request, item)
        return dataclasses.replace(self, counts=counts, popularity=popularity)

    def with_items(self, n: int) -> Memory:
        return dataclasses.replace(
            self,
            counts=self.counts.with_items(n),
            popularity=np.append(self.popularity, np.zeros(n, np.float32)),
        )

    def keep_items(self, rows: np.ndarray) -> Memory:
        return dataclasses.replace(
            self, counts=self.counts.keep_items(rows), popularity=self.popularity[rows]
        )


def log_normalizer(logits: np.ndarray, log_popularity: np.ndarray) -> np.ndarray:
    """Return the log of the sum of ``popularity * exp(logits)`` over items, float32
    ``[n]``; 0 if there are no items.

    Args:
        logits (numpy.ndarray): Inner products of scaled embeddings of requests with those
            of items, float32 ``[n, n_items]``.
        log_popularity (numpy.ndarray): Of the items, ``[n_items]``; minus infinity for
            those that are left out.
    """
    if not np.isfinite(log_popularity).any():
        return np.zeros(len(logits), dtype=np.float32)
    step, sums = max(_MOST_LOGITS // max(len(logits), 1), 1), []
    for begin in range(0, logits.shape[1], step):
        of_block = slice(begin, begin + step)
        sums.append(log_sum(logits[:, of_block] + log_popularity[of_block]))
    return log_sum(np.stack(sums, axis=1))


def log_sum(logs: np.ndarray) -> np.ndarray:
    """Return the log of the sum of the exponentials along the last axis, float32 ``[...]``;
    minus infinity if there is nothing but that.

    Args:
        logs (numpy.ndarray): float32 ``[..., n]``.
    """
    highest = logs.max(axis=-1, initial=np.finfo(np.float32).min, keepdims=True)
    total = np.exp(logs - highest).sum(axis=-1, dtype=np.float64)
    with np.errstate(divide="ignore"):  # of nothing at all
        return (highest[..., 0] + np.log(total)).astype(np.float32)


def half_whitened(
    frozen: np.ndarray, mean: np.ndarray, projection: np.ndarray
) -> np.ndarray:
    """Return frozen vectors as ``HalfWhitening`` transforms them, float32 ``[n, dim]``.

    Args:
        frozen (numpy.ndarray): ``[n, dim of the frozen vectors]``, 0 where there is none.
        mean (numpy.ndarray): ``[dim of the frozen vectors]``.
        projection (numpy.ndarray): float64 ``[dim of the frozen vectors, dim]``.
    """
    centred = (frozen - mean) * frozen.any(axis=1, keepdims=True)
    return unit((centred.astype(np.float64) @ projection).astype(np.float32))


@dataclasses.dataclass(frozen=True)
class ItemVectors:
    """The vectors by which items of a history are compared with others: ``LikeHistory``.

    Attributes:
        vectors (numpy.ndarray): Of the items, of length 1, float32 ``[n_items, dim]``.
        mean (numpy.ndarray): float32 ``[dim of the frozen vectors]``.
        projection (numpy.ndarray): float64 ``[dim of the frozen vectors, dim]``.
    """

    vectors: np.ndarray
    mean: np.ndarray
    projection: np.ndarray

    def project(self, frozen: np.ndarray) -> np.ndarray:
        """Return the vectors of new items from their frozen ones, float32 ``[n, dim]``."""
        check_size(frozen, len(self.mean), "the components of the history")
        return half_whitened(frozen, self.mean, self.projection)

    def with_items(self, vectors: np.ndarray) -> ItemVectors:
        vectors = np.concatenate([self.vectors, vectors])
        return dataclasses.replace(self, vectors=vectors)

    def keep_items(self, rows: np.ndarray) -> ItemVectors:
        return dataclasses.replace(self, vectors=self.vectors[rows])


@dataclasses.dataclass(frozen=True)
class Nearest:
    """The items most like each item: ``NearestItem``.

    Items that came after the training are compared when they are asked for, as there may
    be many that are all alike.

    Attributes:
        cosine (scipy.sparse.csr_matrix): Of each item with those of the training that are
            nearest to it, float32 ``[n_items, n_items]``, above 0.
        least (numpy.ndarray): The cosine from which on an item is near enough to each,
            float32 ``[n_items]``.
        n_nearest (int): How many items of the training are kept of each item.
    """

    cosine: csr_matrix
    least: np.ndarray
    n_nearest: int

    @classmethod
    def of_table(cls, table: csr_matrix, known: np.ndarray, n_nearest: int) -> Nearest:
        """Return what a table of ``NearestItem`` says of the items of the training.

        Args:
            table (scipy.sparse.csr_matrix): Cosines above 0, ``[n_items, n_items]``.
            known (numpy.ndarray): Whether an item was in the catalogue in training, bool
                ``[n_items]``.
            n_nearest (int): As above.
        """
        entries = table.tocoo()
        kept = known[entries.col]
        row, value = entries.row[kept], entries.data[kept]
        cosine = csr_matrix((value, (row, entries.col[kept])), shape=table.shape)
        order = np.lexsort((-value, row))
        rank = np.arange(len(row)) - np.searchsorted(row[order], row[order])
        last = order[rank == min(n_nearest, int(known.sum())) - 1]
        least = np.zeros(len(known), dtype=np.float32)
        least[row[last]] = value[last]
        return cls(cosine, least, n_nearest)

    def of(
        self, histories: list[np.ndarray], vectors: np.ndarray, known: np.ndarray
    ) -> csr_matrix:
        """Return the largest cosine of items with items of histories.

        Args:
            histories (list of numpy.ndarray): Items, int64.
            vectors (numpy.ndarray): Of all items, ``[n_items, dim]``.
            known (numpy.ndarray): As above.

        Returns:
            scipy.sparse.csr_matrix: float32 ``[n, n_items]``, without duplicates.
        """
        shape = len(histories), len(vectors)
        of_rows = np.concatenate([np.zeros(0, dtype=np.int64), *histories])
        found = self.cosine[of_rows].tocoo()
        row = np.repeat(np.arange(len(histories)), [len(each) for each in histories])
        row, column, value = [row[found.row]], [found.col], [found.data]
        added = np.flatnonzero(~known)
        for number, history in enumerate(histories if len(added) else []):
            largest = self._largest(vectors, added, np.unique(history))
            near = np.flatnonzero(largest)
            row.append(np.full(len(near), number))
            column.append(added[near])
            value.append(largest[near])
        row, column, value = map(np.concatenate, (row, column, value))
        order = np.lexsort((value, column, row))
        row, column, value = row[order], column[order], value[order]
        last = np.ones(len(row), dtype=bool)
        last[:-1] = (row[1:] != row[:-1]) | (column[1:] != column[:-1])
        entries = value[last], (row[last], column[last])
        return csr_matrix(entries, shape=shape, dtype=np.float32)

    def _largest(self, vectors, added, history):
        """Return the largest cosine of items that came after the training, 0 where they
        are not near enough, ``[len(added)]``."""
        cosine = vectors[added] @ vectors[history].T
        near = cosine >= np.maximum(self.least[history] - _ROUNDING, 0)
        near &= added[:, None] != history
        return np.where(near, cosine, 0).max(axis=1, initial=0)

    def with_items(self, vectors: np.ndarray, known: np.ndarray) -> Nearest:
        """Return the table with items at the end.

        Args:
            vectors (numpy.ndarray): Of all items, those included.
            known (numpy.ndarray): Of all items.
        """
        n, before, columns = len(vectors), len(self.least), np.flatnonzero(known)
        of_known = vectors[columns]
        rows, cosines, least = [], [], [self.least]
        step = max(_MOST_COSINES // max(len(columns), 1), 1)
        for begin in range(before, n, step):
            cosine = vectors[begin : begin + step] @ of_known.T
            of_step = np.zeros(len(cosine), dtype=np.float32)
            if 0 < self.n_nearest <= len(columns):
                place = len(columns) - self.n_nearest
                of_step = np.partition(cosine, place, axis=1)[:, place]
            elif len(columns):
                of_step = cosine.min(axis=1)
            of_step = np.maximum(of_step, 0)
            row, column = np.nonzero((cosine >= of_step[:, None]) & (cosine > 0))
            rows.append(np.stack([begin + row, columns[column]]))
            cosines.append(cosine[row, column])
            least.append(of_step)
        added = csr_matrix((np.concatenate(cosines), np.hstack(rows)), shape=(n, n))
        return Nearest(
            (resized(self.cosine, (n, n)) + added).tocsr(),
            np.concatenate(least),
            self.n_nearest,
        )

    def keep_items(self, rows: np.ndarray) -> Nearest:
        cosine = self.cosine[rows][:, rows].tocsr()
        return Nearest(cosine, self.least[rows], self.n_nearest)


@dataclasses.dataclass(frozen=True)
class Similarity:
    """What was learned of which items go with a history: ``LearnedSimilarity``.

    Attributes:
        keys (numpy.ndarray): Of the items, with the bias in the last column, float32
            ``[n_items, size + 1]``.
        queries (numpy.ndarray): Of the items, as parts of a history, float32
            ``[n_items, size]``.
        to_key, to_query (numpy.ndarray): From the vector of an item, float32
            ``[size, dim]``.
        position (numpy.ndarray): Logs of the weights by position from the end of a
            history, float32 ``[n_positions]``.
    """

    keys: np.ndarray
    queries: np.ndarray
    to_key: np.ndarray
    to_query: np.ndarray
    position: np.ndarray

    def summarize(self, histories: list[np.ndarray]) -> np.ndarray:
        """Return the queries of histories for inner products with :attr:`keys`, float32
        ``[len(histories), size + 1]``."""
        result = np.zeros((len(histories), self.keys.shape[1]), dtype=np.float32)
        result[:, -1] = 1
        for row, history in enumerate(histories):
            n = len(history)
            if n:
                from_end = np.arange(n)[::-1].clip(max=len(self.position) - 1)
                weight = np.exp(self.position[from_end])
                weight *= np.float32(np.sqrt(n)) / weight.sum()
                result[row, :-1] = weight @ self.queries[history]
        return result

    def with_items(self, vectors: np.ndarray) -> Similarity:
        """Return the similarity with items at the end, of which nothing was learned but
        what their vectors say, ``[n, dim]``."""
        no_bias = np.zeros((len(vectors), 1), dtype=np.float32)
        keys = np.concatenate([vectors @ self.to_key.T, no_bias], axis=1)
        return dataclasses.replace(
            self,
            keys=np.concatenate([self.keys, keys]),
            queries=np.concatenate([self.queries, vectors @ self.to_query.T]),
        )

    def keep_items(self, rows: np.ndarray) -> Similarity:
        keys, queries = self.keys[rows], self.queries[rows]
        return dataclasses.replace(self, keys=keys, queries=queries)
