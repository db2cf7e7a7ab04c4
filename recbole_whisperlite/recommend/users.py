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
        yield from (each for each in list(self._changed) if each not in self._row_of)

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

    def keep_items(self, new_row: np.ndarray) -> Users:
        """Return the users after a change of the catalogue.

        Args:
            new_row (numpy.ndarray): The row that each item has then, -1 for an item that
                is gone, int64 ``[n_items]``.
        """
        ids = list(self)
        histories = [new_row[self.history(user)] for user in ids]
        histories = [history[history >= 0] for history in histories]
        begin = np.cumsum([0, *map(len, histories)])
        items = np.concatenate([np.zeros(0, dtype=np.int64), *histories])
        return Users(ids, begin, items.astype(np.int32))

    def table(self) -> pa.Table:
        """Return users and histories, for a parquet file."""
        return pa.table(
            {
                "user": pa.array(self._ids, pa.string()),
                "items": pa.LargeListArray.from_arrays(
                    pa.array(self._begin, pa.int64()), pa.array(self._items, pa.int32())
                ),
            }
        )

    @classmethod
    def of_table(cls, table: pa.Table) -> Users:
        """Return the users of :meth:`table`."""
        lists = table["items"].combine_chunks()
        items = lists.flatten().to_numpy().astype(np.int32)
        begin = np.cumsum([0, *np.diff(lists.offsets.to_numpy())])
        return cls(table["user"].to_pylist(), begin, items)
