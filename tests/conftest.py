"""What many tests share: a folder of their own and the dozen requests of tiny.py."""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import recbole_whisperlite  # noqa: E402, F401  (RecBole comes after, and finds us)

import pytest  # noqa: E402
from recbole.config import Config  # noqa: E402
from recbole.data import create_dataset, data_preparation  # noqa: E402
from recbole.utils import init_seed  # noqa: E402

from tiny import write_tiny  # noqa: E402


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """RecBole writes logs and checkpoints beside the caller and reads sys.argv."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def tiny(tmp_path):
    """The data_path of the dozen requests."""
    return write_tiny(tmp_path)


@pytest.fixture
def prepare():
    """Return a function (model, data_path, **settings) -> config, dataset, loaders."""

    def run(model, data_path, dataset="tiny", **settings):
        config = Config(
            model,
            dataset,
            config_dict={
                "data_path": str(data_path),
                "topk": [3],
                "valid_metric": "NDCG@3",
                "state": "ERROR",
                **settings,
            },
        )
        init_seed(config["seed"], config["reproducibility"])
        data = create_dataset(config)
        return config, data, data_preparation(config, data)

    return run
