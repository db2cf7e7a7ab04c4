"""Seconds and peak memory of each step on a large shop, as figures for docs/scale.md::

    PYTHONPATH=.:tests python tests/scale.py --items 200000 --users 200000 \\
        --interactions 2000000

The shop is made up (``big_shop.py``), in a folder that is kept for the next time. Steps:
reading and splitting, vectors (tfidf), one epoch, the evaluation of some 10,000 queries,
and export. Peak memory is that of the process from the start of a step to its end.
"""

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path

import recbole_whisperlite  # noqa: F401  (RecBole comes after, and finds us)
from big_shop import write_big_shop

GB = 2**30


class Steps:
    """The steps of a run: seconds, and the most memory that was resident, in GB."""

    def __init__(self):
        self.found = {}

    def __call__(self, name, work):
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak before
        begin = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - begin
        self.found[name] = {"seconds": round(seconds, 1), "peak_gb": _peak()}
        print(name, self.found[name], flush=True)
        return result


def _peak():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) * 1024 / GB, 2)


class Beginning:
    """The first batches of a dataloader, as an epoch."""

    def __init__(self, loader, n_batches):
        self._loader, self._n_batches = loader, n_batches

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def __len__(self):
        return min(self._n_batches, len(self._loader))

    def __iter__(self):
        return itertools.islice(self._loader, self._n_batches)


def measure(folder, model, settings, n_batches=None):
    """Return the figures of each step.

    Args:
        folder (Path): The dataset's folder.
        model (str): Its name.
        settings (dict): On top of those of the measurement.
        n_batches (int): How many batches of the epoch are run. Default: all
    """
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_logger, init_seed

    from recbole_whisperlite.export.model import export_model

    steps = Steps()
    config = Config(
        model,
        folder.name,
        config_dict={
            "data_path": str(folder.parent),
            "encoder": "tfidf",
            "epochs": 1,
            "use_gpu": False,
            "train_batch_size": 4096,
            "eval_batch_size": 4096,
            "state": "INFO",
            "show_progress": False,
            "checkpoint_dir": str(folder.parent / "saved"),
            "cache_dir": str(folder.parent / "cache"),
            **settings,
        },
    )
    init_seed(config["seed"], config["reproducibility"])
    init_logger(config)
    dataset = steps("reading", lambda: create_dataset(config))
    train, valid, test = steps("splitting", lambda: data_preparation(config, dataset))
    steps("vectors", lambda: (dataset.request_vectors(), dataset.item_vectors()))
    model_class = get_model(model)
    network = steps("model", lambda: model_class(config, train._dataset))
    trainer = get_trainer(config["MODEL_TYPE"], model)(config, network)
    steps.found["batches"] = len(train)
    train = Beginning(train, n_batches) if n_batches else train
    steps("epoch", lambda: trainer._train_epoch(train, 0))
    steps(
        "evaluation",
        lambda: trainer.evaluate(test, load_best_model=False, show_progress=False),
    )
    with tempfile.TemporaryDirectory(dir=folder.parent) as exported:
        model = (trainer.config, network, test, None, None, f"{exported}/model")
        steps("export", lambda: export_model(*model))
    steps.found["queries"] = len(test.queries)
    return steps.found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("items", "users", "interactions"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--model", default="WhisperLite")
    parser.add_argument("--folder", type=Path, default=Path("dataset"))
    parser.add_argument(
        "--settings", default="{}", help="json, on top of the usual ones"
    )
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument(
        "--batches", type=int, help="only so many batches of the epoch are run"
    )
    args = parser.parse_args()
    folder = args.folder.absolute() / f"big-{args.items}-{args.interactions}"
    if not folder.is_dir():
        write_big_shop(folder, args.items, args.users, args.interactions)
    # two interactions a request; the last ones are the test, those before them validation
    share = args.queries / (args.interactions / 2)
    split = {"RS": [1 - 2 * share, share, share]}
    eval_args = {"split": split, "order": "TO", "group_by": None, "mode": "full"}
    settings = {"eval_args": eval_args, **json.loads(args.settings)}
    found = measure(folder, args.model, settings, args.batches)
    print(json.dumps({**vars(args), "folder": str(folder), **found}, default=str))


if __name__ == "__main__":
    main()
