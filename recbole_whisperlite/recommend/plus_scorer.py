"""WhisperLitePlus, exported: text, memory, neighbors, history and refusals."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
from scipy.sparse import csr_matrix

from recbole_whisperlite.data.negation import split_refusals
from recbole_whisperlite.recommend.counts import (
    RequestCounts,
    incidence,
    resized,
    take,
)
from recbole_whisperlite.recommend.embed import check_size, unit
from recbole_whisperlite.recommend.scorer import (
    Asked,
    Batch,
    NewItems,
    count_arrays,
    csr_arrays,
    products,
)
from recbole_whisperlite.recommend.text_scorer import TextScorer


@dataclasses.dataclass(frozen=True)
class Memory:
    """What was chosen for which request, see ``RequestMemory`` in ``model/terms.py``.

    Attributes:
        counts (RequestCounts): How often each item was chosen for each request text.
        popularity (numpy.ndarray): How often each item was chosen, smoothed so that none
            is 0, float32 ``[n_items]``.
        known (numpy.ndarray): Whether an item was in the catalogue in training, bool
            ``[n_items]``: the others do not change what is left for these.
        padding (numpy.ndarray): The embedding of RecBole's padding, which has a share in
            the normalizer as an item that was never chosen, float32 ``[size]``.
        prior_count (float): The weight of the towers, in interactions.
        unseen (float): The popularity of an item that was never chosen.
    """

    counts: RequestCounts
    popularity: np.ndarray
    known: np.ndarray
    padding: np.ndarray
    prior_count: float
    unseen: float

    @property
    def total(self) -> float:
        """float: The popularity of all items known in training, padding included."""
        return float(self.popularity[self.known].sum()) + self.unseen

    def log_normalizer(self, text: np.ndarray, embeddings: np.ndarray) -> np.ndarray:
        """Return the log of the mean of ``exp(logits)`` by popularity, float32 ``[n]``.

        Args:
            text (numpy.ndarray): Scaled embeddings of the requests, ``[n, size]``.
            embeddings (numpy.ndarray): Of the items, ``[n_items, size]``.
        """
        padding = (text @ self.padding)[:, None]
        logits, weight = text @ embeddings.T, self.popularity
        if not self.known.all():  # few columns are copied, instead of many embeddings
            logits, weight = logits[:, self.known], weight[self.known]
        logits = np.concatenate([logits, padding], axis=1)
        weight = np.append(weight, np.float32(self.unseen))
        highest = logits.max(axis=1, keepdims=True)
        mean = np.exp(logits - highest) @ (weight / weight.sum())
        return highest[:, 0] + np.log(mean)

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
            popularity=np.append(self.popularity, np.full(n, self.unseen, np.float32)),
            known=np.append(self.known, np.zeros(n, dtype=bool)),
        )

    def keep_items(self, rows: np.ndarray) -> Memory:
        return dataclasses.replace(
            self,
            counts=self.counts.keep_items(rows),
            popularity=self.popularity[rows],
            known=self.known[rows],
        )


@dataclasses.dataclass(frozen=True)
class LikeHistory:
    """See ``LikeHistory`` in ``model/terms.py``.

    Attributes:
        vectors (numpy.ndarray): Of the items, float32 ``[n_items, dim]``.
        mean (numpy.ndarray): float32 ``[dim of the frozen vectors]``.
        projection (numpy.ndarray): float64 ``[dim of the frozen vectors, dim]``.
        weight (float): Of the part in the score.
        attention_scale (float): The factor of the cosines before the softmax.
    """

    vectors: np.ndarray
    mean: np.ndarray
    projection: np.ndarray
    weight: float
    attention_scale: float

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Return the vectors of new items from their frozen ones, float32 ``[n, dim]``."""
        check_size(vectors, len(self.mean), "the components of the history")
        centred = (vectors - self.mean) * vectors.any(axis=1, keepdims=True)
        return unit((centred.astype(np.float64) @ self.projection).astype(np.float32))


class PlusScorer(TextScorer):
    """Scores as WhisperLitePlus does (``model/whisperliteplus.py`` has the formulas).

    For an item that was never chosen for the request, the memory is the score of the
    towers plus the log of the item's popularity, up to a constant: so that everything but
    the counts of the request and the neighbors is an inner product.

    Args:
        text (TextScorer): The towers.
        memory (Memory or None), like_history (LikeHistory or None): These parts.
        neighbors (scipy.sparse.csr_matrix or None): Scaled cosines of the items, float32
            ``[n_items, n_items]``.
        neighbors_weight (float): The weight of the part in the score.
        splits_requests (bool): Whether what a request rules out is separated from its
            wish.
        refusal_weight (float): How much that counts; 0 if the training had no refusals.
        history_length (int): How many of the latest items of a history count.
    """

    def __init__(
        self,
        text: TextScorer,
        memory: Memory | None,
        like_history: LikeHistory | None,
        neighbors: csr_matrix | None,
        neighbors_weight: float,
        splits_requests: bool,
        refusal_weight: float,
        history_length: int,
    ):
        super().__init__(
            "WhisperLitePlus", text.embedder, text.scale, text.embeddings, text.pictures
        )
        self.memory, self.like_history, self.neighbors = memory, like_history, neighbors
        self.neighbors_weight = float(neighbors_weight)
        self.splits_requests = splits_requests
        self.refusal_weight = float(refusal_weight)
        self.history_length = history_length
        self.log_popularity = None
        if memory is not None:
            self.log_popularity = np.log(memory.popularity)[:, None]

    @property
    def blocks(self) -> tuple[np.ndarray, ...]:
        blocks = [self.embeddings]
        if self.memory is not None:
            blocks.append(self.log_popularity)
        if self.like_history is not None:
            blocks.append(self.like_history.vectors)
        return (*blocks, *super().blocks[1:])

    def splits(self, text: str) -> tuple[str, str]:
        return split_refusals(text) if self.splits_requests else (text, "")

    def encode(self, asked: Asked) -> Batch:
        n, of_parts = len(asked.requests), {}
        wish, refusal = zip(*map(self.splits, asked.requests))
        scale = np.float32(self.scale)
        embedding = self._embed(list(wish)) * asked.has_text[:, None]
        text = embedding * scale
        of_parts["text"], of_parts["refusals"] = text, None
        query = text
        if self.refusal_weight and any(refusal):
            refuses = np.array([bool(each) for each in refusal])[:, None]
            away = np.where(refuses, self._embed(list(refusal)), 0)
            away *= np.float32(-self.refusal_weight * self.scale)
            of_parts["refusals"], query = away, text + away
        queries, constant = [query], np.zeros(n, dtype=np.float32)
        corrections = []
        if self.memory is not None:
            queries.append(np.ones((n, 1), dtype=np.float32))
            constant, counted = self._remember(asked, text, of_parts)
            corrections.append(counted)
        histories = [each[-self.history_length :] for each in asked.histories]
        if self.like_history is not None:
            of_parts["embedding"] = embedding
            of_parts["history"] = self._about(embedding, histories)
            queries.append(of_parts["history"])
        of_parts["neighbors"] = None
        if self.neighbors is not None and any(map(len, histories)):
            shared = (incidence(histories, self.n_items) @ self.neighbors).tocsr()
            shared.data = np.float32(self.neighbors_weight) * np.log1p(shared.data)
            of_parts["neighbors"] = shared
            corrections.append(shared)
        if self.pictures is not None:
            queries.append(self._picture_query(asked))
        zero = csr_matrix((n, self.n_items), dtype=np.float32)
        corrections = sum(corrections[1:], corrections[0]) if corrections else zero
        return Batch(asked, tuple(queries), constant, corrections, of_parts)

    def _remember(self, asked, text, of_parts):
        """Return the constants, ``[n]``, and what counts add, csr ``[n, n_items]``."""
        memory = self.memory
        # the score of an item that was never chosen is logit + log popularity + expected,
        # less the log of all choices
        prior = np.float32(np.log(memory.prior_count / memory.total))
        expected = prior - memory.log_normalizer(text, self.embeddings)
        count = memory.counts.of(asked.requests)
        n_chosen = np.asarray(count.sum(axis=1)).ravel()
        constant = expected - np.log(n_chosen + memory.prior_count).astype(np.float32)
        added = count.tocoo()
        logit = np.einsum("nd,nd->n", text[added.row], self.embeddings[added.col])
        prior = logit + self.log_popularity[added.col, 0] + expected[added.row]
        raised = np.logaddexp(np.log(added.data), prior) - prior
        counted = csr_matrix(
            (raised.astype(np.float32), (added.row, added.col)), shape=count.shape
        )
        of_parts["counted"], of_parts["constant"] = counted, constant
        return constant, counted

    def _attention(self, embedding, history):
        """Return how much each item of a history counts for a request, ``[length]``."""
        cosine = unit(self.embeddings[history]) @ unit(embedding[None])[0]
        logit = self.like_history.attention_scale * cosine
        weight = np.exp(logit - logit.max())
        return weight / weight.sum()

    def _about(self, embedding, histories):
        vectors = self.like_history.vectors
        about = np.zeros((len(histories), vectors.shape[1]), dtype=np.float32)
        for row, history in enumerate(histories):
            if len(history):
                about[row] = self._attention(embedding[row], history) @ vectors[history]
        return np.float32(self.like_history.weight) * about

    def parts(self, batch: Batch, items: np.ndarray) -> dict[str, np.ndarray]:
        of = batch.of_parts
        parts = {"text": products(of["text"], self.embeddings, items)}
        if self.memory is not None:
            prior = self.log_popularity[np.maximum(items, 0), 0]
            constant = of["constant"][:, None]
            parts["memory"] = prior + constant + take(of["counted"], items)
        if self.neighbors is not None:
            parts["neighbors"] = take(of["neighbors"], items)
        if self.like_history is not None:
            vectors = self.like_history.vectors
            parts["history"] = products(of["history"], vectors, items)
        if self.refusal_weight:
            parts["refusals"] = products(of["refusals"], self.embeddings, items)
        if self.pictures is not None:
            parts["picture"] = products(batch.queries[-1], self.pictures, items)
        return parts

    def times_chosen(self, request: str, item: int) -> int | None:
        return None if self.memory is None else self.memory.counts.times(request, item)

    def attended(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        history = batch.asked.histories[0][-self.history_length :]
        if self.like_history is None or not len(history):
            return super().attended(batch)
        return history, self._attention(batch.of_parts["embedding"][0], history)

    def with_items(self, new: NewItems) -> PlusScorer:
        other = super().with_items(new)
        n = self.n_items + len(new.texts)
        if self.memory is not None:
            other._remember_by(self.memory.with_items(len(new.texts)))
        if self.neighbors is not None:
            other.neighbors = resized(self.neighbors, (n, n))
        if self.like_history is not None:
            inputs = self.embedder.item_inputs(new.texts, new.pictures)
            vectors = np.concatenate(
                [self.like_history.vectors, self.like_history.project(inputs)]
            )
            other.like_history = dataclasses.replace(self.like_history, vectors=vectors)
        return other

    def keep_items(self, rows: np.ndarray) -> PlusScorer:
        other = super().keep_items(rows)
        if self.memory is not None:
            other._remember_by(self.memory.keep_items(rows))
        if self.neighbors is not None:
            other.neighbors = self.neighbors[rows][:, rows].tocsr()
        if self.like_history is not None:
            vectors = self.like_history.vectors[rows]
            other.like_history = dataclasses.replace(self.like_history, vectors=vectors)
        return other

    def with_choice(self, request: str, item: int) -> PlusScorer:
        other = copy.copy(self)
        if self.memory is not None:
            other._remember_by(self.memory.with_choice(request, item))
        return other

    def _remember_by(self, memory):
        self.memory, self.log_popularity = memory, np.log(memory.popularity)[:, None]

    def settings(self) -> dict:
        settings = {
            **super().settings(),
            "splits_requests": self.splits_requests,
            "refusal_weight": self.refusal_weight,
            "history_length": self.history_length,
            "neighbors_weight": self.neighbors_weight,
        }
        if self.memory is not None:
            settings["prior_count"] = self.memory.prior_count
            settings["unseen"] = self.memory.unseen
        if self.like_history is not None:
            settings["history_weight"] = self.like_history.weight
            settings["attention_scale"] = self.like_history.attention_scale
        return settings

    def arrays(self) -> dict[str, np.ndarray]:
        arrays = super().arrays()
        if self.memory is not None:
            arrays.update(count_arrays(self.memory.counts))
            arrays["memory.npz/popularity"] = self.memory.popularity
            arrays["memory.npz/known"] = self.memory.known
            arrays["memory.npz/padding"] = self.memory.padding
        if self.neighbors is not None:
            arrays.update(csr_arrays(self.neighbors, "neighbors.npz"))
        if self.like_history is not None:
            arrays["item_vectors.npy"] = self.like_history.vectors
            arrays["history.npz/mean"] = self.like_history.mean
            arrays["history.npz/projection"] = self.like_history.projection
        return arrays
