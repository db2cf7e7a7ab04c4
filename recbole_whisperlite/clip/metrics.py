"""Ranking metrics, and what a random ranking would get, exactly.

Equal scores count against us: what is relevant is taken to come last among its equals,
so that a model which gives everything the same vector gets nothing for it.
"""

import numpy as np

RECALL_AT = (1, 5, 10)
NDCG_AT = 10
PRECISION_AT = (1, 10)


def ranks(scores, relevant):
    """Return the places of the relevant, from 1, the best first.

    Args:
        scores (numpy.ndarray): float ``[n]``, higher is better.
        relevant (numpy.ndarray): Distinct places in ``scores``, int ``[r]``.

    Returns:
        tuple: Ranks, int64 ``[r]``, ascending; and the order, int64 ``[r]``, in which
        ``relevant`` has them.
    """
    own = scores[relevant]
    order = np.argsort(-own, kind="stable")
    own = own[order]
    # Others that are as good or better, plus one's place among the relevant.
    as_good = np.array([np.count_nonzero(scores >= score) for score in own])
    relevant_as_good = np.searchsorted(-own, -own, side="right")
    return as_good - relevant_as_good + np.arange(1, len(own) + 1), order


def of_query(ranks, gains):
    """Return the metrics of one ranking.

    Args:
        ranks (numpy.ndarray): Of the relevant, from 1, ascending, int ``[r]``, r > 0.
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


def by_chance(n, gains):
    """Return the expected metrics of a random ranking.

    Args:
        n (int): What is ranked.
        gains (numpy.ndarray): The relevance of the relevant, float ``[r]``,
            0 < r <= n.

    Returns:
        dict: As :func:`of_query`.
    """
    r = len(gains)
    places = np.arange(1, n + 1)
    harmonic = (1 / places).sum()
    top = np.log2(places[:NDCG_AT] + 1)
    # P(the first relevant is at i) = P(none before i) * P(relevant at i | that)
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


def over_queries(scores, relevant):
    """Average the metrics over queries, and those of chance.

    Args:
        scores (numpy.ndarray): float ``[n_queries, n]``.
        relevant (list of dict): ``{place in a row of scores: relevance > 0}`` of each
            query, none empty.

    Returns:
        dict: ``{metric: {"value": float, "chance": float}}``.
    """
    values, chances = [], []
    for row, gains in zip(scores, relevant):
        places = np.fromiter(gains, dtype=np.int64)
        gains = np.fromiter(gains.values(), dtype=float)
        found, order = ranks(row, places)
        values.append(of_query(found, gains[order]))
        chances.append(by_chance(len(row), gains))
    return {
        name: {
            "value": float(np.mean([value[name] for value in values])),
            "chance": float(np.mean([chance[name] for chance in chances])),
        }
        for name in values[0]
    }
