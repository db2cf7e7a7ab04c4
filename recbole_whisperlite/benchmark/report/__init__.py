"""``report.html``: a benchmark to look at, in one file that needs nothing else."""

import json

import numpy as np

from recbole_whisperlite.benchmark.report.page import render
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import whole_file


def write(folder):
    """Write ``report.html`` from the ``benchmark.json`` and ``units.npz`` beside it.

    No model is run, so that old results can be shown anew. Pictures are embedded if
    they still lie in the dataset's folder, relative to where the benchmark was run.

    Args:
        folder (Path): The output folder of a benchmark.

    Returns:
        Path: The file written.

    Raises:
        UserError: If the folder holds no finished benchmark.
    """
    benchmark = read(folder)
    path = folder / "report.html"
    with whole_file(path) as file:
        file.write_text(render(benchmark), "utf-8")
    return path


def read(folder):
    """Return ``benchmark.json`` as a dict, with the arrays of units under ``units``.

    Args:
        folder (Path): The output folder of a benchmark.

    Raises:
        UserError: If one of the files is missing or is not what a benchmark writes.
    """
    try:
        benchmark = json.loads((folder / "benchmark.json").read_text("utf-8"))
        with np.load(folder / "units.npz") as file:
            units = {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise UserError(
            f"{error.filename} does not exist. Name the output folder of a finished "
            "benchmark, e.g. results/hm."
        ) from None
    except (ValueError, OSError, EOFError) as error:
        raise UserError(
            f"{folder}: benchmark.json or units.npz cannot be read: {error}. Run the "
            "benchmark again: finished runs are kept."
        ) from None
    _rename_old_keys(benchmark)
    return {**benchmark, "units": units}


def _rename_old_keys(benchmark):
    """Version 0.1 said exams, units and sees for test sets, queries and inputs."""
    if "exams" in benchmark:
        benchmark["test_sets"] = benchmark.pop("exams")
        benchmark["metrics_of_queries"] = benchmark.pop("metrics_of_units")
        for test_set in benchmark["test_sets"]:
            test_set["queries"] = test_set.pop("units")
        for row in benchmark["rows"]:
            row["inputs"] = row.pop("sees")
