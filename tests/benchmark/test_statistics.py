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


def test_bootstrap_intervals_agree_with_scipys():
    values = np.random.default_rng(1).random((200, 2)) ** 3
    low, high = statistics.bootstrap_interval(values)
    for column in range(2):
        theirs = stats.bootstrap(
            (values[:, column],), np.mean, method="percentile", rng=0
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
