"""For whom a model is good: a metric by kinds of test requests.

Every unit (user, request) is in exactly one slice of each kind, and the units of
several test_sets (random splits with several seeds) are counted together.
"""

from dataclasses import dataclass

import numpy as np

from recbole_whisperlite.benchmark import statistics


@dataclass(frozen=True)
class Kind:
    """A way to slice units.

    Attributes:
        name (str): Its short name.
        title (str): What it is called above a plot.
        axis (str): What it is called along the axis.
        starts (tuple of int): The least value of each slice, ascending; a slice ends
            where the next one begins, and the last one has no end.
    """

    name: str
    title: str
    axis: str
    starts: tuple

    def label(self, number):
        """Return the range of slice ``number`` as text: ``0``, ``3–5`` or ``6+``."""
        start = self.starts[number]
        if number + 1 == len(self.starts):
            return f"{start}+"
        end = self.starts[number + 1] - 1
        return str(start) if start == end else f"{start}–{end}"


KINDS = (
    Kind("words", "Request length", "words of the request", (0, 2, 3, 5, 9, 17, 33)),
    Kind("history", "Cold start", "earlier purchases of the user", (0, 1, 3, 6)),
    Kind(
        "popularity",
        "Item popularity",
        "times the chosen item was chosen in training",
        (0, 1, 3, 10, 30, 100, 300, 1000),
    ),
)


@dataclass(frozen=True)
class Slice:
    """The units of one range.

    Attributes:
        label (str): The range.
        units (int): How many units are in it.
        means (dict): ``{row name: mean of the metric}``; None where the row failed in
            all test_sets that have units in it.
        errors (dict): ``{row name: standard error of that mean}``, None likewise and
            where a single unit has none.
    """

    label: str
    units: int
    means: dict
    errors: dict


def by_kind(benchmark, metric):
    """Split a metric by each of :data:`KINDS`.

    Args:
        benchmark (dict): ``benchmark.json`` with the arrays of ``units.npz`` under
            ``units``.
        metric (str): One of ``metrics_of_queries``, e.g. ``ndcg@10``.

    Returns:
        dict: ``{kind name: [Slice]}``, ascending; slices without units are left out.
    """
    rows = [row for row in benchmark["rows"] if row["runs"]]
    test_sets = range(len(benchmark["test_sets"]))
    values = {
        row["name"]: np.concatenate(
            [values_of_queries(benchmark["units"], e, row, metric) for e in test_sets]
        )
        for row in rows
    }
    found = {}
    for kind in KINDS:
        of_query = [_sliced(benchmark["units"], test_set, kind.name) for test_set in test_sets]
        place = np.digitize(np.concatenate(of_query), kind.starts) - 1
        found[kind.name] = [
            _slice(kind.label(number), place == number, values)
            for number in range(len(kind.starts))
            if (place == number).any()
        ]
    return found


def values_of_queries(units, test_set, row, metric):
    """Return a metric of each unit, mean over the row's seeds.

    Args:
        units (dict): The arrays of ``units.npz``.
        test_set (int): The number of the test_set.
        row (dict): Of ``benchmark.json``.
        metric (str): E.g. ``ndcg@10``.

    Returns:
        numpy.ndarray: float64 ``[n_queries]``; NaN where the row has no run of this test_set.
    """
    of = units[f"{test_set}/positive_unit"]
    n_queries = len(units[f"{test_set}/user"])
    name, k = statistics.split_name(metric)
    keys = [f"{test_set}/rank/{row['name']}/{seed}" for seed in row["runs"]]
    each = [
        statistics.metric_of_queries(name, of, units[key], n_queries, k)
        for key in keys
        if key in units
    ]
    return np.mean(each, axis=0) if each else np.full(n_queries, np.nan)


def _sliced(units, test_set, name):
    """Return what ``name`` says of each unit, int64 ``[n_queries]``."""
    if name != "popularity":
        return units[f"{test_set}/{name}"]
    # of several chosen items the rarest: it is the hardest to find
    rarest = np.full(len(units[f"{test_set}/user"]), np.iinfo(np.int64).max)
    np.minimum.at(rarest, units[f"{test_set}/positive_unit"], units[f"{test_set}/popularity"])
    return rarest


def _slice(label, members, values):
    means, errors = {}, {}
    for name, of_queries in values.items():
        present = of_queries[members & ~np.isnan(of_queries)]
        n = len(present)
        means[name] = float(present.mean()) if n else None
        errors[name] = float(present.std(ddof=1) / n**0.5) if n > 1 else None
    return Slice(label, int(members.sum()), means, errors)
