"""Filters on integer codes, beside loops that anybody can follow."""

import numpy as np
import pytest

from recbole_whisperlite.prepare.filtering import (
    earliest_of_each_pair,
    k_core,
    random_order_within_days,
)


@pytest.fixture
def log():
    """600 interactions of 40 users with 30 items over 9 days; some pairs repeat."""
    random = np.random.RandomState(0)
    return [
        random.randint(40, size=600).astype(np.int32),
        (30 * random.rand(600) ** 2).astype(np.int32),
        random.randint(9, size=600).astype(np.int32),
    ]


def test_each_pair_keeps_its_earliest_time_in_the_order_of_the_pairs(log):
    earliest = {}
    for user, item, time in zip(*log):
        earliest[user, item] = min(time, earliest.get((user, item), time))
    users, items, times = earliest_of_each_pair(log)

    assert len(earliest) < 600
    assert list(zip(users, items)) == sorted(earliest)
    assert times.tolist() == [earliest[pair] for pair in sorted(earliest)]
    assert log == []  # so that the memory is free


def test_values_that_do_not_fit_into_64_bits_are_refused():
    largest = np.array([2**31 - 1])
    with pytest.raises(OverflowError, match="64 bits"):
        earliest_of_each_pair([largest, largest, largest])


def test_the_filter_agrees_with_dropping_one_user_or_item_at_a_time(log):
    users, items, _ = earliest_of_each_pair(log)
    kept = k_core(users, items, min_user_inter=8, min_item_inter=9)

    left = list(zip(users.tolist(), items.tolist()))
    while True:
        few = [u for u in range(40) if 0 < sum(u == pair[0] for pair in left) < 8]
        few_items = [i for i in range(30) if 0 < sum(i == p[1] for p in left) < 9]
        if few:
            left = [pair for pair in left if pair[0] != few[0]]
        elif few_items:
            left = [pair for pair in left if pair[1] != few_items[0]]
        else:
            break
    assert list(zip(users[kept].tolist(), items[kept].tolist())) == left
    assert 0 < len(left) < len(users)


def test_days_come_in_order_and_every_order_within_a_day_is_possible():
    days = np.array([5, 3, 5, 3, 3])
    seen = set()
    for seed in range(200):
        first, second = random_order_within_days(days, seed)
        assert sorted(first) == [1, 3, 4] and sorted(second) == [0, 2]
        seen.add((*first.tolist(), *second.tolist()))
    assert len(seen) == 6 * 2


def test_the_order_within_a_day_is_the_same_on_every_numpy():
    (rows,) = random_order_within_days(np.zeros(6, dtype=np.int32), seed=2020)
    assert rows.tolist() == [4, 1, 2, 3, 5, 0]
