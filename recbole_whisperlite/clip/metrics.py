"""Ranking metrics, and their exact expectation for a random ranking.

Ties count against the model: a relevant candidate is ranked last among those with the
same score, so that a model that gives everything the same vector gains nothing.
"""

from collections.abc import Sequence

import numpy as np

RECALL_AT = (1, 5, 10)
NDCG_AT = 10
PRECISION_AT = (1, 10)


def ranks(scores: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ranks of the relevant candidates, from 1, the best first.

    Args:
        scores (numpy.ndarray): float ``[n]``, higher is better.
        relevant (numpy.ndarray): Distinct indices into ``scores``, int ``[r]``.

    Returns:
        tuple: Ranks, int64 ``[r]``, ascending; and the indices into ``relevant`` in
        that order, int64 ``[r]``.
    """
    own = scores[relevant]
    order = np.argsort(-own, kind="stable")
    own = own[order]
    # Irrelevant candidates that score as high or higher, plus the position among the
    # relevant ones.
    as_good = np.array([np.count_nonzero(scores >= score) for score in own])
    relevant_as_good = np.searchsorted(-own, -own, side="right")
    return as_good - relevant_as_good + np.arange(1, len(own) + 1), order


def of_query(ranks: np.ndarray, gains: np.ndarray) -> dict[str, float]:
    """Return the metrics of one ranking.

    Args:
        ranks (numpy.ndarray): Ranks of the relevant candidates, from 1, ascending, int
            ``[r]``, r > 0.
        gains (numpy.ndarray): Their relevance in that order, float ``[r]``.

    Returns:
        dict: ``recall@k``, ``precision@k``, ``MRR``, ``MAP`` and ``nDCG@10``, whose gain
        is the relevance itself (as in trec_eval).
    """
    top = ranks <= NDCG_AT
    gained = (gains[top] / np.log2(ranks[top] + 1)).sum()
    return {
        **{f"recall@{k}": np.mean(ranks <= k) for k in RECALL_AT},
        **{f"precision@{k}": np.sum(ranks <= k) / k for k in PRECISION_AT},
        "MRR": 1 / ranks[0],
        "MAP": np.mean(np.arange(1, len(ranks) + 1) / ranks),
        f"nDCG@{NDCG_AT}": gained / _ideal(gains),
    }


def by_chance(n: int, gains: np.ndarray) -> dict[str, float]:
    """Return the expected metrics of a random ranking.

    Args:
        n (int): The number of candidates.
        gains (numpy.ndarray): The relevance of the relevant candidates, float ``[r]``,
            0 < r <= n.

    Returns:
        dict: As :func:`of_query`.
    """
    r = len(gains)
    positions = np.arange(1, n + 1)
    harmonic = (1 / positions).sum()
    top = np.log2(positions[:NDCG_AT] + 1)
    # P(first relevant at i) = P(none before i) * P(relevant at i | none before i)
    none_yet = np.concatenate([[1], np.cumprod(1 - r / np.arange(n, r, -1))])
    first = none_yet * r / np.arange(n, r - 1, -1)
    others = (r - 1) / (n - 1) if n > 1 else 0
    return {
        **{f"recall@{k}": min(k, n) / n for k in RECALL_AT},
        **{f"precision@{k}": min(k, n) / k * r / n for k in PRECISION_AT},
        "MRR": (first / np.arange(1, n - r + 2)).sum(),
        "MAP": (harmonic + others * (n - harmonic)) / n,
        f"nDCG@{NDCG_AT}": gains.sum() / n * (1 / top).sum() / _ideal(gains),
    }


def _ideal(gains):
    best = np.sort(gains)[::-1][:NDCG_AT]
    return (best / np.log2(np.arange(2, len(best) + 2))).sum()


def over_queries(
    scores: np.ndarray, relevant: Sequence[dict[int, float]]
) -> dict[str, dict[str, float]]:
    """Average over queries the metrics, and those expected by chance.

    Args:
        scores (numpy.ndarray): float ``[n_queries, n]``.
        relevant (list of dict): ``{column of scores: relevance > 0}`` of each query,
            none empty.

    Returns:
        dict: ``{metric: {"value": float, "chance": float}}``.
    """
    values, chances = [], []
    for row, gains in zip(scores, relevant):
        columns = np.fromiter(gains, dtype=np.int64)
        gains = np.fromiter(gains.values(), dtype=float)
        found, order = ranks(row, columns)
        values.append(of_query(found, gains[order]))
        chances.append(by_chance(len(row), gains))
    return {
        name: {
            "value": float(np.mean([value[name] for value in values])),
            "chance": float(np.mean([chance[name] for chance in chances])),
        }
        for name in values[0]
    }
