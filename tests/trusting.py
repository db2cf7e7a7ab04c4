"""Toys in which users trust those who choose alike, and how well a model ranks them.

A longer measurement than the tests have time for, as a table for docs/models.md::

    PYTHONPATH=.:tests python tests/trusting.py --seeds 5 --rates .001 .005 .01
"""

import argparse
import os
import sys
import tempfile
import warnings
from pathlib import Path

import recbole_whisperlite  # noqa: F401  (RecBole comes after, and finds us)

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

from recbole_whisperlite.data.atomic import write_atomic

N_ITEMS = 120


def four_groups(rng):
    """80 users in four groups that trust only each other and choose of their products."""
    chosen, trusted, likely = {}, {}, {}
    for user in range(80):
        group = user // 20
        likely[user] = np.arange(30) + 30 * group
        chosen[user] = rng.choice(likely[user], 8, replace=False)
        others = np.setdiff1d(np.arange(20) + 20 * group, [user])
        trusted[user] = rng.choice(others, 3, replace=False)
    return chosen, trusted, likely


def friends_know(rng):
    """Half of the 80 users choose of their group's products; the others trust three of them,
    chose six products of all at random, and choose as their friends do from then on.

    The history of these says nothing, and their friends all there is to know.
    """
    chosen, trusted, likely = {}, {}, {}
    for user in range(80):
        group = user // 10 % 4
        of_group = np.arange(30) + 30 * group
        others = np.setdiff1d(np.arange(10) + 10 * group, [user])
        trusted[user] = rng.choice(others, 3, replace=False)
        if user < 40:
            chosen[user] = rng.choice(of_group, 8, replace=False)
            continue
        # the last two choices are held out
        last = rng.choice(of_group, 2, replace=False)
        first = rng.choice(np.setdiff1d(np.arange(N_ITEMS), last), 6, replace=False)
        chosen[user], likely[user] = np.concatenate([first, last]), of_group
    return chosen, trusted, likely


def a_choice_of_each_friend(rng):
    """Twelve groups with ten products each and four users, who choose six of them; and 150
    followers, who trust one user of each of four groups, and choose once of each.

    Harder: a follower's own history misleads, as no group is chosen of twice.
    """
    chosen, trusted, likely = {}, {}, {}
    for user in range(48):
        group = user // 4
        chosen[user] = rng.choice(10, 6, replace=False) + 10 * group
        trusted[user] = np.setdiff1d(np.arange(4) + 4 * group, [user])
    for user in range(48, 198):
        groups = rng.choice(12, 4, replace=False)
        trusted[user] = groups * 4 + rng.integers(4, size=4)
        chosen[user] = groups * 10 + rng.integers(10, size=4)
        likely[user] = (groups[2:, None] * 10 + np.arange(10)).ravel()
    return chosen, trusted, likely


def write(home, chosen, trusted):
    pairs = [(user, item) for user, items in chosen.items() for item in items]
    rows = [(f"u{u}", f"i{i}", f"r{n}", n) for n, (u, i) in enumerate(pairs)]
    fields = {"user_id": "token", "item_id": "token", "request_id": "token"}
    write_atomic(home / "toy.inter", {**fields, "timestamp": "float"}, rows)
    requests = [(f"r{n}", "something") for n in range(len(rows))]
    fields = {"request_id": "token", "request": "token"}
    write_atomic(home / "toy.request", fields, requests)
    items = [(f"i{i}", f"thing {i}") for i in range(N_ITEMS)]
    write_atomic(home / "toy.item", {"item_id": "token", "title": "token"}, items)
    trust = [(f"u{u}", f"u{v}") for u, friends in trusted.items() for v in friends]
    write_atomic(home / "toy.net", {"source_id": "token", "target_id": "token"}, trust)


def expected_ndcg(model, train, likely):
    """NDCG@10 of one held-out item, averaged over all that are equally likely to be it."""
    pairs = zip(*(train.inter_feat[f].tolist() for f in ("user_id", "item_id")))
    seen = {}
    for user, item in pairs:
        seen.setdefault(user, []).append(item)
    of_users = []
    for name, items in likely.items():
        user = train.token2id("user_id", f"u{name}")
        with torch.no_grad():
            scores = model.full_sort_predict({"user_id": torch.tensor([user])})
        scores = scores.clone().flatten()
        scores[[0, *seen[user]]] = -torch.inf
        known = train.field2token_id["item_id"]
        held = [known[f"i{i}"] for i in items if f"i{i}" in known]
        held = [item for item in held if item not in seen[user]]
        rank = torch.argsort(torch.argsort(-scores))[held].numpy()
        of_users.append(np.where(rank < 10, 1 / np.log2(rank + 2), 0).mean())
    return np.mean(of_users)


def ranked_by(name, toy, folder, seed, **settings):
    """NDCG@10 of a model before training, and after training by RecBole's early stopping.

    Args:
        name (str): The model
        toy (callable): One of this module, from a random generator
        folder (pathlib.Path): Where the toy and the checkpoint are written
        seed (int): Of the toy, of the start and of the training
        **settings: RecBole's

    Returns:
        tuple: two floats
    """
    home = folder / f"{toy.__name__}-{seed}" / "toy"
    home.mkdir(parents=True, exist_ok=True)
    chosen, trusted, likely = toy(np.random.default_rng(seed))
    write(home, chosen, trusted)
    given = {
        "data_path": str(home.parent),
        "topk": [10],
        "valid_metric": "NDCG@10",
        "metrics": ["NDCG"],
        "epochs": 200,
        "seed": seed,
        "state": "ERROR",
        "checkpoint_dir": str(folder),
    }
    config = Config(name, "toy", config_dict={**given, **settings})
    init_seed(config["seed"], config["reproducibility"])
    loaders = data_preparation(config, create_dataset(config))
    train = loaders[0]._dataset
    model = get_model(name)(config, train)
    before = expected_ndcg(model.eval(), train, likely)
    trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
    trainer.fit(*loaders[:2], saved=True, show_progress=False)
    trainer.evaluate(loaders[2], load_best_model=True, show_progress=False)
    return before, expected_ndcg(model.eval(), train, likely)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.001, 0.005, 0.01])
    parser.add_argument("--models", nargs="+", default=["BPR", "GraphRec"])
    parser.add_argument("--stopping-step", type=int, default=10)
    asked = parser.parse_args()
    sys.argv = sys.argv[:1]  # RecBole reads it, too
    warnings.filterwarnings("ignore")
    print(
        "| toy | learning rate | model | before training | NDCG@10 (sd) | worst seed |"
    )
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # RecBole writes logs beside the caller
        for toy in (four_groups, friends_know, a_choice_of_each_friend):
            for rate in asked.rates:
                for name in asked.models:
                    given = {
                        "learning_rate": rate,
                        "stopping_step": asked.stopping_step,
                    }
                    before, after = np.transpose(
                        [
                            ranked_by(name, toy, Path(folder), seed, **given)
                            for seed in range(1, asked.seeds + 1)
                        ]
                    )
                    print(
                        f"| {toy.__name__} | {rate} | {name} | {before.mean():.3f} | "
                        f"{after.mean():.3f} ({after.std(ddof=1):.3f}) | "
                        f"{after.min():.3f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
