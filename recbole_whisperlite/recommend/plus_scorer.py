"""WhisperLitePlus, exported: text, and what a shop knows besides."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_matrix

from recbole_whisperlite.data.negation import names_of, split_refusals
from recbole_whisperlite.recommend.counts import (
    incidence,
    resized,
    rows_of,
    take,
    total,
)
from recbole_whisperlite.recommend.embed import unit
from recbole_whisperlite.recommend.plus_terms import (
    ItemVectors,
    Memory,
    Nearest,
    Similarity,
    log_normalizer,
    log_sum,
)
from recbole_whisperlite.recommend.refused_words import RefusedWords
from recbole_whisperlite.recommend.scorer import (
    Asked,
    Batch,
    Factor,
    NewItems,
    count_arrays,
    csr_arrays,
    products,
)
from recbole_whisperlite.recommend.similar_requests import SimilarRequests
from recbole_whisperlite.recommend.text_scorer import TextScorer

#: Terms that have other weights for users without a history.
OF_REQUEST = (
    "memory",
    "similar_requests",
    "towers",
    "zero_shot",
    "popularity",
    "unchosen",
    "seldom",
)
#: Those whose weight depends on how often an item was chosen.
BY_FREQUENCY = ("neighbors", "transitions", "history", "nearest", "similarity")
#: The terms that have weights: those of ``model/whisperliteplus.py``, where the two of
#: ``refused_words`` have one each, which are in its table here.
TERMS = (*OF_REQUEST, "refusals", "refused_words", *BY_FREQUENCY)
#: Terms that are there together or not at all.
OF_MEMORY = ("memory", "popularity", "unchosen", "seldom")


class PlusScorer(TextScorer):
    """Scores as WhisperLitePlus does (``model/whisperliteplus.py`` has the formulas).

    For an item that was never chosen for the request, the memory is the score of the
    towers plus the log of the item's popularity, up to a constant: so that everything is
    an inner product but the counts of the request and of those like it, and what belongs
    to pairs of items (neighbors, transitions, nearest).

    Args:
        text (TextScorer): The towers.
        known (numpy.ndarray): Whether an item was in the catalogue in training, bool
            ``[n_items]``: the others do not change what is left for these.
        weights (dict): The weights of the terms by name, some of :data:`TERMS`, with
            ``towers``; those of refusals include how strongly they count in ranking.
            What belongs to other terms below is None.
        weights_of_frequent (dict): Those of :data:`BY_FREQUENCY` among the terms for the
            item that was chosen most often; in ``weights`` are those for an item that
            nobody chose, and others are between them.
        weights_without_history (dict): Those of :data:`OF_REQUEST` among the terms for
            users without a history, which ``weights`` are not for.
        frequency (numpy.ndarray): Where, from 0 to 1, float32 ``[n_items]``.
        splits_requests (bool): Whether what a request rules out is separated from its
            wish.
        negated_names (frozenset of str): Names that look like refusals, and are none.
        history_length (int): How many of the latest items of a history count.
        attention_scale (float): The factor of the cosines of request and history before
            the softmax.
        memory (Memory or None): Of :data:`OF_MEMORY`.
        similar_requests (SimilarRequests or None): This term.
        refused_words (RefusedWords or None): This term.
        neighbors, transitions (scipy.sparse.csr_matrix or None): Scaled cosines of items,
            and scaled counts of steps from one item to another, float32
            ``[n_items, n_items]``.
        vectors (ItemVectors or None): Of ``zero_shot``, ``history``, ``nearest`` and
            ``similarity``.
        nearest (Nearest or None), similarity (Similarity or None): These terms.
    """

    def __init__(
        self,
        text: TextScorer,
        known: np.ndarray,
        weights: dict[str, float],
        weights_of_frequent: dict[str, float],
        weights_without_history: dict[str, float],
        frequency: np.ndarray,
        *,
        splits_requests: bool,
        negated_names: frozenset[str] = frozenset(),
        history_length: int,
        attention_scale: float,
        memory: Memory | None = None,
        similar_requests: SimilarRequests | None = None,
        refused_words: RefusedWords | None = None,
        neighbors: csr_matrix | None = None,
        transitions: csr_matrix | None = None,
        vectors: ItemVectors | None = None,
        nearest: Nearest | None = None,
        similarity: Similarity | None = None,
    ):
        super().__init__(
            "WhisperLitePlus", text.embedder, text.scale, text.embeddings, text.pictures
        )
        self.known, self.weights = known, weights
        self.weights_of_frequent, self.frequency = weights_of_frequent, frequency
        self.weights_without_history = weights_without_history
        self.splits_requests, self.history_length = splits_requests, history_length
        self.attention_scale, self.negated_names = attention_scale, negated_names
        self.similar_requests = similar_requests
        self.refused_words = refused_words
        self.neighbors, self.transitions = neighbors, transitions
        self.vectors, self.nearest, self.similarity = vectors, nearest, similarity
        self._remember_by(memory)

    def _remember_by(self, memory):
        self.memory, self.columns = memory, None
        if memory is not None:
            self.columns = memory.columns(self.known)
            # those that were not in training have no share of what was chosen then
            log_popularity = np.where(self.known, self.columns[:, 0], -np.inf)
            self.log_popularity = log_popularity.astype(np.float32)
            self.log_total = log_sum(self.log_popularity) if self.known.any() else 0

    def _weight(self, name):
        return np.float32(self.weights[name])

    def _weight_of_items(self, name):
        """Return the weight of a term for items."""
        frequent = np.float32(self.weights_of_frequent[name])
        return Factor(self._weight(name), frequent, self.frequency)

    def _weights_of_rows(self, histories):
        """Return the weights of :data:`OF_REQUEST` for each row, ``{name: [n]}``; and those
        of the scores of the towers, by themselves and as the prior of two terms."""
        alone = np.array([len(each) == 0 for each in histories])
        w = {
            name: np.where(alone, weight, self.weights[name]).astype(np.float32)
            for name, weight in self.weights_without_history.items()
        }
        w["prior"] = w.get("memory", 0) + w.get("similar_requests", 0)
        w["text"] = w["towers"] + w["prior"]
        return w

    @property
    def blocks(self) -> tuple[np.ndarray, ...]:
        blocks = [self.embeddings]
        if self.memory is not None:
            blocks.append(self.columns)
        if "zero_shot" in self.weights:
            blocks.append(self.vectors.vectors)
        if "history" in self.weights:
            blocks.append(self.vectors.vectors)
        if self.similarity is not None:
            blocks.append(self.similarity.keys)
        return (*blocks, *super().blocks[1:])

    @property
    def factors(self) -> tuple[np.ndarray | None, ...]:
        factors = [None]
        if self.memory is not None:
            factors.append(None)
        if "zero_shot" in self.weights:
            factors.append(None)
        if "history" in self.weights:
            factors.append(self._weight_of_items("history"))
        if self.similarity is not None:
            factors.append(self._weight_of_items("similarity"))
        return (*factors, *super().factors[len(factors) :])

    def splits(self, text: str) -> tuple[str, str]:
        if not self.splits_requests:
            return text, ""
        return split_refusals(text, self.negated_names)

    def log_normalizers(self, logits: np.ndarray) -> np.ndarray:
        """Return the logs by which the memory makes shares of what the towers expect.

        Args:
            logits (numpy.ndarray): Scaled embeddings of requests, float32 ``[n, size]``.

        Returns:
            numpy.ndarray: float32 ``[n]``, each from the embeddings of all items.
        """
        return log_normalizer(self._of_items(logits), self.log_popularity)

    def _of_items(self, logits):
        """Return the inner products with the embeddings of all items, ``[n, n_items]``."""
        return logits @ np.asarray(self.embeddings).T

    def encode(
        self,
        asked: Asked,
        log_normalizers: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> Batch:
        """Encode a batch.

        Args:
            asked (Asked): What is asked.
            log_normalizers (callable, optional): Stands in for :meth:`log_normalizers`,
                the only step that reads all items.
        """
        n = len(asked.requests)
        histories = [each[-self.history_length :] for each in asked.histories]
        w = self._weights_of_rows(histories)
        wish, refusal = zip(*map(self.splits, asked.requests))
        refuses = bool(self.weights.get("refusals")) and any(refusal)
        # all texts at once, since each call of an encoder costs much
        frozen = self.embedder.request_inputs([*wish, *(refusal if refuses else ())])
        embeddings = self._checked(self.embedder.request_tower.embed(frozen))
        frozen, embedding, away = frozen[:n], embeddings[:n], embeddings[n:]
        embedding *= asked.has_text[:, None]
        logits = embedding * np.float32(self.scale)
        of_parts = {"embedding": embedding, "text": logits * w["text"][:, None]}
        query = of_parts["text"]
        if refuses:
            away = away * np.array([bool(each) for each in refusal])[:, None]
            of_wish = unit(embedding)
            shared = np.einsum("nd,nd->n", away, of_wish)[:, None]
            away -= np.maximum(shared, 0) * of_wish
            away *= np.float32(-self.scale) * self._weight("refusals")
            of_parts["refusals"], query = away, query + away
        queries, constant = [query], np.zeros(n, dtype=np.float32)
        corrections = [csr_matrix((n, self.n_items), dtype=np.float32)]
        if self.refused_words is not None and any(refusal):
            of_parts["refused_words"] = self.refused_words.of(list(refusal))
            of_parts["refused_words"] *= self._weight("refused_words")
            corrections.append(of_parts["refused_words"])
        known = {}
        if self.memory is not None:
            if log_normalizers:
                normalizer = log_normalizers(logits)
            else:  # reads the embeddings of all items, which scores then need not
                of_items = self._of_items(logits)
                normalizer = log_normalizer(of_items, self.log_popularity)
                if not refuses:
                    known[0] = of_items * w["text"][:, None]
            constant = self._remember(asked, logits, normalizer, frozen, of_parts, w)
            queries.append(of_parts["popularity"] + of_parts["of_new"])
            corrections += [of_parts[name] for name in self._counted]
        if "zero_shot" in w:
            of_wish = self.vectors.project(frozen) * asked.has_text[:, None]
            of_parts["zero_shot"] = of_wish * w["zero_shot"][:, None]
            queries.append(of_parts["zero_shot"])
        if "history" in self.weights:
            of_parts["history"] = self._about(embedding, histories)
            queries.append(of_parts["history"])
        if self.similarity is not None:
            of_parts["similarity"] = self.similarity.summarize(histories)
            queries.append(of_parts["similarity"])
        if self.pictures is not None:
            picture = self._picture_query(asked)
            queries.append(None if picture is None else picture * w["text"][:, None])
        for name, of_pairs in self._of_pairs(histories):
            of_pairs.data *= self._weight_of_items(name)[of_pairs.indices]
            of_parts[name] = of_pairs
            corrections.append(of_pairs)
        added = total(corrections)
        return Batch(asked, tuple(queries), constant, added, of_parts, known)

    @property
    def _counted(self):
        """The terms that add counts to what the towers expect."""
        return [name for name in ("memory", "similar_requests") if name in self.weights]

    def _remember(self, asked, logits, normalizer, frozen, of_parts, w):
        """Return the constants, ``[n]``; note the queries of the columns of the memory,
        ``[n, 4]``, and what the counts of each term add, csr ``[n, n_items]``."""
        memory = self.memory
        popularity = w["prior"] + w["popularity"]
        of_columns = popularity, np.zeros_like(popularity), w["unchosen"], w["seldom"]
        of_parts["popularity"] = np.stack(of_columns, axis=1)
        of_parts["of_new"] = np.zeros_like(of_parts["popularity"])
        # of the popularity as a share of that of all, the divisor is in the constant
        of_parts["shift"] = np.float32(-w["prior"] * self.log_total)
        constant = np.zeros(len(logits), dtype=np.float32)
        for name in self._counted:
            if name == "memory":
                count = memory.counts.of(asked.requests)
                prior_count = memory.prior_count
            else:
                count = self.similar_requests.of(asked.requests, frozen)
                prior_count = self.similar_requests.prior_count
            constant += self._smooth(
                name, w[name], count, prior_count, logits, normalizer, of_parts
            )
        of_parts["constant"] = constant - of_parts["shift"]
        return constant

    def _smooth(self, name, w, count, prior_count, logits, normalizer, of_parts):
        """Return the constant of one of the terms, ``[n]``; note what its counts add."""
        n_chosen = np.asarray(count.sum(axis=1)).ravel()
        # what of the prior is left beside the choices for the request
        log_share = np.log(prior_count / (n_chosen + prior_count))
        # all choices were made without the items that are new
        of_parts["of_new"][:, 1] -= np.float32(w * log_share)
        log_popularity, is_new = self.columns[:, :2].T
        row, column = rows_of(count), count.indices
        prior = np.einsum("nd,nd->n", logits[row], self.embeddings[column])
        prior += log_popularity[column] - normalizer[row]
        prior += np.float32(np.log(prior_count))
        raised = w[row] * (np.logaddexp(np.log(count.data), prior) - prior)
        raised[is_new[column] != 0] = 0
        of_parts[name] = csr_matrix(
            (raised.astype(np.float32), column, count.indptr), shape=count.shape
        )
        return np.float32(w * (log_share - normalizer))

    def _of_pairs(self, histories):
        """Yield the terms of pairs of items: name, and csr ``[n, n_items]``."""
        latest = [each[-1:] for each in histories]
        tables = {
            "neighbors": (self.neighbors, histories),
            "transitions": (self.transitions, latest),
        }
        if not any(map(len, histories)):
            return
        for name, (table, items) in tables.items():
            if table is not None:
                found = (incidence(items, self.n_items) @ table).tocsr()
                np.log1p(found.data, out=found.data)
                yield name, found
        if self.nearest is not None:
            vectors = self.vectors.vectors
            yield "nearest", self.nearest.of(histories, vectors, self.known)

    def _attention(self, embedding, history):
        """Return how much each item of a history counts for a request, ``[length]``."""
        cosine = unit(self.embeddings[history]) @ unit(embedding[None])[0]
        logit = np.float32(self.attention_scale) * cosine
        weight = np.exp(logit - logit.max())
        return weight / weight.sum()

    def _about(self, embedding, histories):
        vectors = self.vectors.vectors
        about = np.zeros((len(histories), vectors.shape[1]), dtype=np.float32)
        for row, history in enumerate(histories):
            if len(history):
                about[row] = self._attention(embedding[row], history) @ vectors[history]
        return about

    def parts(self, batch: Batch, items: np.ndarray) -> dict[str, np.ndarray]:
        of = batch.of_parts
        parts = {"text": products(of["text"], self.embeddings, items)}
        if "zero_shot" in self.weights:
            vectors = self.vectors.vectors
            parts["text"] += products(of["zero_shot"], vectors, items)
        if self.memory is not None:
            popularity = products(of["popularity"], self.columns, items)
            parts["popularity"] = popularity + of["shift"][:, None]
            of_new = products(of["of_new"], self.columns, items)
            parts["memory"] = of["constant"][:, None] + of_new
            for name in self._counted:
                parts[name] = parts.get(name, 0) + take(of[name], items)
        if "refusals" in self.weights:
            parts["refusals"] = products(of.get("refusals"), self.embeddings, items)
        if "refused_words" in self.weights:
            parts["refusals"] += take(of.get("refused_words"), items)
        for name in ("neighbors", "transitions"):
            if name in self.weights:
                parts[name] = take(of.get(name), items)
        if "history" in self.weights:
            vectors = self.vectors.vectors
            parts["history"] = products(of["history"], vectors, items)
            parts["history"] *= self._weight_of_items("history")[items]
        if "nearest" in self.weights:
            parts["nearest"] = take(of.get("nearest"), items)
        if self.similarity is not None:
            keys = self.similarity.keys
            parts["similarity"] = products(of["similarity"], keys, items)
            parts["similarity"] *= self._weight_of_items("similarity")[items]
        if self.pictures is not None:
            parts["picture"] = products(batch.queries[-1], self.pictures, items)
        return parts

    def times_chosen(self, request: str, item: int) -> int | None:
        return None if self.memory is None else self.memory.counts.times(request, item)

    def attended(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        history = batch.asked.histories[0][-self.history_length :]
        if "history" not in self.weights or not len(history):
            return super().attended(batch)
        return history, self._attention(batch.of_parts["embedding"][0], history)

    def with_items(self, new: NewItems) -> PlusScorer:
        other, n = super().with_items(new), len(new.texts)
        size = (self.n_items + n,) * 2
        other.negated_names = self.negated_names | names_of(new.texts)
        other.known = np.append(self.known, np.zeros(n, dtype=bool))
        other.frequency = np.append(self.frequency, np.zeros(n, dtype=np.float32))
        if self.memory is not None:
            other._remember_by(self.memory.with_items(n))
        if self.similar_requests is not None:
            other.similar_requests = self.similar_requests.with_items(n)
        if self.refused_words is not None:
            other.refused_words = self.refused_words.with_items(new.texts)
        if self.neighbors is not None:
            other.neighbors = resized(self.neighbors, size)
        if self.transitions is not None:
            other.transitions = resized(self.transitions, size)
        if self.vectors is not None:
            frozen = self.embedder.item_inputs(new.texts, new.pictures)
            vectors = self.vectors.project(frozen)
            other.vectors = self.vectors.with_items(vectors)
        if self.nearest is not None:
            every = other.vectors.vectors
            other.nearest = self.nearest.with_items(every, other.known)
        if self.similarity is not None:
            other.similarity = self.similarity.with_items(vectors)
        return other

    def keep_items(self, rows: np.ndarray) -> PlusScorer:
        other = super().keep_items(rows)
        other.known, other.frequency = self.known[rows], self.frequency[rows]
        if self.memory is not None:
            other._remember_by(self.memory.keep_items(rows))
        if self.neighbors is not None:
            other.neighbors = self.neighbors[rows][:, rows].tocsr()
        if self.transitions is not None:
            other.transitions = self.transitions[rows][:, rows].tocsr()
        parts = "similar_requests", "refused_words", "vectors", "nearest", "similarity"
        for name in parts:
            if getattr(self, name) is not None:
                setattr(other, name, getattr(self, name).keep_items(rows))
        return other

    def with_choice(self, request: str, item: int) -> PlusScorer:
        other = copy.copy(self)
        if self.memory is not None:
            other._remember_by(self.memory.with_choice(request, item))
        return other

    def settings(self) -> dict:
        settings = {
            **super().settings(),
            "weights": self.weights,
            "weights_of_frequent": self.weights_of_frequent,
            "weights_without_history": self.weights_without_history,
            "splits_requests": self.splits_requests,
            "negated_names": sorted(self.negated_names),
            "history_length": self.history_length,
            "attention_scale": self.attention_scale,
        }
        if self.memory is not None:
            settings["prior_count"] = self.memory.prior_count
            settings["unseen"] = self.memory.unseen
            settings["new_log_factor"] = self.memory.new_log_factor
        if self.similar_requests is not None:
            settings["n_similar_requests"] = self.similar_requests.n_similar
            settings["similar_count"] = self.similar_requests.prior_count
        if self.refused_words is not None:
            settings["most_by_words"] = self.refused_words.most
        if self.nearest is not None:
            settings["n_nearest"] = self.nearest.n_nearest
        return settings

    def arrays(self) -> dict[str, np.ndarray]:
        arrays = {**super().arrays(), "known.npz/known": self.known}
        arrays["known.npz/frequency"] = self.frequency
        if self.memory is not None:
            arrays.update(count_arrays(self.memory.counts))
            arrays["memory.npz/popularity"] = self.memory.popularity
        if self.similar_requests is not None:
            arrays.update(self._arrays_of_similar_requests())
        if self.refused_words is not None:
            part = self.refused_words
            arrays["refused_words.parquet/word"] = part.words
            arrays.update(csr_arrays(part.table, "refused_words.npz"))
            arrays["item_words.parquet/word"] = part.item_words
            arrays.update(csr_arrays(part.bags, "item_words.npz"))
        for name in ("neighbors", "transitions"):
            if getattr(self, name) is not None:
                arrays.update(csr_arrays(getattr(self, name), f"{name}.npz"))
        if self.vectors is not None:
            arrays["item_vectors.npy"] = self.vectors.vectors
            arrays["history.npz/mean"] = self.vectors.mean
            arrays["history.npz/projection"] = self.vectors.projection
        if self.nearest is not None:
            arrays.update(csr_arrays(self.nearest.cosine, "nearest.npz"))
            arrays["nearest.npz/least"] = self.nearest.least
        if self.similarity is not None:
            arrays["item_keys.npy"] = self.similarity.keys
            arrays["item_queries.npy"] = self.similarity.queries
            for name in ("to_key", "to_query", "position"):
                arrays[f"similarity.npz/{name}"] = getattr(self.similarity, name)
        return arrays

    def _arrays_of_similar_requests(self):
        file, part = "similar_requests.npz", self.similar_requests
        return {
            "similar_requests.parquet/request": part.counts.texts,
            "similar_request_vectors.npy": part.vectors,
            **csr_arrays(part.counts.matrix, file),
            f"{file}/mean": part.mean,
            f"{file}/projection": part.projection,
        }
