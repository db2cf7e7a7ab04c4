"""Metrics by K: how they depend on the length of the list shown."""

from typing import Any

import numpy as np

from recbole_whisperlite.benchmark import statistics

#: The values of K in the curves, in addition to those of ``topk``.
USUAL = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)


def by_k(benchmark: dict[str, Any]) -> dict[str, dict[str, dict[int, float]]]:
    """Return every metric that has a K, at several values of K.

    Metrics that depend only on ranks are computed at the usual values of K up to the
    greatest K of the benchmark, beyond which ranks are not exact; the others are taken
    from the runs.

    Args:
        benchmark (dict): ``benchmark.json`` with the arrays of ``units.npz`` under
            ``units``.

    Returns:
        dict: ``{metric: {row name: {k: mean over seeds}}}``, without metrics that are
        known at one K only.
    """
    rows = [row for row in benchmark["rows"] if row["runs"]]
    given = {}
    for name in benchmark["metrics"]:
        metric, k = statistics.split_name(name)
        if k is not None:
            given.setdefault(metric, set()).add(k)
    found = {}
    for metric, ks in given.items():
        tested = f"{metric}@{min(ks)}" in benchmark["metrics_of_queries"]
        exact = tested and statistics.is_of_queries(metric)
        if exact:
            ks = ks | {k for k in USUAL if k < max(ks)}
        if len(ks) > 1:
            found[metric] = {
                row["name"]: {
                    k: (
                        _from_ranks(benchmark, row, metric, k)
                        if exact
                        else row["metrics"][f"{metric}@{k}"]["mean"]
                    )
                    for k in sorted(ks)
                }
                for row in rows
            }
    return found


def _from_ranks(benchmark, row, metric, k):
    """Return the mean over seeds of the mean over queries."""
    arrays, means = benchmark["units"], []
    for test_set in range(len(benchmark["test_sets"])):
        query = arrays[f"{test_set}/positive_unit"]
        n_queries = len(arrays[f"{test_set}/user"])
        for seed in row["runs"]:
            rank = arrays.get(f"{test_set}/rank/{row['name']}/{seed}")
            if rank is not None:
                of_queries = statistics.metric_of_queries(
                    metric, query, rank, n_queries, k
                )
                means.append(of_queries.mean())
    return float(np.mean(means))
