"""Which interactions to keep and in which order: vectorised, on integer codes."""

from collections.abc import Iterator

import numpy as np


def earliest_of_each_pair(
    columns: list[np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keep the earliest interaction of each (user, item) pair.

    Each row is packed into one integer that sorts like the row, which takes less than
    half the memory of sorting by three columns.

    Args:
        columns (list of numpy.ndarray): Users, items and times as non-negative
            integers, each of shape ``[rows]``, at least one row. The list is emptied,
            so that each column's memory is freed before the next is packed.

    Returns:
        tuple of numpy.ndarray: Users, items and times, int32, of shape ``[pairs]``,
        ordered by user, then item.

    Raises:
        OverflowError: If the values are too large to be packed into 64 bits.
    """
    users, items, times = (int(column.max()) + 1 for column in columns)
    if users * items * times >= 2**63:
        raise OverflowError(f"{users} x {items} x {times} does not fit into 64 bits")
    keys = columns.pop(0).astype(np.int64)
    keys *= items
    keys += columns.pop(0)
    keys *= times
    keys += columns.pop(0)
    keys.sort()
    time = _split_off(keys, times)
    first = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    keys, time = keys[first], time[first]
    item = _split_off(keys, items)
    return keys.astype(np.int32), item, time


def _split_off(keys, size):
    """Remove the last packed value from ``keys`` in place and return it, int32."""
    last = np.empty(len(keys), dtype=np.int32)
    np.remainder(keys, size, out=last, casting="unsafe")
    keys //= size
    return last


def k_core(
    users: np.ndarray, items: np.ndarray, min_user_inter: int, min_item_inter: int
) -> np.ndarray:
    """Filter users and items by their number of interactions until all have enough.

    Dropping an item may make a user drop out, and vice versa, so the filter is repeated
    until nothing changes. The result does not depend on which of the two is filtered
    first.

    Args:
        users (numpy.ndarray): Non-negative codes, shape ``[rows]``.
        items (numpy.ndarray): Non-negative codes, shape ``[rows]``; each (user, item)
            pair occurs once.
        min_user_inter (int): Fewest interactions of a kept user.
        min_item_inter (int): Fewest interactions of a kept item.

    Returns:
        numpy.ndarray: bool, shape ``[rows]``, True where the row is kept.
    """
    kept = np.ones(len(users), dtype=bool)
    user_count, item_count = np.bincount(users), np.bincount(items)
    while True:
        enough = user_count[users] >= min_user_inter
        enough &= item_count[items] >= min_item_inter
        dropped = kept & ~enough
        if not dropped.any():
            return kept
        kept &= enough
        user_count -= np.bincount(users[dropped], minlength=len(user_count))
        item_count -= np.bincount(items[dropped], minlength=len(item_count))


def random_order_within_days(days: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """Order the rows by day, and at random within a day, where no order is known.

    Args:
        days (numpy.ndarray): Day numbers, shape ``[rows]``.
        seed (int): The same rows and seed give the same order.

    Yields:
        numpy.ndarray: The row numbers of one day, int64, shape ``[rows of the day]``.
    """
    # RandomState, because numpy guarantees that its stream never changes.
    random = np.random.RandomState(seed)
    for day in np.unique(days):
        yield random.permutation(np.flatnonzero(days == day))
