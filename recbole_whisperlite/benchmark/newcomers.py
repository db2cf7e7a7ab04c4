"""Are products found that came after the training?

A tenth of the products, and all interactions with them, are left out of the data. Models
are trained on the rest and exported; then the products are added, without training, and
the requests that led to them are asked.
"""

import random
import shutil
import tempfile
from pathlib import Path

import numpy as np
from recbole.quick_start import run_recbole

from recbole_whisperlite import Recommender
from recbole_whisperlite.data.atomic import read_atomic, write_atomic

_SHARE = 0.1
# Requests that are asked; more make the figures no clearer.
_MOST_REQUESTS = 4000
_K = 10


def measure(
    models: tuple[str, ...], dataset: str, data_path: str, settings: dict
) -> dict[str, float]:
    """Return figures by name.

    Args:
        models (tuple of str): Models that can be exported.
        dataset (str): A dataset with a ``.request`` file.
        data_path (str): The folder that contains the dataset's folder.
        settings (dict): For all runs.

    Returns:
        dict: For each model NDCG@10 of the requests that led to new products: among all
        products, and among the new ones alone.
    """
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        source, home = Path(data_path, dataset), Path(folder, dataset)
        new, asked = _leave_out(source, home, dataset)
        for model in models:
            target = Path(folder, model)
            run_recbole(
                model=model,
                dataset=dataset,
                config_dict={
                    **settings,
                    "data_path": folder,
                    "checkpoint_dir": folder,
                    "export": str(target),
                },
            )
            shop = Recommender.load(target, pictures=home)
            shop.add_items(new)
            requests, products = zip(*asked)
            for name, among in (
                ("", None),
                (", among new products", list(new.item_id)),
            ):
                answers = shop.recommend(list(requests), k=_K, among=among)
                figures[f"{model}, NDCG@{_K}{name}"] = _ndcg(answers, products)
        figures["new products"], figures["their requests"] = len(new), len(asked)
    return figures


def _leave_out(source, home, name):
    """Write the reduced dataset; return the new products and (request, product) pairs."""
    inter, inter_types = read_atomic(source / f"{name}.inter", "\t", "utf-8")
    item, item_types = read_atomic(source / f"{name}.item", "\t", "utf-8")
    request, _ = read_atomic(source / f"{name}.request", "\t", "utf-8")
    products = sorted(set(inter.item_id))
    draw = random.Random(0)
    new = set(draw.sample(products, int(_SHARE * len(products))))
    # pictures and descriptions of the data stay what they are
    shutil.copytree(source, home, ignore=shutil.ignore_patterns(f"{name}.i*"))
    for suffix, frame, types in (
        ("inter", inter, inter_types),
        ("item", item, item_types),
    ):
        kept = frame[~frame.item_id.isin(new)]
        write_atomic(home / f"{name}.{suffix}", types, kept.itertuples(index=False))
    text = dict(zip(request.request_id, request.request))
    led = inter[inter.item_id.isin(new)]
    pairs = [(text[r], i) for r, i in zip(led.request_id, led.item_id) if r in text]
    draw.shuffle(pairs)
    return item[item.item_id.isin(new)], pairs[:_MOST_REQUESTS]


def _ndcg(answers, products):
    """With one right product for each request."""
    gains = []
    for answer, product in zip(answers, products):
        found = [each.item for each in answer]
        rank = found.index(product) + 1 if product in found else np.inf
        gains.append(1 / np.log2(rank + 1))
    return float(np.mean(gains))
