"""Costs compared with RecBole's own models, as ratios within one run.

Machines differ, so numbers are never compared across runs. Models that are compared are
timed in turns (one epoch of each, then the next epoch), so that a slow minute of the
machine affects all of them, and medians are reported.
"""

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import InputType, get_model, get_trainer, init_seed
from tqdm import tqdm

from recbole_whisperlite import Recommender
from recbole_whisperlite.benchmark import newcomers as new_products
from recbole_whisperlite.export.model import export_model

BASELINES = ("NGCF", "LightGCN", "BPR")
OURS = ("WhisperLite", "WhisperLitePlus")
MODELS = (*OURS, *BASELINES)
SEEDS = (2020, 2021, 2022)
#: Choices in a batch, each with one negative.
BATCH = 2048


def cold(args: argparse.Namespace) -> dict[str, float]:
    """Test requests with the users' histories hidden from the trained models."""
    figures = {}
    for model in (*OURS, "RequestPop", "LinearFusion"):
        found = {"": [], ", histories hidden": []}
        for seed in tqdm(args.seeds, desc=model, unit="seed", disable=None):
            settings = {"seed": seed, "stopping_step": 5}
            trainer, train, valid, test = _loaded(model, args, **settings)
            with tempfile.TemporaryDirectory() as folder:
                trainer.saved_model_file = str(Path(folder) / "model.pth")
                trainer.fit(train, valid, verbose=False)
                found[""].append(trainer.evaluate(test)["ndcg@10"])
                for field in test._dataset.history_fields[1:]:
                    test.query_feat[field].zero_()
                hidden = trainer.evaluate(test)["ndcg@10"]
                found[", histories hidden"].append(hidden)
        for how, each in found.items():
            figures[f"{model}, test NDCG@10{how}"] = float(np.mean(each))
            if len(each) > 1:
                figures[f"{model}, deviation over seeds{how}"] = float(
                    np.std(each, ddof=1)
                )
    return figures


def main(argv: list[str]) -> int:
    """Run ``recbole-whisperlite costs``; return the exit status."""
    parts = {
        "training": training,
        "evaluation": evaluation,
        "encoding": encoding,
        "cache": cache,
        "convergence": convergence,
        "cold": cold,
        "asking": asking,
        "newcomers": newcomers,
    }
    parser = argparse.ArgumentParser(
        prog="recbole-whisperlite costs", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--dataset", default="hm", help="dataset to measure on")
    parser.add_argument(
        "--data_path",
        default="dataset/",
        help="folder that contains the dataset's folder",
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="number of rounds to take the median of"
    )
    parser.add_argument(
        "--texts", type=int, default=1000, help="number of texts to encode"
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=SEEDS, help="seeds of cold"
    )
    parser.add_argument(
        "--item_text_fields",
        nargs="+",
        help="columns of the item texts (default: all text columns)",
    )
    parser.add_argument(
        "--parts",
        nargs="+",
        default=list(parts),
        choices=list(parts),
        help="what to measure (default: everything)",
    )
    parser.add_argument("--output", help="also write the figures to this json file")
    args = parser.parse_args(argv)
    sys.argv = sys.argv[:1]  # RecBole's Config reads it, and these flags are ours
    figures = {}
    for part in args.parts:
        print(f"\n{parts[part].__doc__.splitlines()[0]}", flush=True)
        figures[part] = parts[part](args)
        for name, value in figures[part].items():
            print(f"  {name:56}{value:>12.4g}", flush=True)
    if args.output:
        figures["threads"] = torch.get_num_threads()
        Path(args.output).write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def _trainer(model, args):
    """Return trainer, train and test dataloader; all models get the same batches."""
    # RecBole counts a negative as a row of its own for models that are trained on labels
    by_label = get_model(model).input_type == InputType.POINTWISE
    trainer, train, _, test = _loaded(
        model,
        args,
        train_batch_size=2 * BATCH if by_label else BATCH,
        train_neg_sample_args={"distribution": "uniform", "sample_num": 1},
    )
    trainer.eval_collector.data_collect(train)
    return trainer, train, test


def _loaded(model, args, **settings):
    config = Config(
        model,
        args.dataset,
        config_dict={
            "data_path": args.data_path,
            **_item_text_fields(args),
            "state": "ERROR",
            "checkpoint_dir": tempfile.gettempdir(),
            **settings,
        },
    )
    init_seed(config["seed"], config["reproducibility"])
    train, valid, test = data_preparation(config, create_dataset(config))
    model = get_model(config["model"])(config, train._dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    return trainer, train, valid, test


def _item_text_fields(args):
    """The setting, if it was given: None would replace that of the dataset."""
    given = args.item_text_fields
    return {"item_text_fields": given} if given else {}


def _in_turns(rounds, tasks):
    """Time the tasks in turns, after a warm-up; return ``{name: median seconds}``."""
    seconds = {name: [] for name in tasks}
    for number in tqdm(range(rounds + 1), desc="rounds", disable=None):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def training(args: argparse.Namespace) -> dict[str, float]:
    """A training epoch, in batches of 2048 choices with one negative for each."""

    def task(model):
        trainer, train, _ = _trainer(model, args)
        return lambda: trainer._train_epoch(train, 0)

    seconds = _in_turns(args.rounds, {model: task(model) for model in MODELS})
    figures = {f"{model}, seconds an epoch": seconds[model] for model in MODELS}
    for ours in OURS:
        for model in BASELINES:
            figures[f"{ours} / {model}"] = seconds[ours] / seconds[model]
    return figures


def evaluation(args: argparse.Namespace) -> dict[str, float]:
    """Full ranking of the test requests."""
    queries = {}

    def task(model):
        trainer, _, test = _trainer(model, args)
        queries[model] = len(test.queries)
        return lambda: trainer.evaluate(test, load_best_model=False)

    seconds = _in_turns(args.rounds, {model: task(model) for model in MODELS})
    figures = {
        f"{model}, milliseconds a query": 1000 * seconds[model] / queries[model]
        for model in MODELS
    }
    for ours in OURS:
        figures[f"{ours} / BPR"] = seconds[ours] / seconds["BPR"]
    return figures


def encoding(args: argparse.Namespace) -> dict[str, float]:
    """Encoding item texts with the text tower of CLIP ViT-B-32 (random weights)."""
    import open_clip

    from recbole_whisperlite.encoder.text_tower import TextTower

    def no_bar(total, description):
        return tqdm(disable=True)

    _, train, _ = _trainer("BPR", args)
    texts = sorted(set(train._dataset.item_texts[1:]))[: args.texts]
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32", pretrained=None).eval()
    # the tower changes the model that it is given
    tower = TextTower(copy.deepcopy(model), tokenizer, "cpu", no_bar)
    vectors = {}

    @torch.no_grad()
    def plain():
        vectors["plain"] = np.concatenate(
            [
                model.encode_text(tokenizer(texts[n : n + 256]), normalize=True)
                for n in range(0, len(texts), 256)
            ]
        )

    def ours():
        vectors["ours"] = tower.encode(list(texts), 256)

    seconds = _in_turns(args.rounds, {"plain": plain, "ours": ours})
    return {
        "plain open_clip loop, texts a second": len(texts) / seconds["plain"],
        "this package, texts a second": len(texts) / seconds["ours"],
        "times as fast": seconds["plain"] / seconds["ours"],
        "largest difference": np.abs(vectors["plain"] - vectors["ours"]).max(),
    }


def cache(args: argparse.Namespace) -> dict[str, float]:
    """Encoding in a first run, and in a second one that finds the vectors cached."""
    figures = {}
    for run in ("first", "second"):
        _, train, _ = _trainer("WhisperLite", args)
        seconds = train._dataset.encode_seconds.values()
        figures[f"{run} run, seconds in encoding"] = sum(seconds)
    return figures


def asking(args: argparse.Namespace) -> dict[str, float]:
    """Asking an exported model for test requests, with the encoder tfidf."""
    figures = {}
    for name in OURS:
        trainer, _, _, test = _loaded(name, args, encoder="tfidf")
        dataset, queries = test._dataset, test.queries
        texts = [dataset.request_texts[id_] for id_ in test.query_feat["request"]]
        users = dataset.id2token(dataset.uid_field, queries.user).tolist()
        with tempfile.TemporaryDirectory() as folder:
            # speed does not depend on the weights
            export_model(trainer.config, trainer.model, test, None, None, folder)
            start = time.perf_counter()
            shop = Recommender.load(folder)
            figures[f"{name}, seconds to load"] = time.perf_counter() - start
            shop.recommend(texts[0])  # loads what is loaded when it is needed
            singly, batches = [], []
            for text, user in list(zip(texts, users))[:300]:
                start = time.perf_counter()
                shop.recommend(text, user)
                singly.append(time.perf_counter() - start)
            for _ in range(args.rounds):
                start = time.perf_counter()
                shop.recommend(texts, users)
                batches.append(time.perf_counter() - start)
        milliseconds = 1000 * statistics.median(singly)
        figures[f"{name}, milliseconds for a single request"] = milliseconds
        rate = len(texts) / statistics.median(batches)
        figures[f"{name}, requests a second in batches"] = rate
    return figures


def newcomers(args: argparse.Namespace) -> dict[str, float]:
    """Products that are added after the training, and the requests that led to them."""
    settings = {**_item_text_fields(args), "state": "ERROR"}
    models = ("ZeroShot", *OURS)
    return new_products.measure(models, args.dataset, args.data_path, settings)


def convergence(args: argparse.Namespace) -> dict[str, float]:
    """Complete runs with each model's default settings, one after another."""
    figures = {}
    for model in (*OURS, "LightGCN", "NGCF"):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "result.json"
            subprocess.run(
                [sys.executable, "-m", "recbole_whisperlite", "run"]
                + [f"--model={model}", f"--dataset={args.dataset}"]
                + [f"--data_path={os.path.abspath(args.data_path)}"]
                + [f"--result_file={file}", "--show_progress=False"],
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
            )
            result = json.loads(file.read_text())
        best = max(result["valid_curve"], key=lambda epoch: epoch["ndcg@10"])
        figures[f"{model}, seconds to the best validation score"] = best["seconds"]
        figures[f"{model}, test NDCG@10"] = result["test_result"]["ndcg@10"]
        figures[f"{model}, peak memory in MB"] = result["peak_memory_mb"]
    return figures
