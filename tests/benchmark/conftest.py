"""Benchmarks on a dozen requests, run in this process: a new one takes seconds."""

import pytest
import yaml

from recbole_whisperlite import cli

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
def benchmark(tiny, own_folder, started):
    """Return a function (models, *flags) -> status; it writes into results/tiny."""

    def run(models, *flags, **settings):
        content = {**COMMON, "data_path": str(tiny), **settings, "models": models}
        with open("benchmark.yaml", "w") as file:
            yaml.safe_dump(content, file, sort_keys=False)
        return cli.main(["benchmark", "--config_files=benchmark.yaml", *flags])

    return run
