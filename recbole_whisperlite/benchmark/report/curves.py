"""A metric by K: how much of a ranking has to be shown."""

import numpy as np

from recbole_whisperlite.benchmark import statistics

#: The K of the curves, besides those of ``topk``.
USUAL = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)


def by_k(benchmark):
    """Return every metric that has a K, at several K.

    Metrics that follow from ranks are computed at the usual K up to the longest list
    that was asked for, beyond which ranks are not exact; the others are what the runs
    say.

    Args:
        benchmark (dict): ``benchmark.json`` with the arrays of ``units.npz`` under
            ``units``.

    Returns:
        dict: ``{metric: {row name: {k: mean over seeds}}}``, without metrics known at
        one K only.
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
    """Return the mean over seeds of the mean over units."""
    units, means = benchmark["units"], []
    for test_set in range(len(benchmark["test_sets"])):
        of, n_queries = units[f"{test_set}/positive_unit"], len(units[f"{test_set}/user"])
        for seed in row["runs"]:
            rank = units.get(f"{test_set}/rank/{row['name']}/{seed}")
            if rank is not None:
                of_queries = statistics.metric_of_queries(metric, of, rank, n_queries, k)
                means.append(of_queries.mean())
    return float(np.mean(means))
