"""Which differences are real: metrics per query, paired tests, confidence intervals."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats
from scipy.sparse import csr_matrix

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


def paired_t_test(
    values: np.ndarray, reference: np.ndarray, cluster: np.ndarray | None = None
) -> float:
    """Two-sided paired t-test over queries.

    Queries of one cluster (a user's) need not be independent of each other: the standard
    error is that of sums over clusters, and the degrees of freedom are their number
    less one. With one query a cluster this is the ordinary test.

    Args:
        values, reference (numpy.ndarray): A metric of each query, float64
            ``[n_queries]``.
        cluster (numpy.ndarray, optional): The cluster of each query, int64
            ``[n_queries]``, from 0; by default each is its own.

    Returns:
        float: The p value; 1 if no query differs, or if there are fewer than two
        clusters.
    """
    gap = values - reference
    error, n_clusters = _error_of_mean(gap, cluster)
    if n_clusters < 2 or not gap.any():
        return 1.0
    if n_clusters == len(gap):
        return float(stats.ttest_rel(values, reference).pvalue)
    with np.errstate(divide="ignore"):
        t = abs(gap.mean()) / error
    return float(2 * stats.t.sf(t, n_clusters - 1))


def t_interval(
    values: np.ndarray, cluster: np.ndarray | None = None, level: float = 0.95
) -> tuple[float, float]:
    """Return the interval of a mean by Student's t, for samples too small to resample.

    That of differences spans zero where :func:`paired_t_test` finds p > 1 - ``level``.

    Args:
        values (numpy.ndarray): A figure of each query, float64 ``[n_queries]``.
        cluster (numpy.ndarray, optional): As for :func:`paired_t_test`.
        level (float): How often such an interval holds the mean.

    Returns:
        tuple: Lower and upper end; NaN with fewer than two clusters.
    """
    error, n_clusters = _error_of_mean(values, cluster)
    if n_clusters < 2:
        return np.nan, np.nan
    half = stats.t.ppf((1 + level) / 2, n_clusters - 1) * error
    return float(values.mean() - half), float(values.mean() + half)


def _error_of_mean(values, cluster):
    """Return the standard error of the mean, NaN of one cluster, and how many there are."""
    if cluster is None:
        cluster = np.arange(len(values))
    _, cluster = np.unique(cluster, return_inverse=True)
    n_clusters = cluster.max(initial=-1) + 1
    if n_clusters < 2:
        return np.nan, n_clusters
    sums = np.bincount(cluster, weights=values - values.mean())
    error = np.sqrt(n_clusters / (n_clusters - 1) * (sums**2).sum()) / len(values)
    return error, n_clusters


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


def resampled_means(
    values: np.ndarray, cluster: np.ndarray | None = None, seed: int = 0
) -> np.ndarray:
    """Return bootstrap replicates of the mean over queries.

    scipy's ``bootstrap`` gives the same intervals and takes a hundred times as long for
    the columns of a table: here, counting how often each cluster is drawn turns the means
    of all columns into one matrix product.

    Args:
        values (numpy.ndarray): A figure of each query, float64 ``[n_queries,
            n_columns]``; all columns are resampled together, and NaN is left out.
        cluster (numpy.ndarray, optional): The cluster of each query, int64
            ``[n_queries]``; clusters are drawn as a whole. By default each query is its
            own.
        seed (int): For the resampling.

    Returns:
        numpy.ndarray: float64 ``[RESAMPLES, n_columns]``.
    """
    present = ~np.isnan(values)
    values, whole = np.where(present, values, 0), present.all()
    if whole:
        present = present[:, :1]
    if cluster is None:
        cluster = np.arange(len(values))
    _, cluster = np.unique(cluster, return_inverse=True)
    n_clusters = cluster.max() + 1
    shape = n_clusters, len(values)
    of_cluster = csr_matrix(
        (np.ones(len(values)), (cluster, range(len(values)))), shape
    )
    sums, sizes = of_cluster @ values, of_cluster @ present.astype(float)
    means = []
    for drawn in np.split(_draws(n_clusters, seed), RESAMPLES // 200):
        drawn = drawn.astype(float)
        means.append(drawn @ sums / np.maximum(drawn @ sizes, 1))
    return np.concatenate(means)


@lru_cache(maxsize=1)  # the rows of a table are resampled alike
def _draws(n_clusters, seed):
    """Return how often each cluster is drawn, uint16 ``[RESAMPLES, n_clusters]``."""
    rng = np.random.default_rng(seed)
    drawn = np.empty((RESAMPLES, n_clusters), dtype=np.uint16)
    for line in drawn:
        chosen = rng.integers(0, n_clusters, n_clusters)
        line[:] = np.bincount(chosen, minlength=n_clusters)
    return drawn


def ends(means: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Return the percentile interval of bootstrap replicates.

    Args:
        means (numpy.ndarray): float64 ``[RESAMPLES, n_columns]``.
        level (float): Share of the replicates inside.

    Returns:
        numpy.ndarray: Lower and upper ends, float64 ``[2, n_columns]``.
    """
    tail = (1 - level) / 2
    return np.quantile(means, [tail, 1 - tail], axis=0)


def bootstrap_interval(
    values: np.ndarray, cluster: np.ndarray | None = None
) -> np.ndarray:
    """Return 95 % percentile intervals of the means of :func:`resampled_means`."""
    return ends(resampled_means(values, cluster))


@dataclass(frozen=True)
class Difference:
    """How far a row lies from the reference: effect sizes with their intervals.

    Attributes:
        mean, low, high (numpy.ndarray): Difference of the means (row less reference) and
            the ends of its interval, float64 ``[n_metrics]``; NaN without common queries.
        relative, relative_low, relative_high (numpy.ndarray): The same divided by the
            reference's mean, whose own uncertainty is in the interval; NaN where that
            mean is 0.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    relative: np.ndarray
    relative_low: np.ndarray
    relative_high: np.ndarray


def paired_difference(
    values: np.ndarray, reference: np.ndarray, cluster: np.ndarray | None = None
) -> Difference:
    """Compare a row with the reference over the queries that both have.

    Args:
        values, reference (numpy.ndarray): Metrics of each query, float64 ``[n_queries,
            n_metrics]``; NaN where a row has no run.
        cluster (numpy.ndarray, optional): The cluster of each query, int64
            ``[n_queries]``.

    Returns:
        Difference: Both rows are resampled together, so that what queries have in
        common cancels out.
    """
    missing = np.isnan(values) | np.isnan(reference)
    own, other = (np.where(missing, np.nan, each) for each in (values, reference))
    drawn = np.split(resampled_means(np.hstack([own, other]), cluster), 2, axis=1)
    gaps = drawn[0] - drawn[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        own, other = (
            np.where(missing, 0, each).sum(axis=0) / (~missing).sum(axis=0)
            for each in (own, other)
        )
        shares = np.where(drawn[1] > 0, gaps / drawn[1], np.nan)
        relative = np.where(other > 0, (own - other) / other, np.nan)
    return Difference(own - other, *ends(gaps), relative, *ends(shares))


def over_seeds(figures: list[float]) -> tuple[float, float | None]:
    """Return mean and sample standard deviation; the latter is None for one seed."""
    deviation = float(np.std(figures, ddof=1)) if len(figures) > 1 else None
    return float(np.mean(figures)), deviation
