from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from recbole_whisperlite.clip import metrics


def test_metrics_by_hand():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    ranks, order = metrics.ranks(scores, np.array([3, 1]))
    assert ranks.tolist() == [2, 4] and order.tolist() == [1, 0]
    found = metrics.of_query(ranks, np.array([1.0, 2.0]))
    assert found["recall@1"] == 0 and found["recall@5"] == 1
    assert found["precision@1"] == 0 and found["precision@10"] == 0.2
    assert found["MRR"] == 0.5
    assert found["MAP"] == (1 / 2 + 2 / 4) / 2
    ideal = 2 / np.log2(2) + 1 / np.log2(3)
    expected = (1 / np.log2(3) + 2 / np.log2(5)) / ideal
    assert found["nDCG@10"] == pytest.approx(expected)


def test_equal_scores_count_against_us():
    ranks, _ = metrics.ranks(np.zeros(6), np.array([0, 4]))
    assert ranks.tolist() == [5, 6]
    ranks, _ = metrics.ranks(np.array([1, 1, 0, 2.0]), np.array([0]))
    assert ranks.tolist() == [3]


def random_rankings(seed=0, n=30, queries=20):
    rng = np.random.RandomState(seed)
    for _ in range(queries):
        gains = np.zeros(n)
        places = rng.permutation(n)[: rng.randint(1, 14)]
        gains[places] = rng.randint(1, 4, len(places))
        yield rng.random_sample(n), gains


def test_metrics_are_scikit_learns():
    for scores, gains in random_rankings():
        places = np.flatnonzero(gains)
        ranks, order = metrics.ranks(scores, places)
        found = metrics.of_query(ranks, gains[places][order])
        assert found["nDCG@10"] == pytest.approx(ndcg_score([gains], [scores], k=10))
        assert found["MAP"] == pytest.approx(average_precision_score(gains > 0, scores))


def test_metrics_are_trec_evals():
    pytrec_eval = pytest.importorskip("pytrec_eval")
    for scores, gains in random_rankings(seed=1):
        truth = {"q": {str(i): int(g) for i, g in enumerate(gains) if g}}
        run = {"q": {str(i): float(s) for i, s in enumerate(scores)}}
        measures = {"recall", "P", "recip_rank", "map", "ndcg_cut"}
        theirs = pytrec_eval.RelevanceEvaluator(truth, measures).evaluate(run)["q"]
        places = np.flatnonzero(gains)
        ranks, order = metrics.ranks(scores, places)
        ours = metrics.of_query(ranks, gains[places][order])
        assert ours["recall@5"] == pytest.approx(theirs["recall_5"])
        assert ours["recall@10"] == pytest.approx(theirs["recall_10"])
        assert ours["precision@10"] == pytest.approx(theirs["P_10"])
        assert ours["MRR"] == pytest.approx(theirs["recip_rank"])
        assert ours["MAP"] == pytest.approx(theirs["map"])
        assert ours["nDCG@10"] == pytest.approx(theirs["ndcg_cut_10"])


@pytest.mark.parametrize("gains", [[1], [3, 1], [2, 2, 1], [1, 1, 1, 1, 1]])
def test_chance_is_the_mean_over_all_orders(gains):
    n = 5
    gains = np.array(gains, dtype=float)
    every = []
    for order in permutations(range(1, n + 1)):
        ranks = np.array(order[: len(gains)])
        best = np.argsort(ranks)
        every.append(metrics.of_query(ranks[best], gains[best]))
    expected = metrics.by_chance(n, gains)
    for name, value in expected.items():
        assert value == pytest.approx(np.mean([found[name] for found in every])), name


def test_queries_are_averaged():
    scores = np.array([[3.0, 2, 1], [3, 2, 1]])
    found = metrics.over_queries(scores, [{0: 1}, {2: 1}])
    assert found["MRR"]["value"] == pytest.approx((1 + 1 / 3) / 2)
    assert found["recall@1"] == {"value": 0.5, "chance": pytest.approx(1 / 3)}
