"""What a store is, and the one that reads every row."""

from __future__ import annotations

import abc
from collections.abc import Mapping

import numpy as np

from recbole_whisperlite.recommend.scorer import Asked, Batch, Scorer


class Store(abc.ABC):
    """Finds the best items of a catalogue. Immutable: a change returns another store.

    Attributes:
        name (str): How it is asked for: ``exact``, ``usearch`` or ``milvus``.
    """

    name: str

    @abc.abstractmethod
    def encode(self, scorer: Scorer, asked: Asked) -> Batch:
        """Encode a batch for :meth:`top`."""

    @abc.abstractmethod
    def top(
        self,
        scorer: Scorer,
        batch: Batch,
        k: int,
        allowed: np.ndarray,
        where: Mapping[str, object] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the best items among those that are allowed.

        Args:
            scorer (Scorer): The model.
            batch (Batch): The batch.
            k (int): How many.
            allowed (numpy.ndarray): bool ``[n, n_items]`` or ``[1, n_items]``.
            where (dict, optional): Conditions that all allowed items meet, as for
                :meth:`Catalogue.where`: a store may look among such items only.

        Returns:
            tuple: Items, int64 ``[n, k]``, and scores, float32 ``[n, k]``, the best first
            and among equals the first item; -1 and minus infinity where there are fewer.
        """

    @abc.abstractmethod
    def with_items(self, n: int) -> Store:
        """Return the store of a catalogue with ``n`` items added at the end."""

    @abc.abstractmethod
    def keep_items(self, rows: np.ndarray) -> Store:
        """Return the store of the items ``rows`` only, int64, in this order."""

    @abc.abstractmethod
    def with_change(self, row: int) -> Store:
        """Return the store of a catalogue in which the model scores one item anew."""


class Exact(Store):
    """Scores every item, from rows that may be memory-mapped."""

    name = "exact"

    def encode(self, scorer: Scorer, asked: Asked) -> Batch:
        return scorer.encode(asked)

    def top(
        self,
        scorer: Scorer,
        batch: Batch,
        k: int,
        allowed: np.ndarray,
        where: Mapping[str, object] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        return scorer.top(batch, k, allowed)

    def with_items(self, n: int) -> Exact:
        return self

    def keep_items(self, rows: np.ndarray) -> Exact:
        return self

    def with_change(self, row: int) -> Exact:
        return self


EXACT = Exact()
