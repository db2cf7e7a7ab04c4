"""What a run writes at its end: result file, rank file, and examples to look at."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import resource
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch

from recbole_whisperlite.evaluation import pruning
from recbole_whisperlite.evaluation.examples import show_examples
from recbole_whisperlite.evaluation.rank_file import QueryRanks, write_ranks
from recbole_whisperlite.evaluation.revision import revision
from recbole_whisperlite.files import plain, whole_file

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
    from recbole.trainer import Trainer

PACKAGES = (
    "recbole-whisperlite recbole torch numpy scipy pandas scikit-learn open_clip_torch"
).split()

# {Config: {seconds, test sets and validation results of its run so far}}
_runs = WeakKeyDictionary()


class Metrics(OrderedDict):
    """Metrics by name, shown in logs as ``recall@10 0.1234, mrr@10 0.0567``."""

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:.4f}" for name, value in self.items())

    __repr__ = __str__


def start(config: Config) -> None:
    """Record that the run of ``config`` starts now."""
    _runs[config] = {
        "started": time.time(),
        "revision": revision(),
        "fit": 0.0,
        "evaluate": 0.0,
        "evaluate_in_fit": 0.0,
        "units": {},
        "fingerprint": {},
        "valid_curve": [],
    }


def timed_fit(fit: Callable) -> Callable:
    """Wrap the ``fit`` of a trainer to measure its time.

    Where that calls the wrapped one of its base class, the time counts once.
    """

    def wrapped(self, *args, **kwargs):
        run = _run(self.config)
        if run.get("is_fitting"):
            return fit(self, *args, **kwargs)
        run["fit_started"], run["is_fitting"] = time.time(), True
        evaluated = run["evaluate"]
        try:
            result = fit(self, *args, **kwargs)
        finally:
            run["is_fitting"] = False
        run["fit"] += time.time() - run["fit_started"]
        run["evaluate_in_fit"] += run["evaluate"] - evaluated
        return result

    return wrapped


def timed_evaluate(evaluate: Callable) -> Callable:
    """Wrap ``Trainer.evaluate`` to measure its time and, after a test, write files."""

    def wrapped(self, eval_data, *args, **kwargs):
        run = _run(self.config)
        phase = phase_of(eval_data) if eval_data else None
        wanted = phase == "test" and self.config["unit_file"]
        self.eval_collector.ranks = QueryRanks() if wanted else None
        begin = time.time()
        result = evaluate(self, eval_data, *args, **kwargs)
        run["evaluate"] += time.time() - begin
        if result is None:
            return result
        if wanted and self.eval_collector.by_query and not self.config["single_spec"]:
            self.eval_collector.ranks.gather()
        result = Metrics(result)
        if phase == "valid":
            since = time.time() - run.get("fit_started", begin)
            run["valid_curve"].append({"seconds": since, **result})
            if self.config["tuning_trial"] and self.config["single_spec"]:
                pruning.report(
                    self.config["tuning_trial"],
                    len(run["valid_curve"]) - 1,
                    pruning.signed(
                        result[self.config["valid_metric"].lower()],
                        self.config["valid_metric_bigger"],
                    ),
                )
        run["units"][phase] = getattr(eval_data, "sample_size", None)
        run["fingerprint"][phase] = getattr(eval_data, "fingerprint", None)
        if phase == "test" and self.config["local_rank"] == 0:
            if self.config["result_file"]:
                write_result(self, eval_data, result, run)
            if self.config["unit_file"]:
                write_ranks(
                    self.config["unit_file"], eval_data, self.eval_collector.ranks
                )
            if self.config["show_examples"]:
                show_examples(self, eval_data, self.config["show_examples"])
        return result

    return wrapped


def _run(config):
    if config not in _runs:  # a Config read from a checkpoint
        start(config)
    return _runs[config]


def phase_of(eval_data: AbstractDataLoader) -> str:
    """Return the phase of an evaluation dataloader: valid or test."""
    phase = getattr(eval_data._dataset, "phase", None)
    return phase or getattr(eval_data._sampler, "phase", None) or "test"


def write_result(
    trainer: Trainer, eval_data: AbstractDataLoader, test_result: dict, run: dict
) -> None:
    """Write ``result_file``: settings, results and costs of a run.

    Args:
        trainer (Trainer): After the test evaluation.
        eval_data (AbstractDataLoader): The test dataloader.
        test_result (dict): What the evaluation returned.
        run (dict): The measured times (seconds), test sets and validation results.
    """
    config, dataset = trainer.config, eval_data._dataset
    encode = sum(getattr(dataset, "encode_seconds", {}).values())
    before_fit = run.get("fit_started", time.time()) - run["started"]
    result = {
        "model": config["model"],
        "dataset": config["dataset"],
        "seed": config["seed"],
        "settings": dict(config.final_config_dict),
        "composed_requests": getattr(dataset, "composed_from", None),
        "request_kind": getattr(dataset, "request_kind", None),
        # of RecBole's own evaluation, on a dataset without requests, it says nothing
        "known_at_test": (
            config["known_at_test"] if hasattr(dataset, "held_out") else None
        ),
        "best_valid_result": trainer.best_valid_result,
        "test_result": test_result,
        "valid_curve": run["valid_curve"],
        "units": run["units"],
        "fingerprint": run["fingerprint"],
        "seconds": {
            "prepare": before_fit - encode,
            "encode": encode,
            "train": run["fit"] - run["evaluate_in_fit"],
            "evaluate": run["evaluate"],
        },
        "parameters": sum(
            parameter.numel()
            for parameter in trainer.model.parameters()
            if parameter.requires_grad
        ),
        # ru_maxrss is in KiB on Linux
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "versions": versions(),
        "revision": run["revision"],
    }
    if torch.cuda.is_available():
        result["peak_gpu_memory_mb"] = torch.cuda.max_memory_allocated() / 2**20
    with whole_file(config["result_file"]) as file:
        file.write_text(json.dumps(result, indent=2, default=plain) + "\n", "utf-8")
    trainer.logger.info(f"Result written to {config['result_file']}")


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of the packages that results depend on.

    Returns:
        dict: ``{name: version}``; None for a package that is not installed.
    """
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found
