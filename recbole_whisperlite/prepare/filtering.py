"""Which interactions to keep, and in which order; on integer codes, vectorised."""

import numpy as np


def earliest_of_each_pair(columns):
    """Keep the earliest interaction of each (user, item) pair.

    Each row is packed into one integer that sorts as the row does, which takes less
    than half the memory of sorting by three columns.

    Args:
        columns (list of numpy.ndarray): Users, items and times as non-negative
            integers, each of shape ``[rows]``, at least one row. The list is emptied:
            one column's memory is free again before the next is packed.

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
    """Take the last of the packed values away from ``keys``, in place; return it."""
    last = np.empty(len(keys), dtype=np.int32)
    np.remainder(keys, size, out=last, casting="unsafe")
    keys //= size
    return last


def k_core(users, items, min_user_inter, min_item_inter):
    """Filter users and items by their number of interactions until all have enough.

    An item that falls out may make a user fall out, and the other way round, so the
    filter is repeated until nothing changes. What remains does not depend on which of
    the two is counted first.

    Args:
        users (numpy.ndarray): Non-negative codes, shape ``[rows]``.
        items (numpy.ndarray): Non-negative codes, shape ``[rows]``; each (user, item)
            pair once.
        min_user_inter (int): Interactions that every user keeps at least.
        min_item_inter (int): Interactions that every item keeps at least.

    Returns:
        numpy.ndarray: bool, shape ``[rows]``, True where the row stays.
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


def random_order_within_days(days, seed):
    """Go through the rows by day, and within a day, whose order nobody knows, at random.

    Args:
        days (numpy.ndarray): Day numbers, shape ``[rows]``.
        seed (int): The same rows and seed give the same order.

    Yields:
        numpy.ndarray: The row numbers of one day, int64, shape ``[rows of the day]``.
    """
    # RandomState, because numpy promises that its stream never changes.
    random = np.random.RandomState(seed)
    for day in np.unique(days):
        yield random.permutation(np.flatnonzero(days == day))
