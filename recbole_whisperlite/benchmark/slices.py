"""For which requests a model is good: a metric by slices of the test set.

Most kinds slice queries. By how often a product was chosen in training, positives are
sliced: each positive of a query counts in the slice of its own product, with the metric
that a query with this positive alone would have at the rank that it got. NDCG@10 is
then 1 / log2(rank + 1) up to rank 10. Where queries have one positive, the slices of every
kind, weighted by their sizes, average to the table's figure.

The queries of several test sets (random splits with several seeds) are pooled.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recbole_whisperlite.benchmark import statistics


@dataclass(frozen=True)
class Kind:
    """A way to slice.

    Attributes:
        name (str): The array of a ``unit_file`` that it slices by.
        title (str): Its title above a plot.
        axis (str): The label of the axis.
        starts (tuple of int): The smallest value of each slice, ascending; a slice ends
            where the next one begins, and the last one is open.
        of_positives (bool): Whether it slices positives; else queries.
    """

    name: str
    title: str
    axis: str
    starts: tuple[int, ...]
    of_positives: bool = False

    def label(self, number: int) -> str:
        """Return the range of slice ``number`` as text: ``0``, ``3–5`` or ``6+``."""
        start = self.starts[number]
        if number + 1 == len(self.starts):
            return f"{start}+"
        end = self.starts[number + 1] - 1
        return str(start) if start == end else f"{start}–{end}"


#: The kind that stands below every table: are products found that training hardly knows?
CHOSEN = Kind(
    "popularity",
    "New and rare products",
    "times that the wanted product was chosen in training",
    (0, 1, 4, 21),
    of_positives=True,
)
KINDS = (
    CHOSEN,
    Kind("history", "Cold start", "earlier interactions of the user", (0, 1, 3, 6)),
    Kind(
        "asked",
        "New requests",
        "training interactions with the same request text",
        (0, 1, 10, 100),
    ),
    Kind("words", "Request length", "words in the request", (0, 2, 3, 5, 9, 17, 33)),
)


@dataclass(frozen=True)
class Slice:
    """The queries, or positives, of one range.

    Attributes:
        label (str): The range.
        queries (int): The number of queries in it; one with positives in several
            slices counts in each.
        positives (int): The number of their positives in it.
        means (dict): ``{row name: mean of the metric}``; None if the row failed on all
            test sets that have queries in this slice.
        low, high (dict): ``{row name: end of its 95 % bootstrap interval}``, clustered
            by user; None likewise, and for a single user.
    """

    label: str
    queries: int
    positives: int
    means: dict[str, float | None]
    low: dict[str, float | None]
    high: dict[str, float | None]


def metric_of(benchmark: dict[str, Any]) -> str | None:
    """Return the metric to slice: the main one, else the first that depends only on ranks.

    Args:
        benchmark (dict): ``benchmark.json``.

    Returns:
        str or None: E.g. ``ndcg@10``; None if no metric depends only on ranks.
    """
    # a metric of the user's own is not known to whoever writes the report again
    of_queries = [
        name
        for name in benchmark["metrics_of_queries"]
        if statistics.is_of_queries(statistics.split_name(name)[0])
    ]
    if benchmark["main_metric"] in of_queries:
        return benchmark["main_metric"]
    return of_queries[0] if of_queries else None


def as_json(benchmark: dict[str, Any]) -> dict[str, Any]:
    """Return the slices of :func:`metric_of` as they stand in ``benchmark.json``.

    Args:
        benchmark (dict): As for :func:`by_kind`.

    Returns:
        dict: ``metric``, and ``kinds`` as :func:`by_kind` returns them, slices as dicts.
    """
    metric = metric_of(benchmark)
    kinds = by_kind(benchmark, metric) if metric else {}
    return {
        "metric": metric,
        "kinds": {
            name: [asdict(part) for part in parts] for name, parts in kinds.items()
        },
    }


def by_kind(benchmark: dict[str, Any], metric: str) -> dict[str, list[Slice]]:
    """Slice a metric by each of :data:`KINDS`.

    Args:
        benchmark (dict): ``benchmark.json`` with the arrays of ``units.npz`` under
            ``units``.
        metric (str): One of ``metrics_of_queries``, e.g. ``ndcg@10``.

    Returns:
        dict: ``{kind name: [Slice]}``, ascending, without empty slices, and without
        kinds that the arrays do not know: those of version 0.1 have no ``asked``.
    """
    rows = [row for row in benchmark["rows"] if row["runs"]]
    arrays, found = benchmark["units"], {}
    test_sets = range(len(benchmark["test_sets"]))
    for kind in KINDS:
        if not all(f"{test_set}/{kind.name}" in arrays for test_set in test_sets):
            continue
        values = np.stack(
            [_pooled(arrays, test_sets, row, metric, kind) for row in rows], axis=1
        )
        members = _Members.of(arrays, test_sets, kind)
        by = np.concatenate([arrays[f"{number}/{kind.name}"] for number in test_sets])
        index = np.digitize(by, kind.starts) - 1
        names = [row["name"] for row in rows]
        found[kind.name] = [
            _slice(kind.label(number), index == number, values, members, names)
            for number in range(len(kind.starts))
            if (index == number).any()
        ]
    return found


def clusters(arrays: dict[str, np.ndarray], test_sets: range) -> np.ndarray:
    """Return the user of each query over all test sets, as int64 from 0."""
    users = np.concatenate([arrays[f"{number}/user"] for number in test_sets])
    return np.unique(users, return_inverse=True)[1]


@dataclass(frozen=True)
class _Members:
    """What is sliced, queries or positives: the query of each, its user, its positives."""

    query: np.ndarray
    user: np.ndarray
    positives: np.ndarray

    @classmethod
    def of(cls, arrays, test_sets, kind):
        user = clusters(arrays, test_sets)
        parts, begin = [], 0
        for number in test_sets:
            parts.append(arrays[f"{number}/positive_unit"] + begin)
            begin += len(arrays[f"{number}/user"])
        query = np.concatenate(parts)
        if kind.of_positives:
            return cls(query, user[query], np.ones(len(query), dtype=np.int64))
        counts = np.bincount(query, minlength=len(user))
        return cls(np.arange(len(user)), user, counts)


def _pooled(arrays, test_sets, row, metric, kind):
    parts = [
        values_of(arrays, number, row, metric, kind.of_positives)
        for number in test_sets
    ]
    return np.concatenate(parts)


def values_of(
    arrays: dict[str, np.ndarray],
    test_set: int,
    row: dict[str, Any],
    metric: str,
    of_positives: bool = False,
) -> np.ndarray:
    """Return a metric of each query, mean over the row's seeds.

    Args:
        arrays (dict): The arrays of ``units.npz``.
        test_set (int): The number of the test set.
        row (dict): A row of ``benchmark.json``.
        metric (str): E.g. ``ndcg@10``.
        of_positives (bool): Whether each positive is a query of its own.

    Returns:
        numpy.ndarray: float64 ``[n_queries]`` or ``[n_positives]``; NaN if the row has no
        run on this test set.
    """
    query = arrays[f"{test_set}/positive_unit"]
    if of_positives:
        query, n_queries = np.arange(len(query)), len(query)
    else:
        n_queries = len(arrays[f"{test_set}/user"])
    name, k = statistics.split_name(metric)
    keys = [f"{test_set}/rank/{row['name']}/{seed}" for seed in row["runs"]]
    each = [
        statistics.metric_of_queries(name, query, arrays[key], n_queries, k)
        for key in keys
        if key in arrays
    ]
    return np.mean(each, axis=0) if each else np.full(n_queries, np.nan)


def _slice(label, inside, values, members, names):
    values, user = values[inside], members.user[inside]
    present = ~np.isnan(values)
    counts = present.sum(axis=0)
    means = np.where(present, values, 0).sum(axis=0) / np.maximum(counts, 1)
    low, high = statistics.bootstrap_interval(values, user)
    several = [len(np.unique(user[column])) > 1 for column in present.T]

    def told(figures, known):
        pairs = zip(names, figures, known)
        return {name: float(figure) if known else None for name, figure, known in pairs}

    return Slice(
        label,
        queries=len(np.unique(members.query[inside])),
        positives=int(members.positives[inside].sum()),
        means=told(means, counts > 0),
        low=told(low, several),
        high=told(high, several),
    )
