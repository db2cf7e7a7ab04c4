"""The histories of the users of an exported model."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator

import numpy as np
import pyarrow as pa


class Users:
    """The items that each user has chosen, oldest first. Immutable.

    Args:
        ids (list of str): The users.
        begin (numpy.ndarray): Where each history begins in ``items``, int64
            ``[n_users + 1]``.
        items (numpy.ndarray): Rows of the catalogue, int32 ``[n]``.
    """

    def __init__(self, ids: list[str], begin: np.ndarray, items: np.ndarray):
        self._ids, self._begin, self._items = list(ids), begin, items
        # Histories that replace those above: a choice must not copy all of them.
        self._changed = {}

    @classmethod
    def none(cls) -> Users:
        """Return no users."""
        return cls([], np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int32))

    @functools.cached_property
    def _row_of(self):
        return {id_: row for row, id_ in enumerate(self._ids)}

    def __contains__(self, user):
        return user in self._changed or user in self._row_of

    def __len__(self):
        return len(self._ids) + sum(each not in self._row_of for each in self._changed)

    def __iter__(self) -> Iterator[str]:
        yield from self._ids
        yield from (each for each in self._changed if each not in self._row_of)

    def history(self, user: str) -> np.ndarray:
        """Return the history of a user, int64 ``[n]``; empty if the user is unknown."""
        if user in self._changed:
            return self._changed[user]
        row = self._row_of.get(user)
        if row is None:
            return np.zeros(0, dtype=np.int64)
        return self._items[self._begin[row] : self._begin[row + 1]].astype(np.int64)

    def with_choice(self, user: str, item: int) -> Users:
        """Return the users with an item at the end of a history; a new user gets one."""
        other = copy.copy(self)
        history = np.append(self.history(user), item)
        other._changed = {**self._changed, user: history}
        return other

    def merged(self) -> Users:
        """Return the same users with all histories in one array."""
        if not self._changed:
            return self
        histories = [self.history(user) for user in self]
        begin = np.cumsum([0, *map(len, histories)])
        items = np.concatenate([np.zeros(0, dtype=np.int64), *histories])
        return Users(list(self), begin, items.astype(np.int32))

    def keep_items(self, new_row: np.ndarray) -> Users:
        """Return the users after a change of the catalogue.

        Args:
            new_row (numpy.ndarray): The row that each item has then, -1 for an item that
                is gone, int64 ``[n_items]``.
        """
        merged = self.merged()
        items = new_row[merged._items]
        n_kept = np.append(0, np.cumsum(items >= 0))  # before each place
        begin = n_kept[merged._begin]
        return Users(merged._ids, begin, items[items >= 0].astype(np.int32))

    def table(self) -> pa.Table:
        """Return users and histories, for a parquet file."""
        merged = self.merged()
        begin, items = merged._begin, merged._items
        return pa.table(
            {
                "user": pa.array(merged._ids, pa.string()),
                "items": pa.LargeListArray.from_arrays(
                    pa.array(begin, pa.int64()), pa.array(items, pa.int32())
                ),
            }
        )

    @classmethod
    def of_table(cls, table: pa.Table, n_items: int) -> Users:
        """Return the users of :meth:`table`.

        Raises:
            ValueError: If a user is empty or there twice, or a history has items that
                are not in a catalogue of ``n_items``.
        """
        ids, lists = table["user"].to_pylist(), table["items"].combine_chunks()
        if not all(isinstance(id_, str) for id_ in ids) or len({*ids}) < len(ids):
            raise ValueError("a user is there twice, or is no text")
        items = lists.flatten().to_numpy()
        known = items.dtype.kind == "i" and lists.null_count == 0
        if not known or (len(items) and not 0 <= items.min() <= items.max() < n_items):
            raise ValueError("a history has items that are not in the catalogue")
        begin = np.cumsum([0, *np.diff(lists.offsets.to_numpy())])
        return cls(ids, begin, items.astype(np.int32))
