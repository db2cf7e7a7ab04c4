"""Trains a model on the shop of tests/export and exports it, as a user would."""

import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from recbole.quick_start import run_recbole

from export.exported_shop import write_shop


class Trained(NamedTuple):
    """A run.

    Attributes:
        checkpoint (Path): What RecBole saved.
        model (Path): What was exported.
        test (dict): Metrics of the test set by name.
    """

    checkpoint: Path
    model: Path
    test: dict


def train(name, folder, **settings):
    """Train a model for an epoch in a folder of its own."""
    write_shop(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["pytest"])
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        result = run_recbole(
            name,
            "shop",
            config_dict={
                "data_path": str(folder / "data"),
                "encoder": "tfidf",
                "encoder_dim": 16,
                "epochs": 1,
                "topk": [10],
                "metrics": ["NDCG", "Recall", "MRR", "Precision", "Hit"],
                "metric_decimal_place": 10,
                "state": "ERROR",
                "export": str(folder / "model"),
                **settings,
            },
        )
    (checkpoint,) = (folder / "saved").glob("*.pth")
    return Trained(checkpoint, folder / "model", result["test_result"])
