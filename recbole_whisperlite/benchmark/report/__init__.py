"""``report.html``: the results of a benchmark in one self-contained file."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from recbole_whisperlite.benchmark.report.page import render
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import whole_file


def write(folder: Path) -> Path:
    """Write ``report.html`` from ``benchmark.json`` and ``units.npz``.

    No model is run, so the report of an old benchmark can be written again. Pictures
    are embedded if they are still in the dataset's folder; if that is a relative path,
    it starts at the current folder.

    Args:
        folder (Path): The output folder of a benchmark, which contains all three.

    Returns:
        Path: The file written.

    Raises:
        UserError: If the folder does not contain a finished benchmark.
    """
    benchmark = read(folder)
    path = folder / "report.html"
    with whole_file(path) as file:
        file.write_text(render(benchmark), "utf-8")
    return path


def read(folder: Path) -> dict[str, Any]:
    """Return ``benchmark.json``, with the arrays of ``units.npz`` as ``units``.

    Args:
        folder (Path): The output folder of a benchmark.

    Raises:
        UserError: If one of the files is missing or cannot be read.
    """
    try:
        benchmark = json.loads((folder / "benchmark.json").read_text("utf-8"))
        with np.load(folder / "units.npz") as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise UserError(
            f"{error.filename} does not exist. Give the output folder of a finished "
            "benchmark, e.g. results/hm."
        ) from None
    except (ValueError, OSError, EOFError) as error:
        raise UserError(
            f"{folder}: benchmark.json or units.npz cannot be read: {error}. Run the "
            "benchmark again: finished runs are kept."
        ) from None
    _rename_old_keys(benchmark)
    return {**benchmark, "units": arrays}


def _rename_old_keys(benchmark):
    """Rename the keys that version 0.1 called exams, units and sees."""
    if "exams" in benchmark:
        benchmark["test_sets"] = benchmark.pop("exams")
        benchmark["metrics_of_queries"] = benchmark.pop("metrics_of_units")
        for test_set in benchmark["test_sets"]:
            test_set["queries"] = test_set.pop("units")
        for row in benchmark["rows"]:
            row["inputs"] = row.pop("sees")
