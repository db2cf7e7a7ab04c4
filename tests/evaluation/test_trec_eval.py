"""RecBole's metrics, which our tables show, against trec_eval's, with ties."""

import numpy as np
import pytest
import torch
from recbole.evaluator import Evaluator
from recbole.evaluator.collector import DataStruct

pytrec_eval = pytest.importorskip(
    "pytrec_eval", reason="pytrec_eval has no wheel for this Python"
)

KS = (1, 5, 10, 20)
N_QUERIES, N_ITEMS = 60, 40
TREC = {"recall": "recall", "precision": "P", "ndcg": "ndcg_cut", "hit": "success"}


def random_queries(seed):
    """Scores with five distinct values, and one to four positives for each query."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (N_QUERIES, N_ITEMS)).astype(np.float32)
    positives = [
        rng.choice(N_ITEMS, size=rng.integers(1, 5), replace=False)
        for _ in range(N_QUERIES)
    ]
    return scores, positives


def recbole_metrics(order, positives):
    """The metrics of RecBole's evaluator on lists of items, best first."""
    hits = np.stack(
        [np.isin(row[: max(KS)], wanted) for row, wanted in zip(order, positives)]
    )
    counts = np.array([[len(wanted)] for wanted in positives])
    struct = DataStruct()
    struct.set("rec.topk", torch.from_numpy(np.hstack([hits, counts])).int())
    config = {
        "metrics": ["Recall", "Precision", "NDCG", "Hit", "MRR", "MAP"],
        "topk": list(KS),
        "metric_decimal_place": 10,
    }
    return Evaluator(config).evaluate(struct)


def trec_metrics(order, positives):
    """The metrics of trec_eval on the same lists; positions are distinct scores."""
    wanted = {
        f"u{u}": {f"i{item}": 1 for item in items} for u, items in enumerate(positives)
    }
    run = {
        f"u{u}": {f"i{item}": float(-position) for position, item in enumerate(row)}
        for u, row in enumerate(order)
    }
    cuts = ",".join(map(str, KS))
    names = {"recip_rank", *(f"{name}.{cuts}" for name in TREC.values())}
    found = pytrec_eval.RelevanceEvaluator(wanted, names).evaluate(run).values()
    return {
        name: np.mean([of_query[name] for of_query in found])
        for name in next(iter(found))
    }


def best_first(scores, ties):
    """Order items by score, equal ones by ``ties``."""
    return np.stack([np.lexsort((tie, -row)) for row, tie in zip(scores, ties)])


@pytest.mark.parametrize("seed", range(5))
def test_metrics_are_those_of_trec_eval(seed):
    scores, positives = random_queries(seed)
    ties = np.random.default_rng(seed + 100).random(scores.shape)
    order = best_first(scores, ties)
    ours, theirs = recbole_metrics(order, positives), trec_metrics(order, positives)
    for metric, name in TREC.items():
        for k in KS:
            assert ours[f"{metric}@{k}"] == pytest.approx(
                theirs[f"{name}_{k}"], abs=1e-6
            )


@pytest.mark.parametrize("seed", range(3))
def test_mrr_is_that_of_trec_eval_where_the_list_is_long_enough(seed):
    scores, positives = random_queries(seed)
    order = best_first(scores, np.zeros_like(scores))
    first = [
        np.flatnonzero(np.isin(row, wanted))[0] + 1
        for row, wanted in zip(order, positives)
    ]
    by_hand = np.mean([1 / rank if rank <= 20 else 0 for rank in first])
    assert recbole_metrics(order, positives)["mrr@20"] == pytest.approx(by_hand)
    cut = [row[:20] for row in order]
    theirs = trec_metrics(cut, positives)["recip_rank"]
    assert recbole_metrics(order, positives)["mrr@20"] == pytest.approx(theirs)


def test_however_ties_are_broken_a_metric_stays_between_the_worst_and_the_best():
    scores, positives = random_queries(9)
    wanted = np.stack([np.isin(np.arange(N_ITEMS), items) for items in positives])
    worst = recbole_metrics(best_first(scores, wanted), positives)
    best = recbole_metrics(best_first(scores, ~wanted), positives)
    top = torch.topk(torch.from_numpy(scores), N_ITEMS).indices.numpy()
    found = recbole_metrics(top, positives)
    for name in found:
        assert worst[name] <= found[name] <= best[name]
    assert worst["ndcg@10"] < best["ndcg@10"]
