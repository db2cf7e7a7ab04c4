"""Statistics, against scipy and by hand."""

import numpy as np
import pytest
from scipy import stats

from recbole_whisperlite.benchmark import statistics

# query 0: two positives, at ranks 1 and 4; query 1: one at rank 3; query 2: at rank 9
QUERY, RANK = np.array([0, 0, 1, 2]), np.array([4, 1, 3, 9])


@pytest.mark.parametrize(
    "metric, k, by_hand",
    [
        ("hit", 3, [1, 1, 0]),
        ("recall", 3, [1 / 2, 1, 0]),
        ("precision", 3, [1 / 3, 1 / 3, 0]),
        ("mrr", 3, [1, 1 / 3, 0]),
        ("map", 3, [1 / 2, 1 / 3, 0]),
        ("map", 5, [(1 + 2 / 4) / 2, 1 / 3, 0]),
        ("ndcg", 3, [1 / (1 + 1 / np.log2(3)), 1 / 2, 0]),
        ("ndcg", 5, [(1 + 1 / np.log2(5)) / (1 + 1 / np.log2(3)), 1 / 2, 0]),
        ("ndcg", 1, [1, 0, 0]),
    ],
)
def test_metrics_of_queries_are_those_computed_by_hand(metric, k, by_hand):
    values = statistics.metric_of_queries(metric, QUERY, RANK, 3, k)
    assert values == pytest.approx(by_hand)


def test_the_t_interval_is_scipys_and_spans_zero_where_the_test_finds_nothing():
    gap = np.array([0.1, 0.4, -0.2, 0.5, 0.3])
    error = gap.std(ddof=1) / np.sqrt(5)
    assert statistics.t_interval(gap) == pytest.approx(
        stats.t.interval(0.95, 4, loc=gap.mean(), scale=error)
    )
    assert np.isnan(statistics.t_interval(gap[:1])).all()
    user = np.array([0, 0, 1, 1, 2])
    for level in (0.5, 0.9, 0.95):
        for cluster in (None, user):
            low, high = statistics.t_interval(gap, cluster, level)
            p = statistics.paired_t_test(gap, np.zeros(5), cluster)
            assert (low <= 0 <= high) == (p > 1 - level)


def test_the_paired_t_test_is_the_textbooks():
    own, other = np.array([1.0, 0.5, 0.0, 0.25]), np.array([0.5, 0.5, 0.25, 0.0])
    gap = own - other
    t = gap.mean() / (gap.std(ddof=1) / np.sqrt(4))
    assert statistics.paired_t_test(own, other) == pytest.approx(
        2 * stats.t.sf(abs(t), df=3)
    )
    assert statistics.paired_t_test(own, own) == 1
    assert statistics.paired_t_test(own[:1], other[:1]) == 1


def test_holm_is_the_step_down_of_the_paper():
    # sorted: .01·4, .02·3, .03·2 (at least .06), .2·1
    assert statistics.holm([0.03, 0.01, 0.2, 0.02]) == pytest.approx(
        [0.06, 0.04, 0.2, 0.06]
    )
    assert statistics.holm([0.6, 0.7]) == [1, 1]
    assert statistics.holm([]) == []


def drawn(seed):
    """What scipy draws with, under the name that releases before 1.15 know, too."""
    return {"random_state": np.random.default_rng(seed)}


def test_bootstrap_intervals_agree_with_scipys():
    values = np.random.default_rng(1).random((200, 2)) ** 3
    low, high = statistics.bootstrap_interval(values)
    for column in range(2):
        theirs = stats.bootstrap(
            (values[:, column],), np.mean, method="percentile", **drawn(0)
        ).confidence_interval
        width = theirs.high - theirs.low
        assert low[column] == pytest.approx(theirs.low, abs=width / 10)
        assert high[column] == pytest.approx(theirs.high, abs=width / 10)


def test_seeds_are_summarised_by_mean_and_sample_deviation():
    assert statistics.over_seeds([1.0, 2.0, 3.0]) == (2, 1)
    assert statistics.over_seeds([0.5]) == (0.5, None)


def test_bootstrap_intervals_leave_out_missing_queries():
    values = np.random.default_rng(2).random((100, 2))
    values[30:, 1] = np.nan
    low, high = statistics.bootstrap_interval(values)
    alone = statistics.bootstrap_interval(values[:30, 1:])
    assert low[1] < values[:30, 1].mean() < high[1]
    assert (high - low)[1] == pytest.approx((alone[1] - alone[0])[0], rel=0.2)
    assert (high - low)[1] > 1.3 * (high - low)[0]


def test_the_test_of_clusters_is_that_of_their_means_where_they_are_equally_large():
    rng = np.random.default_rng(3)
    user = np.repeat(np.arange(40), 3)
    own, other = rng.random(120), rng.random(120)
    own += 0.3 * rng.random(40)[user]  # a user's queries have something in common
    means = [values.reshape(40, 3).mean(axis=1) for values in (own, other)]
    by_user = stats.ttest_rel(*means).pvalue
    assert statistics.paired_t_test(own, other, user) == pytest.approx(by_user)
    # each query a cluster of its own, whatever the clusters are called
    alone = statistics.paired_t_test(own, other, np.arange(120)[::-1] + 7)
    assert alone == statistics.paired_t_test(own, other)
    assert statistics.paired_t_test(own, other, np.zeros(120)) == 1


def test_repeated_queries_of_a_user_are_no_further_evidence():
    rng = np.random.default_rng(4)
    own, other = rng.random((2, 50))
    three = np.tile(own, 3), np.tile(other, 3)
    user = np.tile(np.arange(50), 3)
    once = statistics.paired_t_test(own, other)
    assert statistics.paired_t_test(*three, user) == pytest.approx(once)
    assert statistics.paired_t_test(*three) < once
    one = statistics.paired_difference(own[:, None], other[:, None])
    many = statistics.paired_difference(*(each[:, None] for each in three), user)
    for name, figure in vars(one).items():
        assert getattr(many, name) == pytest.approx(figure)


def test_intervals_of_differences_agree_with_scipys():
    rng = np.random.default_rng(5)
    other = rng.random(300) ** 2
    own = np.clip(other + rng.normal(0.03, 0.1, 300), 0, 1)
    found = statistics.paired_difference(own[:, None], other[:, None])
    assert found.mean[0] == pytest.approx(own.mean() - other.mean())
    assert found.relative[0] == pytest.approx(own.mean() / other.mean() - 1)
    for statistic, low, high in (
        (lambda a, b, axis: a.mean(axis) - b.mean(axis), found.low, found.high),
        (
            lambda a, b, axis: a.mean(axis) / b.mean(axis) - 1,
            found.relative_low,
            found.relative_high,
        ),
    ):
        theirs = stats.bootstrap(
            (own, other), statistic, paired=True, method="percentile", **drawn(0)
        ).confidence_interval
        width = theirs.high - theirs.low
        assert low[0] == pytest.approx(theirs.low, abs=width / 10)
        assert high[0] == pytest.approx(theirs.high, abs=width / 10)
    # unpaired, it would be far wider
    apart = [statistics.bootstrap_interval(x[:, None]) for x in (own, other)]
    assert (found.high - found.low)[0] < 0.6 * min(h[0] - l[0] for l, h in apart)


def test_intervals_of_clusters_agree_with_scipys():
    rng = np.random.default_rng(6)
    user = rng.integers(0, 60, 400)
    values = rng.random(400) * rng.random(60)[user]
    sums, sizes = np.bincount(user, values), np.bincount(user)
    theirs = stats.bootstrap(
        (sums, sizes),
        lambda a, b, axis: a.sum(axis) / b.sum(axis),
        paired=True,
        method="percentile",
        **drawn(0),
    ).confidence_interval
    low, high = statistics.bootstrap_interval(values[:, None], user)[:, 0]
    width = theirs.high - theirs.low
    assert low == pytest.approx(theirs.low, abs=width / 10)
    assert high == pytest.approx(theirs.high, abs=width / 10)


def test_rows_are_compared_where_both_have_queries():
    own = np.array([[0.5], [0.25], [np.nan], [0.75]])
    other = np.array([[0.25], [0.5], [0.5], [np.nan]])
    found = statistics.paired_difference(own, other)
    assert found.mean[0] == 0 and found.relative[0] == 0
    assert (found.low[0], found.high[0]) == (-0.25, 0.25)
    nothing = statistics.paired_difference(own[2:], other[2:])
    assert np.isnan(nothing.mean[0])
    zero = statistics.paired_difference(own[:2], 0 * other[:2])
    assert zero.mean[0] == 0.375 and np.isnan(zero.relative[0])
