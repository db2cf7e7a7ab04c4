"""Which differences are real: metrics per query, paired tests, confidence intervals."""

import numpy as np
from scipy import stats

from recbole_whisperlite.evaluation.metric import query_metric

#: RecBole's metrics that are means over queries and depend only on ranks.
METRICS = ("hit", "mrr", "map", "ndcg", "precision", "recall")
RESAMPLES = 1000


def metric_of_queries(
    metric: str, query: np.ndarray, rank: np.ndarray, n_queries: int, k: int
) -> np.ndarray:
    """Return a metric of each query; the mean over queries is RecBole's figure.

    Args:
        metric (str): One of :data:`METRICS`, as RecBole's ``recbole.evaluator.metrics``
            defines them, or the name of a ``QueryMetric`` in small letters.
        query (numpy.ndarray): Query of each positive, int64 ``[n_positives]``; every
            query has at least one positive.
        rank (numpy.ndarray): Rank of each positive, from 1, int ``[n_positives]``.
        n_queries (int): The number of queries.
        k (int): Only the first k ranks count.

    Returns:
        numpy.ndarray: float64 ``[n_queries]``.

    Raises:
        ValueError: If there is no such metric.
    """

    def total(values):
        return np.bincount(query[hit], weights=values, minlength=n_queries)

    hit = rank <= k
    positives = np.bincount(query, minlength=n_queries)
    hits = total(np.ones(hit.sum()))
    if metric == "hit":
        return (hits > 0).astype(float)
    if metric == "precision":
        return hits / k
    if metric == "recall":
        return hits / positives
    if metric == "mrr":
        first = np.full(n_queries, np.inf)
        np.minimum.at(first, query[hit], rank[hit])
        return 1 / first
    reachable = np.minimum(positives, k)
    if metric == "ndcg":
        ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
        return total(1 / np.log2(rank[hit] + 1)) / ideal[reachable - 1]
    if metric == "map":
        # if the n-th best positive has rank r, n of the first r items are positives
        order = np.lexsort((rank, query))
        nth = np.empty(len(query), dtype=np.int64)
        starts = np.cumsum(positives) - positives
        nth[order] = np.arange(len(query)) - starts[query[order]] + 1
        return total(nth[hit] / rank[hit]) / reachable
    own = query_metric(metric)
    if own is None:
        raise ValueError(f"unknown metric {metric}")
    at_position = np.zeros((n_queries, k), dtype=bool)
    at_position[query[hit], rank[hit] - 1] = True
    return np.asarray(own.of_queries(at_position, positives)[:, k - 1], dtype=float)


def is_of_queries(metric):
    """Whether :func:`metric_of_queries` knows a metric."""
    return metric in METRICS or query_metric(metric) is not None


def split_name(name: str) -> tuple[str, int | None]:
    """Return metric and k of a name such as ``ndcg@10``; k is None if there is none."""
    metric, _, k = name.partition("@")
    return metric, int(k) if k else None


def paired_t_test(values: np.ndarray, reference: np.ndarray) -> float:
    """Two-sided paired t-test over queries.

    Args:
        values, reference (numpy.ndarray): A metric of each query, float64
            ``[n_queries]``.

    Returns:
        float: The p value; 1 if no query differs, or if there are fewer than two.
    """
    if len(values) < 2 or np.array_equal(values, reference):
        return 1.0
    return float(stats.ttest_rel(values, reference).pvalue)


def holm(p_values: list[float]) -> list[float]:
    """Correct p values for multiple comparisons by Holm's step-down method.

    Args:
        p_values (list of float): The p values of one family of comparisons.

    Returns:
        list of float: The corrected p values in the same order, at most 1.
    """
    p_values = np.asarray(p_values, dtype=float)
    order = np.argsort(p_values)
    corrected = np.empty_like(p_values)
    steps = p_values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected.tolist()


def bootstrap_interval(
    values: np.ndarray, level: float = 0.95, seed: int = 0
) -> np.ndarray:
    """Percentile bootstrap interval of the mean over queries.

    Args:
        values (numpy.ndarray): Metrics of each query, float64
            ``[n_queries, n_metrics]``; all metrics are resampled together, and NaN is
            left out.
        level (float): Share of resampled means inside the interval.
        seed (int): For the resampling.

    Returns:
        numpy.ndarray: Lower and upper ends, float64 ``[2, n_metrics]``.
    """
    n_queries = len(values)
    present = ~np.isnan(values)
    values = np.where(present, values, 0)
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(RESAMPLES // 50):
        # counting how often each query is drawn turns the means into a matrix product
        drawn = rng.multinomial(n_queries, np.full(n_queries, 1 / n_queries), size=50)
        drawn = drawn.astype(float)
        counted = n_queries if present.all() else np.maximum(drawn @ present, 1)
        means.append(drawn @ values / counted)
    tail = (1 - level) / 2
    return np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0)


def over_seeds(figures: list[float]) -> tuple[float, float | None]:
    """Return mean and sample standard deviation; the latter is None for one seed."""
    deviation = float(np.std(figures, ddof=1)) if len(figures) > 1 else None
    return float(np.mean(figures)), deviation
