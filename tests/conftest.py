"""What many tests share: a folder of their own and the dozen requests of tiny.py."""

import contextlib
import importlib
import logging
import os
import sys
import textwrap
import traceback
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import recbole_whisperlite  # noqa: E402, F401  (RecBole comes after, and finds us)

import pytest  # noqa: E402
from recbole.config import Config  # noqa: E402
from recbole.data import create_dataset, data_preparation  # noqa: E402
from recbole.evaluator import register  # noqa: E402
from recbole.utils import init_seed  # noqa: E402

from tiny import write_tiny  # noqa: E402


@pytest.fixture(autouse=True)
def own_logging():
    """RecBole sets level and handlers of the root logger for the rest of the process."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


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


@pytest.fixture
def write_module(own_folder, monkeypatch):
    """Return a function (name, source) -> path: code of a user's own, in this folder."""
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names, before = set(), set(sys.modules)

    def write(name, source):
        path = Path(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        names.add(name.partition(".")[0])
        forget()
        return path

    def forget():
        importlib.invalidate_caches()
        for module in set(sys.modules):
            if module.partition(".")[0] in names:
                del sys.modules[module]

    metrics, smaller = set(register.metrics_dict), list(register.smaller_metrics)
    yield write
    forget()
    register.smaller_metrics[:] = smaller
    for name in set(register.metrics_dict) - metrics:
        for table in ("metrics_dict", "metric_information", "metric_types"):
            del getattr(register, table)[name]
    for module in set(sys.modules) - before:
        if module.startswith("recbole.model.") and not hasattr(
            sys.modules[module], "__file__"
        ):
            del sys.modules[module]


@pytest.fixture
def started(monkeypatch):
    """Run jobs of benchmarks in this process; return the list of models that were started."""
    models = []

    def run_here(command, log, bar):
        flags = command[command.index("run") + 1 :]
        models.append(flags[0].partition("=")[2])
        with open(log, "w") as out:
            with contextlib.redirect_stderr(out), contextlib.redirect_stdout(out):
                try:
                    monkeypatch.setattr(sys, "argv", ["run_recbole.py", *flags])
                    from recbole_whisperlite import cli

                    return cli.run(flags)
                except Exception:
                    traceback.print_exc()
                    return 1
                finally:
                    monkeypatch.setattr(sys, "argv", ["pytest"])

    from recbole_whisperlite.benchmark import runner

    monkeypatch.setattr(runner, "_wait", run_here)
    return models
