"""For whom a model is good: a metric by kinds of test requests.

Every unit (user, request) is in exactly one slice of each kind, and the units of
several exams (random splits with several seeds) are counted together.
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
            all exams that have units in it.
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
        metric (str): One of ``metrics_of_units``, e.g. ``ndcg@10``.

    Returns:
        dict: ``{kind name: [Slice]}``, ascending; slices without units are left out.
    """
    rows = [row for row in benchmark["rows"] if row["runs"]]
    exams = range(len(benchmark["exams"]))
    values = {
        row["name"]: np.concatenate(
            [values_of_units(benchmark["units"], e, row, metric) for e in exams]
        )
        for row in rows
    }
    found = {}
    for kind in KINDS:
        of_unit = [_sliced(benchmark["units"], exam, kind.name) for exam in exams]
        place = np.digitize(np.concatenate(of_unit), kind.starts) - 1
        found[kind.name] = [
            _slice(kind.label(number), place == number, values)
            for number in range(len(kind.starts))
            if (place == number).any()
        ]
    return found


def values_of_units(units, exam, row, metric):
    """Return a metric of each unit, mean over the row's seeds.

    Args:
        units (dict): The arrays of ``units.npz``.
        exam (int): The number of the exam.
        row (dict): Of ``benchmark.json``.
        metric (str): E.g. ``ndcg@10``.

    Returns:
        numpy.ndarray: float64 ``[n_units]``; NaN where the row has no run of this exam.
    """
    of = units[f"{exam}/positive_unit"]
    n_units = len(units[f"{exam}/user"])
    name, k = statistics.split_name(metric)
    keys = [f"{exam}/rank/{row['name']}/{seed}" for seed in row["runs"]]
    each = [
        statistics.metric_of_units(name, of, units[key], n_units, k)
        for key in keys
        if key in units
    ]
    return np.mean(each, axis=0) if each else np.full(n_units, np.nan)


def _sliced(units, exam, name):
    """Return what ``name`` says of each unit, int64 ``[n_units]``."""
    if name != "popularity":
        return units[f"{exam}/{name}"]
    # of several chosen items the rarest: it is the hardest to find
    rarest = np.full(len(units[f"{exam}/user"]), np.iinfo(np.int64).max)
    np.minimum.at(rarest, units[f"{exam}/positive_unit"], units[f"{exam}/popularity"])
    return rarest


def _slice(label, members, values):
    means, errors = {}, {}
    for name, of_units in values.items():
        present = of_units[members & ~np.isnan(of_units)]
        n = len(present)
        means[name] = float(present.mean()) if n else None
        errors[name] = float(present.std(ddof=1) / n**0.5) if n > 1 else None
    return Slice(label, int(members.sum()), means, errors)
