"""The keys under which a store has the rows of a catalogue that changes."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np


@dataclasses.dataclass(frozen=True)
class Keys:
    """The key of each row. A key is never used for a second item.

    Attributes:
        of_row (numpy.ndarray): int64 ``[n_items]``; -1 for an item that the store does
            not have as the model has it now, -2 for one that it is not to have.
        n_given (int): How many keys were given so far; the next is this one.
    """

    of_row: np.ndarray
    n_given: int

    @classmethod
    def none(cls, n_items: int) -> Keys:
        """Return the keys of a store that has nothing yet."""
        return cls(np.full(n_items, -1, dtype=np.int64), 0)

    @cached_property
    def _row_of(self):
        row_of = np.full(self.n_given + 1, -1, dtype=np.int64)  # the last: of key -1
        rows = np.flatnonzero(self.of_row >= 0)
        row_of[self.of_row[rows]] = rows
        return row_of

    @cached_property
    def missing(self) -> np.ndarray:
        """numpy.ndarray: The rows that the store is to get, int64."""
        return np.flatnonzero(self.of_row == -1)

    @cached_property
    def besides(self) -> np.ndarray:
        """numpy.ndarray: The rows that the store does not have, int64."""
        return np.flatnonzero(self.of_row < 0)

    def rows(self, keys: np.ndarray) -> np.ndarray:
        """Return the rows of keys, int64; -1 for -1 and for items that are gone."""
        known = (keys >= 0) & (keys < self.n_given)
        return self._row_of[np.where(known, keys, -1)]

    def gone(self, before: Keys) -> np.ndarray:
        """Return the keys of ``before`` that no row has any more, int64."""
        kept = np.zeros(before.n_given, dtype=bool)
        kept[self.of_row[(self.of_row >= 0) & (self.of_row < before.n_given)]] = True
        had = before.of_row[before.of_row >= 0]
        return had[~kept[had]]

    def with_items(self, n: int) -> Keys:
        none = np.full(n, -1, dtype=np.int64)
        return Keys(np.concatenate([self.of_row, none]), self.n_given)

    def keep_items(self, rows: np.ndarray) -> Keys:
        return Keys(self.of_row[rows], self.n_given)

    def with_change(self, row: int) -> Keys:
        of_row = self.of_row.copy()
        of_row[row] = -1
        return Keys(of_row, self.n_given)

    def complete(self, left_out: np.ndarray) -> Keys:
        """Return the keys with new ones for :attr:`missing`, but for those of them that
        the store is not to have, bool ``[n_missing]``."""
        of_row, rows = self.of_row.copy(), self.missing[~left_out]
        of_row[self.missing[left_out]] = -2
        of_row[rows] = self.n_given + np.arange(len(rows))
        return Keys(of_row, self.n_given + len(rows))
