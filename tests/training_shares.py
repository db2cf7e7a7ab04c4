"""How much of a training step N processes share: the seconds of one process's part.

    python tests/training_shares.py [model] [train_batch_size ...]

Trains on stylist-mini in one process, on one thread, with the rows of one of N processes:
what all of them do alike (negatives, candidates, the item tower) is in every figure, and
what they send each other in none.
"""

import sys
import time
from statistics import median

import recbole_whisperlite  # noqa: F401  (before RecBole)

import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

PROCESSES = (1, 2, 4, 8)
STEPS = 8


def seconds(name, batch_size):
    """The median seconds of a step, by the number of processes."""
    settings = {"train_batch_size": batch_size, "state": "ERROR", "use_gpu": False}
    config = Config(name, "stylist-mini", config_dict=settings)
    init_seed(config["seed"], True)
    train, _, _ = data_preparation(config, create_dataset(config))
    model = get_model(name)(config, train._dataset).train()
    optimizer = get_trainer(config["MODEL_TYPE"], name)(config, model).optimizer
    found = {number: [] for number in PROCESSES}
    batches = iter(train)
    for _ in range(STEPS):
        for number in PROCESSES:
            begin = time.perf_counter()
            batch = model.prepare_batch(next(batches, None) or next(iter(train)))
            optimizer.zero_grad()
            model.part_of_loss(batch, slice(0, None, number)).backward()
            optimizer.step()
            found[number].append(time.perf_counter() - begin)
    return {number: median(each) for number, each in found.items()}


def main():
    name, *sizes = sys.argv[1:] or ["WhisperLitePlus"]
    sys.argv = sys.argv[:1]  # RecBole reads the rest
    torch.set_num_threads(1)
    for size in map(int, sizes or [512, 2048]):
        of_size = seconds(name, size)
        told = (
            f"{number}: {each:.3f} s ({each / of_size[1]:.0%})"
            for number, each in of_size.items()
        )
        print(f"{name}, train_batch_size {size}; processes: {', '.join(told)}")


if __name__ == "__main__":
    main()
