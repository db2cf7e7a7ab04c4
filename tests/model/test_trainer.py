"""A resumed run against an uninterrupted one, through RecBole's own trainer calls."""

import numpy as np
import pytest
import torch
from recbole.utils import get_model, get_trainer, init_seed

from recbole_whisperlite.compat.checkpoint import load_checkpoint
from recbole_whisperlite.model.fitting import fit_weights

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

    def make(epochs, model="WhisperLite", **settings):
        config, _, loaders = prepare(
            model, tiny, **{**SETTINGS, "epochs": epochs, **settings}
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


# --------------------------------------------------------------- WhisperLitePlus


@pytest.fixture
def plus(trainer):
    """The same of WhisperLitePlus, with its default loss."""

    def make(epochs, **settings):
        mine = {"bce_weight": 0.0, "train_neg_sample_args": None, "n_candidates": 4}
        mine |= {"new_item_rate": 0.2}
        return trainer(epochs, model="WhisperLitePlus", **{**mine, **settings})

    return make


def fitted(run):
    return run.model.fitted_weight.clone()


def test_fitted_weights_are_in_the_checkpoint_and_evaluation_uses_them(plus):
    run, (train, valid, test) = plus(2)
    run.fit(train, valid)
    weights = fitted(run)
    assert weights.isfinite().all()
    assert not torch.allclose(weights[0], run.model.term_weight.detach(), atol=1e-3)
    saved = load_checkpoint(run.saved_model_file)["state_dict"]
    assert torch.equal(saved["fitted_weight"], weights)
    expected = run.evaluate(test)

    other, (_, _, test) = plus(2)
    seen = []
    score = other.model.full_sort_predict
    other.model.full_sort_predict = lambda batch: seen.append(
        other.model.fitted_weight.clone()
    ) or score(batch)
    assert other.evaluate(test, model_file=run.saved_model_file) == expected
    assert seen and all(torch.equal(each, weights) for each in seen)


def test_the_fit_follows_the_best_epoch_and_is_the_same_whenever_it_is_made(plus):
    run, (train, valid, _) = plus(2)
    run.fit(train, valid)
    weights = fitted(run)
    saved = load_checkpoint(run.saved_model_file)["state_dict"]
    assert all(torch.equal(saved[k], v) for k, v in run.model.state_dict().items())
    fit_weights(run.model, valid, 4000)
    torch.testing.assert_close(fitted(run), weights, rtol=0, atol=1e-6)


@pytest.mark.parametrize("first_epochs", [2, 5])
def test_a_resumed_run_of_whisperliteplus_ends_like_an_uninterrupted_one(
    plus, first_epochs
):
    whole, (train, valid, test) = plus(5)
    expected = whole.fit(train, valid)
    expected_test, expected_weights = whole.evaluate(test), fitted(whole)

    first, (train, valid, _) = plus(first_epochs)
    first.fit(train, valid)
    resumed, (train, valid, test) = plus(5)
    resumed.resume_checkpoint(first.saved_model_file)
    np.random.rand(7), torch.rand(7)
    assert resumed.fit(train, valid) == expected
    assert torch.equal(fitted(resumed), expected_weights)
    assert resumed.evaluate(test) == expected_test


@pytest.mark.parametrize(
    "settings",
    [
        {"fit_queries": 0},
        {
            "eval_args": {
                "split": {"LS": "valid_and_test"},
                "order": "TO",
                "group_by": "user",
                "mode": "uni3",
            }
        },
    ],
    ids=["no queries", "sampled candidates"],
)
def test_nothing_is_fitted_where_there_is_nothing_to_fit_on(plus, settings):
    run, (train, valid, test) = plus(1, **settings)
    run.fit(train, valid)
    assert fitted(run).isnan().all()
    assert run.evaluate(test)


def test_nothing_is_fitted_without_validation(plus):
    run, (train, _, test) = plus(1)
    run.fit(train, None, saved=False)
    assert fitted(run).isnan().all()
    assert run.evaluate(test, load_best_model=False)


def test_what_is_not_saved_is_fitted_all_the_same(plus):
    run, (train, valid, _) = plus(1)
    run.fit(train, valid, saved=False)
    assert fitted(run).isfinite().all()


@pytest.mark.parametrize("name", ["WhisperLite", "WhisperLitePlus", "ZAM", "TEM"])
def test_training_in_mixed_precision(tiny, prepare, name):
    given = {"encoder": "tfidf", "epochs": 1, "enable_amp": True}
    config, _, (train, valid, _) = prepare(name, tiny, show_progress=False, **given)
    model = get_model(name)(config, train._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
    score, _ = trainer.fit(train, valid, saved=False, show_progress=False)
    assert 0 <= score <= 1


@pytest.mark.parametrize("learner", ["adamw", "adagrad", "rmsprop"])
def test_a_step_over_a_table_at_once_is_that_of_its_numbers_one_by_one(
    learner, trainer
):
    found = []
    for fused in (True, False):
        one, (train, valid, _) = trainer(2, "WhisperLitePlus", learner=learner)
        before = weights(one)
        groups = one.optimizer.param_groups
        assert all(each.get("fused") for each in groups) == learner.startswith("adam")
        for each in groups:
            each["fused"] = fused and each.get("fused")
        one.fit(train, None, saved=False, show_progress=False)
        found.append(weights(one))
        assert not torch.equal(found[-1], before)
    at_once, one_by_one = (each.nan_to_num() for each in found)
    torch.testing.assert_close(at_once, one_by_one, rtol=1e-4, atol=1e-5)
