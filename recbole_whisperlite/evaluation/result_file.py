"""What a run leaves behind: one result file, and examples to look at."""

import importlib.metadata
import json
import platform
import resource
import time
from collections import OrderedDict
from weakref import WeakKeyDictionary

import torch

from recbole_whisperlite.evaluation.examples import show_examples
from recbole_whisperlite.evaluation.rank_file import QueryRanks, write_ranks
from recbole_whisperlite.files import plain, whole_file

PACKAGES = (
    "recbole-whisperlite recbole torch numpy scipy pandas scikit-learn open_clip_torch"
).split()

# {Config: {seconds, test sets and validation results of its run so far}}
_runs = WeakKeyDictionary()


class Metrics(OrderedDict):
    """Metrics by name, which a log shows as ``recall@10 0.1234, mrr@10 0.0567``."""

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:.4f}" for name, value in self.items())

    __repr__ = __str__


def start(config):
    """Note when the run of ``config`` (Config) began."""
    _runs[config] = {
        "started": time.time(),
        "fit": 0.0,
        "evaluate": 0.0,
        "evaluate_in_fit": 0.0,
        "units": {},
        "fingerprint": {},
        "valid_curve": [],
    }


def timed_fit(fit):
    """Wrap ``Trainer.fit`` so that its time is noted."""

    def wrapped(self, *args, **kwargs):
        run = _run(self.config)
        run["fit_started"] = time.time()
        evaluated = run["evaluate"]
        result = fit(self, *args, **kwargs)
        run["fit"] += time.time() - run["fit_started"]
        run["evaluate_in_fit"] += run["evaluate"] - evaluated
        return result

    return wrapped


def timed_evaluate(evaluate):
    """Wrap ``Trainer.evaluate``: note its time; after the test, write the report."""

    def wrapped(self, eval_data, *args, **kwargs):
        run = _run(self.config)
        phase = _phase(eval_data) if eval_data else None
        wanted = phase == "test" and self.config["unit_file"]
        self.eval_collector.ranks = QueryRanks() if wanted else None
        begin = time.time()
        result = evaluate(self, eval_data, *args, **kwargs)
        run["evaluate"] += time.time() - begin
        if result is None:
            return result
        result = Metrics(result)
        if phase == "valid":
            since = time.time() - run.get("fit_started", begin)
            run["valid_curve"].append({"seconds": since, **result})
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


def _phase(eval_data):
    phase = getattr(eval_data._dataset, "phase", None)
    return phase or getattr(eval_data._sampler, "phase", None) or "test"


def write_result(trainer, eval_data, test_result, run):
    """Write ``result_file``: what was run, what came out, what it cost.

    Args:
        trainer (Trainer): After the test evaluation.
        eval_data (AbstractDataLoader): The test dataloader.
        test_result (dict): What the evaluation returned.
        run (dict): The noted times and test sets.
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
    }
    if torch.cuda.is_available():
        result["peak_gpu_memory_mb"] = torch.cuda.max_memory_allocated() / 2**20
    with whole_file(config["result_file"]) as file:
        file.write_text(json.dumps(result, indent=2, default=plain) + "\n", "utf-8")
    trainer.logger.info(f"Result written into {config['result_file']}")


def versions():
    """Return ``{name: version}`` of Python and the packages that shape a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found
