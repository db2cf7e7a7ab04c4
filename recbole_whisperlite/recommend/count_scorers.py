"""RequestPop, BM25, and parts of LateFusion, exported: models without embeddings."""

from __future__ import annotations

import copy

import numpy as np
from scipy.sparse import csr_matrix

from recbole_whisperlite.recommend.counts import (
    RequestCounts,
    incidence,
    resized,
    take,
    words_of,
)
from recbole_whisperlite.recommend.scorer import (
    Asked,
    Batch,
    LinearScorer,
    NewItems,
    count_arrays,
    csr_arrays,
    products,
)

# As in model/requestpop.py: what popularity adds at most to the score of RequestPop.
_TIE_BREAK = np.float32(1e-4)


class PopularityScorer(LinearScorer):
    """Scores by how often an item was chosen: RequestPop, and RecBole's Pop.

    RequestPop is log(1 + choices for the same request text), where overall popularity
    breaks ties. Pop is overall popularity alone, as a share of the largest.

    Args:
        kind (str): ``RequestPop`` or ``Pop``.
        popularity (numpy.ndarray): How often each item was chosen, float32
            ``[n_items]``.
        counts (RequestCounts): By request; without texts for Pop.
    """

    def __init__(self, kind: str, popularity: np.ndarray, counts: RequestCounts):
        self.kind, self.popularity, self.counts = kind, popularity, counts

    @property
    def n_items(self) -> int:
        return len(self.popularity)

    @property
    def blocks(self) -> tuple[np.ndarray, ...]:
        share = self.popularity
        if self.kind == "RequestPop":
            share = np.log1p(share)
        share = share / np.float32(max(share.max(initial=0), 1))
        if self.kind == "RequestPop":
            share = _TIE_BREAK * share
        return (share[:, None],)

    def encode(self, asked: Asked) -> Batch:
        n = len(asked.requests)
        ones, zeros = np.ones((n, 1), np.float32), np.zeros(n, np.float32)
        return Batch(asked, (ones,), zeros, self.counts.of(asked.requests).log1p())

    def parts(self, batch: Batch, items: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "memory": take(batch.corrections, items),
            "popularity": products(batch.queries[0], self.blocks[0], items),
        }

    def times_chosen(self, request: str, item: int) -> int | None:
        return self.counts.times(request, item) if self.kind == "RequestPop" else None

    def with_items(self, new: NewItems) -> PopularityScorer:
        n = len(new.texts)
        popularity = np.append(self.popularity, np.zeros(n, dtype=np.float32))
        return PopularityScorer(self.kind, popularity, self.counts.with_items(n))

    def keep_items(self, rows: np.ndarray) -> PopularityScorer:
        popularity, counts = self.popularity[rows], self.counts.keep_items(rows)
        return PopularityScorer(self.kind, popularity, counts)

    def with_choice(self, request: str, item: int) -> PopularityScorer:
        popularity, counts = self.popularity.copy(), self.counts
        popularity[item] += 1
        if request and self.kind == "RequestPop":
            counts = counts.with_choice(request, item)
        return PopularityScorer(self.kind, popularity, counts)

    def settings(self) -> dict:
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            **count_arrays(self.counts),
            "memory.npz/popularity": self.popularity,
        }


class WordScorer(LinearScorer):
    """Scores by the words that request and item share: BM25, in Lucene's variant.

    A new item is weighed with the word statistics of the catalogue of the training.

    Args:
        words (list of str): The words of the rows of ``weights``.
        weights (scipy.sparse.csr_matrix): The score of each word for each item, float32
            ``[n_words, n_items]``.
        idf (numpy.ndarray): Of each word, float32 ``[n_words]``.
        n_trained (int): The size of that catalogue.
        average_length (float): Words in an item text.
        k1, b (float): As in the settings.
    """

    kind = "BM25"

    def __init__(
        self,
        words: list[str],
        weights: csr_matrix,
        idf: np.ndarray,
        n_trained: int,
        average_length: float,
        k1: float,
        b: float,
    ):
        self.words, self.weights, self.idf = words, weights, idf
        self.n_trained, self.average_length = n_trained, average_length
        self.k1, self.b = k1, b
        self._row_of = {word: row for row, word in enumerate(words)}

    @property
    def n_items(self) -> int:
        return self.weights.shape[1]

    def _counts(self, texts):
        """Return how often each text has each word, csr ``[len(texts), n_words]``."""
        known = [
            np.array(
                [self._row_of[w] for w in words_of(text) if w in self._row_of], int
            )
            for text in texts
        ]
        return incidence(known, len(self.words))

    def encode(self, asked: Asked) -> Batch:
        shared = (self._counts(asked.requests) @ self.weights).tocsr()
        return Batch(asked, (), np.zeros(shared.shape[0], np.float32), shared)

    def parts(self, batch: Batch, items: np.ndarray) -> dict[str, np.ndarray]:
        return {"text": take(batch.corrections, items)}

    def similar(self, item: int, text: str) -> np.ndarray:
        nobody = np.zeros(0, dtype=np.int64)
        return self.scores(self.encode(Asked([text], [nobody])))[0]

    def with_items(self, new: NewItems) -> WordScorer:
        found = {word for text in new.texts for word in words_of(text)}
        unheard = sorted(found - {*self._row_of})
        # one that no item of the training contains is the rarest
        rarest = np.log(1 + (self.n_trained + 0.5) / 0.5)
        other = WordScorer(
            [*self.words, *unheard],
            self.weights,
            np.append(self.idf, np.full(len(unheard), rarest, dtype=np.float32)),
            self.n_trained,
            self.average_length,
            self.k1,
            self.b,
        )
        count = other._counts(new.texts)
        count.sum_duplicates()
        length = np.asarray(count.sum(axis=1)).ravel()
        norm = self.k1 * (1 - self.b + self.b * length / self.average_length)
        added = count.tocoo()
        weight = other.idf[added.col] * added.data / (added.data + norm[added.row])
        shape = len(other.words), self.n_items + len(new.texts)
        added = csr_matrix((weight, (added.col, added.row + self.n_items)), shape=shape)
        other.weights = (resized(self.weights, shape) + added).tocsr()
        other.weights = other.weights.astype(np.float32)
        return other

    def keep_items(self, rows: np.ndarray) -> WordScorer:
        other = copy.copy(self)
        other.weights = self.weights[:, rows].tocsr()
        return other

    def settings(self) -> dict:
        return {
            "n_trained": self.n_trained,
            "average_length": self.average_length,
            "k1": self.k1,
            "b": self.b,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            "words.parquet/word": self.words,
            **csr_arrays(self.weights, "words.npz"),
            "words.npz/idf": self.idf,
        }


class SimilarItemsScorer(LinearScorer):
    """Scores by how similar an item is to those of the history: ItemKNN, EASE, SLIM.

    Args:
        kind (str): The name of RecBole's model.
        similarity (scipy.sparse.csr_matrix or numpy.ndarray): float32
            ``[n_items, n_items]``; row: an item of the history.
    """

    def __init__(self, kind: str, similarity: csr_matrix | np.ndarray):
        self.kind, self.similarity = kind, csr_matrix(similarity)

    @property
    def n_items(self) -> int:
        return self.similarity.shape[1]

    def encode(self, asked: Asked) -> Batch:
        similar = (incidence(asked.histories, self.n_items) @ self.similarity).tocsr()
        return Batch(asked, (), np.zeros(similar.shape[0], np.float32), similar)

    def parts(self, batch: Batch, items: np.ndarray) -> dict[str, np.ndarray]:
        return {"neighbors": take(batch.corrections, items)}

    def similar(self, item: int, text: str) -> np.ndarray:
        return self.similarity[item].toarray()[0]

    def with_items(self, new: NewItems) -> SimilarItemsScorer:
        n = self.n_items + len(new.texts)
        return SimilarItemsScorer(self.kind, resized(self.similarity, (n, n)))

    def keep_items(self, rows: np.ndarray) -> SimilarItemsScorer:
        return SimilarItemsScorer(self.kind, self.similarity[rows][:, rows].tocsr())

    def settings(self) -> dict:
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        return csr_arrays(self.similarity, "neighbors.npz")
