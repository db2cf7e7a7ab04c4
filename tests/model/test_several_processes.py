"""Several processes together train and evaluate as one does.

Groups of 1, 2 and 3 processes are forked, each for all runs; the 3 are those of two
machines, with two and one, in folders of their own.
"""

import hashlib
import json
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import forked
import numpy as np
import psutil
import pytest
import torch
from handmade import TRAINING, Dataset, People, build
from recbole.data.interaction import Interaction
from recbole.quick_start import load_data_and_model, quick_start, run_recbole
from recbole.trainer import Trainer
from recbole.utils import get_trainer

from recbole_whisperlite.data.atomic import write_atomic
from recbole_whisperlite.data.negation.language import language_of
from recbole_whisperlite.evaluation.rank_file import read_ranks
from recbole_whisperlite.model.whisperlite import WhisperLite

GROUPS = (1, 2, 3)
LIMIT = 120  # seconds for a group
measure = psutil.cpu_percent
NEGATIVES = {"distribution": "uniform", "sample_num": 1}
# 91 training interactions in batches of 30: the last one has a single one, and with it a
# process of two, or two of three, have none
RUNS = {
    "WhisperLite": {"train_batch_size": 60},
    "WhisperLitePlus": {"train_batch_size": 30, "n_candidates": 12},
    "by_dropout": {
        "model": "WhisperLitePlus",
        "train_batch_size": 60,
        "dropout_prob": 0.2,
        "bce_weight": 0.5,
        "train_neg_sample_args": NEGATIVES,
        "eval_args": {"mode": {"valid": "uni5", "test": "uni5"}},
    },
    "LinearFusion": {},
}
SETTINGS = {
    "data_path": "..",
    "epochs": 2,
    "encoder": "tfidf",
    "topk": [3, 5],
    "metrics": ["NDCG", "Recall"],
    "valid_metric": "NDCG@5",
    "metric_decimal_place": 9,
    "state": "ERROR",
    "show_progress": False,
    "gpu_id": "",
    "cache_dir": "../cache",
}


def write_shop(folder):
    """13 users with 9 requests of one item each, of which seven train, and 20 items."""
    draw = random.Random(1)
    words = "red blue green warm coat dress shoes bag wedding heels cheap silk".split()
    items = [(f"i{n}", " ".join(draw.sample(words, 3))) for n in range(20)]
    choices, requests = [], []
    for user in range(13):
        for time in range(9):
            request = f"r{len(requests)}"
            text = " ".join(draw.sample(words, 2))
            requests.append((request, draw.choice([text, "a red dress", "no heels"])))
            item = draw.choice(items)[0]
            choices.append((f"u{user}", item, request, time))
    kinds = {"user_id": "token", "item_id": "token", "request_id": "token"}
    home = folder / "shop"
    write_atomic(home / "shop.inter", {**kinds, "timestamp": "float"}, choices)
    texts = {"request_id": "token", "request": "token"}
    write_atomic(home / "shop.request", texts, requests)
    write_atomic(home / "shop.item", {"item_id": "token", "title": "token"}, items)


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return str(probe.getsockname()[1])


def run(name, rank, group):
    """Run in this process as the standard runner does; write what it has found."""
    sys.argv, losses, results = ["pytest"], [], []
    Trainer._add_train_loss_to_tensorboard = lambda _, epoch, loss: losses.append(loss)
    psutil.cpu_percent = lambda interval=None: measure(0.05)  # RecBole's: of a second
    settings = {**SETTINGS, **RUNS[name], **group, "result_file": f"{name}.json"}
    settings["unit_file"] = f"{name}.npz"
    model = settings.pop("model", name)
    if group:
        quick_start.run_recbole = lambda *a, **k: results.append(run_recbole(*a, **k))
        local = rank - group["offset"]
        quick_start.run_recboles(local, model, "shop", None, {"config_dict": settings})
    else:
        results.append(run_recbole(model, "shop", config_dict=settings))
    state = torch.get_rng_state().numpy().tobytes()
    found = {
        "losses": losses,
        "valid": results[0]["best_valid_result"],
        "test": results[0]["test_result"],
        "generator": hashlib.sha256(state).hexdigest(),
    }
    Path(f"{name}-{rank}.found").write_text(json.dumps(found))


def start(folder, size):
    """Fork the processes of a group; return their ids."""
    ports = [free_port() for _ in RUNS]
    children = []
    for rank in range(size):
        machine = int(rank >= 2)
        home = folder / f"of-{size}-{machine}"
        home.mkdir(exist_ok=True)

        def work(_, rank=rank, machine=machine):
            torch.set_num_threads(1)
            for name, port in zip(RUNS, ports):
                group = {
                    "world_size": size,
                    "nproc": [2, 1][machine],
                    "offset": 2 * machine,
                    "ip": "localhost",
                    "port": port,
                }
                run(name, rank, group if size > 1 else {})

        children.append(forked.fork(work, home, home / f"{rank}.txt"))
    return children


def wait_for(children, limit):
    """Wait until processes have ended; return their statuses, None for those that had to be
    killed."""
    statuses, end = dict.fromkeys(children), time.monotonic() + limit
    while None in statuses.values() and time.monotonic() < end:
        for child in [each for each in children if statuses[each] is None]:
            ended, status = os.waitpid(child, os.WNOHANG)
            statuses[child] = os.waitstatus_to_exitcode(status) if ended else None
        if any(statuses.values()):
            break  # the others would wait for it
        time.sleep(0.02)
    for child in [each for each in children if statuses[each] is None]:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return list(statuses.values())


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """A folder with what the groups wrote, and {(run, size): what each process found}."""
    folder = tmp_path_factory.mktemp("groups")
    write_shop(folder)
    # what these load is loaded once, and not by each process
    language_of("a warm coat")
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    found = {}
    for size in GROUPS:
        statuses = wait_for(start(folder, size), LIMIT)
        printed = [each.read_text() for each in folder.glob(f"of-{size}-*/*.txt")]
        assert statuses == [0] * size, "\n".join(printed)
        for name in RUNS:
            files = sorted(folder.glob(f"of-{size}-*/{name}-*.found"))
            found[name, size] = [json.loads(each.read_text()) for each in files]
    return SimpleNamespace(folder=folder, found=found)


@pytest.mark.parametrize("name", ["WhisperLite", "WhisperLitePlus"])
@pytest.mark.parametrize("size", GROUPS[1:])
def test_losses_and_metrics_are_those_of_one_process(groups, name, size):
    [one], each = groups.found[name, 1], groups.found[name, size]
    assert len(each) == size and len(one["losses"]) == 2
    for process in each:
        assert process["losses"] == pytest.approx(one["losses"], rel=1e-5)
        assert process["valid"] == pytest.approx(one["valid"], rel=1e-5)
        assert process["test"] == pytest.approx(one["test"], rel=1e-5)
    assert one["losses"][-1] < one["losses"][0]


@pytest.mark.parametrize("name", ["WhisperLite", "WhisperLitePlus", "by_dropout"])
@pytest.mark.parametrize("size", GROUPS[1:])
def test_all_processes_of_a_group_find_the_same(groups, name, size):
    """Also where each has a dropout of its own: what a batch draws stays the same."""
    first, *others = groups.found[name, size]
    assert others == [first] * (size - 1)


@pytest.mark.parametrize("name", ["WhisperLite", "WhisperLitePlus", "LinearFusion"])
@pytest.mark.parametrize("size", GROUPS[1:])
def test_files_hold_each_query_once_as_those_of_one_process(groups, name, size):
    one, other = (
        groups.folder / f"of-{number}-0" / f"{name}.npz" for number in (1, size)
    )
    expected, found = read_ranks(one), read_ranks(other)
    assert len(expected["user"]) == 13 == len(set(expected["user"]))
    assert list(found) == list(expected)
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values, key)
    expected, found = (
        json.loads(file.with_suffix(".json").read_text()) for file in (one, other)
    )
    assert found["units"] == {"valid": 13, "test": 13}
    assert found["fingerprint"] == expected["fingerprint"]
    assert found["test_result"] == pytest.approx(expected["test_result"], rel=1e-5)
    assert len(found["valid_curve"]) == len(expected["valid_curve"])


def test_each_machine_has_the_files_and_each_but_the_first_process_has_none(groups):
    for folder in ("of-3-0", "of-3-1"):
        home = groups.folder / folder
        assert len(list(home.glob("*.npz"))) == len(RUNS)
        assert len(list(home.glob("saved/WhisperLite-*.pth"))) == 1


def test_what_three_processes_saved_is_loaded_by_one(groups, monkeypatch):
    home = groups.folder / "of-3-1"
    monkeypatch.chdir(home)
    file, _ = sorted(home.glob("saved/WhisperLitePlus-*.pth"), key=os.path.getmtime)
    config, model, _, _, _, test = load_data_and_model(str(file))
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    found = dict(trainer.evaluate(test, load_best_model=False))
    assert not model.fitted_weight.isnan().any()
    assert found == pytest.approx(groups.found["WhisperLitePlus", 3][0]["test"])


# ----------------------------------------------------- what the processes rely on

NEGATIVE = Interaction({**TRAINING.interaction, "item_id": TRAINING["item_id"].flip(0)})


def labelled():
    """The training interactions, and as many negatives."""
    batch = {
        key: torch.cat([values, NEGATIVE[key]])
        for key, values in TRAINING.interaction.items()
    }
    label = torch.arange(2 * len(TRAINING)) < len(TRAINING)
    return Interaction({**batch, "label": label.float()})


@pytest.mark.parametrize("number", [2, 3, 40])
@pytest.mark.parametrize(
    "settings",
    [
        {"model": WhisperLite},
        {"model": WhisperLite, "contrastive": "cosine"},
        {"model": WhisperLite, "mask_false_negatives": False},
        {"bce_weight": 0.5, "history_dropout_prob": 0.3, "new_item_rate": 0.2},
        {"mask_user_items": False, "popularity_correction": False, "n_candidates": 3},
        {"use_similarity": False, "use_history": False},
    ],
    ids=lambda settings: "-".join(map(str, list(settings)[:2])),
)
def test_the_parts_of_a_batch_add_up_to_its_loss_and_gradient(settings, number):
    dataset = Dataset() if settings.get("model") is WhisperLite else People()
    model = build(dataset, **settings).train()
    batch = model.prepare_batch(labelled())
    losses, gradients = [], []
    for owns in ([slice(None)], [slice(n, None, number) for n in range(number)]):
        model.zero_grad()
        parts = [model.part_of_loss(batch, own) for own in owns]
        sum(parts).backward()
        losses.append(sum(parts).item())
        gradients.append(
            {
                name: each.grad.clone()
                for name, each in model.named_parameters()
                if each.grad is not None
            }
        )
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert list(gradients[0]) == list(gradients[1])
    for name, gradient in gradients[0].items():
        size = gradient.abs().max().item()
        torch.testing.assert_close(
            gradients[1][name], gradient, rtol=1e-4, atol=1e-5 * size
        )
