"""A resumed run against an uninterrupted one, through RecBole's own trainer calls."""

import numpy as np
import pytest
import torch
from recbole.utils import get_model, get_trainer, init_seed

# every source of chance: shuffling, sampled negatives and dropout
SETTINGS = {
    "bce_weight": 1.0,
    "train_neg_sample_args": {"distribution": "uniform", "sample_num": 2},
    "dropout_prob": 0.3,
    "train_batch_size": 6,
    "embedding_size": 8,
    "mlp_hidden_size": [8],
    "encoder_dim": 8,
    "stopping_step": 100,
}


@pytest.fixture
def trainer(tiny, prepare):
    """Return a function (epochs, **settings) -> trainer and dataloaders."""

    def make(epochs, **settings):
        config, _, loaders = prepare(
            "WhisperLite", tiny, **{**SETTINGS, "epochs": epochs, **settings}
        )
        init_seed(config["seed"], config["reproducibility"])
        model = get_model(config["model"])(config, loaders[0]._dataset)
        return (
            get_trainer(config["MODEL_TYPE"], config["model"])(config, model),
            loaders,
        )

    return make


def weights(trainer):
    return torch.cat(
        [weight.flatten() for weight in trainer.model.state_dict().values()]
    )


def test_a_resumed_run_ends_like_an_uninterrupted_one(trainer, tmp_path):
    whole, (train, valid, test) = trainer(8)
    expected = whole.fit(train, valid, show_progress=False)
    at_the_end = weights(whole)
    expected_test = whole.evaluate(test)

    first, (train, valid, _) = trainer(3)
    first.fit(train, valid, show_progress=False)
    resumed, (train, valid, test) = trainer(8)
    resumed.resume_checkpoint(first.saved_model_file)
    assert 1 <= resumed.start_epoch <= 3
    np.random.rand(7), torch.rand(7)  # another process has drawn other numbers
    assert resumed.fit(train, valid, show_progress=False) == expected
    assert torch.equal(weights(resumed), at_the_end)
    assert resumed.evaluate(test) == expected_test


def test_a_run_resumed_without_a_better_epoch_still_returns_the_best_result(trainer):
    whole, (train, valid, _) = trainer(2, learning_rate=0.0)  # a tie counts as better
    expected = whole.fit(train, valid)
    assert expected[1]["ndcg@3"] == expected[0]
    resumed, (train, valid, _) = trainer(2, learning_rate=0.0)
    resumed.resume_checkpoint(whole.saved_model_file)
    assert resumed.start_epoch == 2  # nothing is left to train
    assert resumed.fit(train, valid) == expected


def test_epochs_differ_and_so_do_seeds(trainer):
    def order(seed, epoch):
        """The batches that an epoch of this seed trains on."""
        run, (train, _, _) = trainer(1, seed=seed)
        items = []

        def loss(interaction):
            items.extend(interaction["item_id"].tolist())
            return sum(weight.sum() for weight in run.model.parameters()) * 0

        run._train_epoch(train, epoch, loss_func=loss)
        return items

    assert order(2020, 1) == order(2020, 1)
    assert order(2020, 0) != order(2020, 1)
    assert order(2020, 1) != order(2021, 0)
