"""What a run leaves behind: one result file, and examples to look at."""

import importlib.metadata
import json
import platform
import resource
import time
from weakref import WeakKeyDictionary

import torch

from recbole_whisperlite.data.dataset import RequestDatasetMixin
from recbole_whisperlite.data.evaluation import RequestFullSortEvalDataLoader
from recbole_whisperlite.files import plain, whole_file
from recbole_whisperlite.unit_file import UnitRanks, write_units

PACKAGES = (
    "recbole-whisperlite recbole torch numpy scipy pandas scikit-learn open_clip_torch"
).split()

# {Config: {seconds, exams and validation results of its run so far}}
_runs = WeakKeyDictionary()


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
        self.eval_collector.ranks = UnitRanks() if wanted else None
        begin = time.time()
        result = evaluate(self, eval_data, *args, **kwargs)
        run["evaluate"] += time.time() - begin
        if result is None:
            return result
        if phase == "valid":
            since = time.time() - run.get("fit_started", begin)
            run["valid_curve"].append({"seconds": since, **result})
        run["units"][phase] = getattr(eval_data, "sample_size", None)
        run["fingerprint"][phase] = getattr(eval_data, "fingerprint", None)
        if phase == "test" and self.config["local_rank"] == 0:
            if self.config["result_file"]:
                write_result(self, eval_data, result, run)
            if self.config["unit_file"]:
                write_units(
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
    dataset = eval_data._dataset
    if isinstance(dataset, RequestDatasetMixin):
        return dataset.phase
    return getattr(eval_data._sampler, "phase", None) or "test"


def write_result(trainer, eval_data, test_result, run):
    """Write ``result_file``: what was run, what came out, what it cost.

    Args:
        trainer (Trainer): After the test evaluation.
        eval_data (AbstractDataLoader): The test dataloader.
        test_result (dict): What the evaluation returned.
        run (dict): The noted times and exams.
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


@torch.no_grad()
def show_examples(trainer, eval_data, number, k=5):
    """Print requests of the test phase with the model's best items.

    Args:
        trainer (Trainer): After the test evaluation.
        eval_data (AbstractDataLoader): The test dataloader; nothing is printed unless
            it ranks the full catalogue of a dataset with requests.
        number (int): How many requests, taken evenly from the phase.
        k (int): Items for each.
    """
    if not isinstance(eval_data, RequestFullSortEvalDataLoader):
        return
    dataset, units = eval_data._dataset, eval_data.units
    step = max(len(units) // number, 1)
    chosen = list(range(0, len(units), step))[:number]
    trainer.model.eval()
    interaction, scores, *_ = trainer._full_sort_batch_eval(
        eval_data.collate_fn(chosen)
    )
    item_texts = dataset.item_texts
    for unit, request, row in zip(
        chosen, interaction[dataset.request_text_field], scores.cpu()
    ):
        print(f"\nRequest: {_short(dataset.request_texts[request], 300)}")
        positive = set(units.positive[unit].indices)
        for rank, item in enumerate(row.topk(k).indices.tolist(), start=1):
            mark = "*" if item in positive else " "
            token = dataset.id2token(dataset.iid_field, item)
            print(f" {mark} {rank}. [{token}] {_short(item_texts[item], 150)}")
    print("\n* was chosen for this request (the test's answer)")


def _short(text, length):
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
