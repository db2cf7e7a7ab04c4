"""How much memory a run takes, said before it starts: a cluster has to know."""

from __future__ import annotations

import math

from recbole_whisperlite.benchmark import data
from recbole_whisperlite.benchmark.plan import Plan, Row

# What the largest run without an items x items matrix took in results/, on up to 10,398
# items: 2.0 GB (column peak_memory_mb). Python, torch and RecBole alone are 1.0 of them.
_RUN = 2.5e9
# Of files that are read as text into tables and tensors.
_A_BYTE_OF_DATA = 12
# EASE on 10,398 items took 3.5 GB more than Pop: four float64 matrices, items x items.
_A_PAIR_OF_ITEMS = 32
_WITH_PAIRS = ("EASE", "LinearFusion", "LambdaMART")


def of_run(plan: Plan, row: Row) -> int:
    """Return the bytes that a run of a row needs.

    Args:
        plan (Plan): The benchmark.
        row (Row): The row. Its ``task_memory`` comes first, then that of the benchmark;
            without both it is an estimate from the dataset's files.
    """
    stated = row.task_memory or plan.task_memory
    if stated:
        return stated
    files = data.files_of(plan, row)
    needed = _RUN + _A_BYTE_OF_DATA * sum(path.stat().st_size for path in files)
    if row.model in _WITH_PAIRS:
        n_items = sum(_lines(path) for path in files if path.suffix == ".item")
        needed += _A_PAIR_OF_ITEMS * n_items**2
    return math.ceil(needed)


def _lines(path):
    with open(path, "rb") as file:
        return sum(1 for _ in file)
