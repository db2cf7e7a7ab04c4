"""LateFusion, exported: the weighted sum of the standardised scores of its parts."""

from __future__ import annotations

import copy

import numpy as np
from scipy.sparse import csr_matrix

from recbole_whisperlite.recommend.scorer import Asked, Batch, NewItems, Scorer


class FusionScorer(Scorer):
    """Scores as LateFusion does (``model/latefusion.py``).

    Args:
        parts (dict): Scorers by name.
        weights (dict): Their weights, by name.
        known (numpy.ndarray): Whether an item was in the catalogue in training, bool
            ``[n_items]``; mean and deviation of a score are those over these items.
    """

    kind = "LateFusion"

    def __init__(
        self, parts: dict[str, Scorer], weights: dict[str, float], known: np.ndarray
    ):
        self.of, self.weights, self.known = parts, weights, known

    @property
    def n_items(self) -> int:
        return len(self.known)

    @property
    def splits_requests(self) -> bool:
        return any(part.splits_requests for part in self.of.values())

    def encode(self, asked: Asked) -> Batch:
        standardised = {}
        for name, part in self.of.items():
            if self.weights[name]:
                scores = part.scores(part.encode(asked)).astype(np.float32)
                standardised[name] = self.weights[name] * self._standardise(scores)
        n = len(asked.requests)
        nothing = csr_matrix((n, self.n_items), dtype=np.float32)
        return Batch(asked, (), np.zeros(n, np.float32), nothing, standardised)

    def _standardise(self, scores):
        # over all items, if none of the training is left
        known = scores[:, self.known] if self.known.any() else scores
        if not self.n_items:
            return scores
        mean, deviation = known.mean(axis=1, keepdims=True), known.std(axis=1)[:, None]
        # a deviation that is 0 but for rounding must not be amplified
        flat = deviation <= 1e-6 * np.abs(mean)
        return np.where(flat, 0, (scores - mean) / np.where(flat, 1, deviation))

    def scores(self, batch: Batch) -> np.ndarray:
        shape = len(batch.asked.requests), self.n_items
        return sum(batch.of_parts.values(), np.zeros(shape, dtype=np.float32))

    def parts(self, batch: Batch, items: np.ndarray) -> dict[str, np.ndarray]:
        items = np.maximum(items, 0)
        return {
            name: np.take_along_axis(scores, items, axis=1).astype(np.float32)
            for name, scores in batch.of_parts.items()
        }

    def similar(self, item: int, text: str) -> np.ndarray | None:
        """Return what the first part says that can compare items."""
        found = (part.similar(item, text) for part in self.of.values())
        return next((each for each in found if each is not None), None)

    def splits(self, text: str) -> tuple[str, str]:
        splits = [part.splits(text) for part in self.of.values()]
        return next((split for split in splits if split[1]), (text, ""))

    def times_chosen(self, request: str, item: int) -> int | None:
        times = (part.times_chosen(request, item) for part in self.of.values())
        return next((each for each in times if each is not None), None)

    def _of_each(self, change):
        other = copy.copy(self)
        other.of = {name: change(part) for name, part in self.of.items()}
        return other

    def with_items(self, new: NewItems) -> FusionScorer:
        other = self._of_each(lambda part: part.with_items(new))
        other.known = np.append(self.known, np.zeros(len(new.texts), dtype=bool))
        return other

    def keep_items(self, rows: np.ndarray) -> FusionScorer:
        other = self._of_each(lambda part: part.keep_items(rows))
        other.known = self.known[rows]
        return other

    def with_choice(self, request: str, item: int) -> FusionScorer:
        return self._of_each(lambda part: part.with_choice(request, item))

    def settings(self) -> dict:
        return {
            "weights": self.weights,
            "parts": {
                name: {"model": part.kind, "settings": part.settings()}
                for name, part in self.of.items()
            },
        }

    def arrays(self) -> dict[str, np.ndarray]:
        arrays = {"known.npz/known": self.known}
        for name, part in self.of.items():
            for key, array in part.arrays().items():
                arrays[f"{name}-{key}"] = array
        return arrays
