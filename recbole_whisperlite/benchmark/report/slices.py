"""For which requests a model is good: a metric by slices of the queries.

Every query is in exactly one slice of each kind. The queries of several test sets
(random splits with several seeds) are pooled.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from recbole_whisperlite.benchmark import statistics


@dataclass(frozen=True)
class Kind:
    """A way to slice queries.

    Attributes:
        name (str): Its short name.
        title (str): Its title above a plot.
        axis (str): The label of the axis.
        starts (tuple of int): The smallest value of each slice, ascending; a slice ends
            where the next one begins, and the last one is open.
    """

    name: str
    title: str
    axis: str
    starts: tuple[int, ...]

    def label(self, number: int) -> str:
        """Return the range of slice ``number`` as text: ``0``, ``3–5`` or ``6+``."""
        start = self.starts[number]
        if number + 1 == len(self.starts):
            return f"{start}+"
        end = self.starts[number + 1] - 1
        return str(start) if start == end else f"{start}–{end}"


KINDS = (
    Kind("words", "Request length", "words in the request", (0, 2, 3, 5, 9, 17, 33)),
    Kind("history", "Cold start", "earlier interactions of the user", (0, 1, 3, 6)),
    Kind(
        "popularity",
        "Item popularity",
        "interactions of the chosen item in training",
        (0, 1, 3, 10, 30, 100, 300, 1000),
    ),
)


@dataclass(frozen=True)
class Slice:
    """The queries of one range.

    Attributes:
        label (str): The range.
        queries (int): The number of queries in it.
        means (dict): ``{row name: mean of the metric}``; None if the row failed on all
            test sets that have queries in this slice.
        errors (dict): ``{row name: standard error of that mean}``; None likewise, and
            for a single query.
    """

    label: str
    queries: int
    means: dict[str, float | None]
    errors: dict[str, float | None]


def by_kind(benchmark: dict[str, Any], metric: str) -> dict[str, list[Slice]]:
    """Slice a metric by each of :data:`KINDS`.

    Args:
        benchmark (dict): ``benchmark.json`` with the arrays of ``units.npz`` under
            ``units``.
        metric (str): One of ``metrics_of_queries``, e.g. ``ndcg@10``.

    Returns:
        dict: ``{kind name: [Slice]}``, ascending, without empty slices.
    """
    rows = [row for row in benchmark["rows"] if row["runs"]]
    test_sets = range(len(benchmark["test_sets"]))
    values = {
        row["name"]: np.concatenate(
            [
                values_of_queries(benchmark["units"], test_set, row, metric)
                for test_set in test_sets
            ]
        )
        for row in rows
    }
    found = {}
    for kind in KINDS:
        of_query = [
            _sliced(benchmark["units"], test_set, kind.name) for test_set in test_sets
        ]
        index = np.digitize(np.concatenate(of_query), kind.starts) - 1
        found[kind.name] = [
            _slice(kind.label(number), index == number, values)
            for number in range(len(kind.starts))
            if (index == number).any()
        ]
    return found


def values_of_queries(
    arrays: dict[str, np.ndarray], test_set: int, row: dict[str, Any], metric: str
) -> np.ndarray:
    """Return a metric of each query, mean over the row's seeds.

    Args:
        arrays (dict): The arrays of ``units.npz``.
        test_set (int): The number of the test set.
        row (dict): A row of ``benchmark.json``.
        metric (str): E.g. ``ndcg@10``.

    Returns:
        numpy.ndarray: float64 ``[n_queries]``; NaN if the row has no run on this test
        set.
    """
    query = arrays[f"{test_set}/positive_unit"]
    n_queries = len(arrays[f"{test_set}/user"])
    name, k = statistics.split_name(metric)
    keys = [f"{test_set}/rank/{row['name']}/{seed}" for seed in row["runs"]]
    each = [
        statistics.metric_of_queries(name, query, arrays[key], n_queries, k)
        for key in keys
        if key in arrays
    ]
    return np.mean(each, axis=0) if each else np.full(n_queries, np.nan)


def _sliced(arrays, test_set, name):
    """Return the value by which each query is sliced, int64 ``[n_queries]``."""
    if name != "popularity":
        return arrays[f"{test_set}/{name}"]
    # of several positives the least popular: it is the hardest to find
    rarest = np.full(len(arrays[f"{test_set}/user"]), np.iinfo(np.int64).max)
    np.minimum.at(
        rarest, arrays[f"{test_set}/positive_unit"], arrays[f"{test_set}/popularity"]
    )
    return rarest


def _slice(label, members, values):
    means, errors = {}, {}
    for name, of_queries in values.items():
        present = of_queries[members & ~np.isnan(of_queries)]
        n = len(present)
        means[name] = float(present.mean()) if n else None
        errors[name] = float(present.std(ddof=1) / n**0.5) if n > 1 else None
    return Slice(label, int(members.sum()), means, errors)
