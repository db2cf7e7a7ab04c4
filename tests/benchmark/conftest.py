"""Benchmarks on a dozen requests, run in this process: a new one takes seconds."""

import contextlib
import sys
import traceback

import pytest
import yaml

from recbole_whisperlite import cli
from recbole_whisperlite.benchmark import runner

COMMON = {
    "dataset": "tiny",
    "topk": [2, 3],
    "valid_metric": "NDCG@3",
    "metrics": ["Recall", "MRR", "NDCG", "Hit", "Precision", "MAP"],
    "metric_decimal_place": 12,
    "state": "ERROR",
    "epochs": 1,
    "embedding_size": 4,
}


@pytest.fixture
def started(monkeypatch):
    """Run jobs in this process; return the list of models that were started."""
    models = []

    def run_here(command, log, bar):
        flags = command[command.index("run") + 1 :]
        models.append(flags[0].partition("=")[2])
        with open(log, "w") as out:
            with contextlib.redirect_stderr(out), contextlib.redirect_stdout(out):
                try:
                    monkeypatch.setattr(sys, "argv", ["run_recbole.py", *flags])
                    return cli.run(flags)
                except Exception:
                    traceback.print_exc()
                    return 1
                finally:
                    monkeypatch.setattr(sys, "argv", ["pytest"])

    monkeypatch.setattr(runner, "_wait", run_here)
    return models


@pytest.fixture
def benchmark(tiny, own_folder, started):
    """Return a function (models, *flags) -> status; it writes into results/tiny."""

    def run(models, *flags, **settings):
        content = {**COMMON, "data_path": str(tiny), **settings, "models": models}
        with open("benchmark.yaml", "w") as file:
            yaml.safe_dump(content, file, sort_keys=False)
        return cli.main(["benchmark", "--config_files=benchmark.yaml", *flags])

    return run
