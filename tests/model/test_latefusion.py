"""LateFusion: what it adds, how it weighs, and which parts it takes."""

import itertools

import numpy as np
import pytest
import torch
from close import assert_close_relative
from recbole.utils import get_model, get_trainer
from scipy.stats import zscore

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.latefusion import standardise, weight_grid

GIVEN = {"fusion_grid": 4, "k": 3, "epochs": 2, "show_progress": False}


def build(prepare, data_path, **settings):
    given = {**GIVEN, **settings}
    config, dataset, loaders = prepare("LateFusion", data_path, **given)
    model = get_model("LateFusion")(config, loaders[0]._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], "LateFusion")(config, model)
    return config, loaders, model, trainer


def test_standardised_scores_are_z_scores_over_the_items_without_padding():
    scores = torch.randn(3, 6, generator=torch.Generator().manual_seed(0)) * 50 + 7
    expected = zscore(scores[:, 1:].numpy(), axis=1)
    assert_close_relative(standardise(scores)[:, 1:], expected)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e7])
def test_equal_scores_say_nothing(value):
    assert (standardise(torch.full((2, 5000), value)) == 0).all()


@pytest.mark.parametrize("n_parts, grid", [(2, 1), (3, 4), (4, 3)])
def test_the_grid_holds_every_point_of_the_simplex_once(n_parts, grid):
    everything = itertools.product(range(grid + 1), repeat=n_parts)
    expected = {point for point in everything if sum(point) == grid}
    found = (weight_grid(n_parts, grid) * grid).round().int().tolist()
    assert len(found) == len(expected)
    assert set(map(tuple, found)) == expected
    assert max(found[0]) == min(map(max, found))


def test_scores_are_the_weighted_sum_of_the_parts(tiny, prepare):
    _, (train, _, test), model, _ = build(prepare, tiny)
    model.weight.copy_(torch.tensor([0.5, 0.2, 0.3]))
    units = test.query_feat
    expected = 0
    for weight, name in zip([0.5, 0.2, 0.3], ["RequestPop", "ItemKNN", "BM25"]):
        scores = model.parts[name].full_sort_predict(units).view(len(units), -1)
        scores = scores.numpy().astype(float)
        deviation = scores[:, 1:].std(axis=1, keepdims=True)
        deviation[deviation == 0] = np.inf
        expected += weight * (scores - scores[:, 1:].mean(1, keepdims=True)) / deviation
    found = model.full_sort_predict(units).view(len(units), -1)
    assert_close_relative(found, expected)


@pytest.mark.parametrize("mode", ["full", "uni2"])
def test_the_weights_are_the_best_of_the_grid_on_validation(
    tiny, prepare, monkeypatch, mode
):
    args = {"split": {"RS": [0.4, 0.4, 0.2]}, "order": "TO", "group_by": "none"}
    _, (train, valid, _), model, trainer = build(
        prepare, tiny, eval_args={**args, "mode": mode}
    )
    parts, score = list(model.parts.values()), model._score_catalogue
    generator = torch.Generator().manual_seed(0)
    own = torch.rand(len(parts), model.n_items, generator=generator) / 2

    def without_ties(part, interaction):
        """Items of equal scores would be ordered by how a processor rounds."""
        return score(part, interaction) + own[parts.index(part)]

    monkeypatch.setattr(model, "_score_catalogue", without_ties)
    trainer.fit(train, valid, saved=False)
    chosen = model.weight.clone()
    scores = {}
    for weight in weight_grid(3, 4):
        model.weight.copy_(weight)
        result = trainer.evaluate(valid, load_best_model=False)
        scores[tuple(weight.tolist())] = result["ndcg@3"]
    assert len(set(scores.values())) > 1
    # the grid starts with the most even weights, and max takes the first of the best
    assert tuple(chosen.tolist()) == max(scores, key=scores.get)


def test_without_validation_all_parts_weigh_the_same(tiny, prepare):
    _, (train, _, _), model, trainer = build(prepare, tiny)
    trainer.fit(train, None, saved=False)
    torch.testing.assert_close(model.weight, torch.full((3,), 1 / 3))


@pytest.mark.parametrize("part", ["BPR", "NeuMF", "WhisperLite", "Pop"])
def test_parts_are_trained_with_settings_and_negatives_of_their_own(
    tiny, prepare, part, tmp_path
):
    config, (train, valid, test), model, trainer = build(
        prepare,
        tiny,
        fusion_models=["RequestPop", part],
        train_batch_size=4,
    )
    before = {k: v.clone() for k, v in model.parts[part].state_dict().items()}
    trainer.fit(train, valid)
    after = model.parts[part].state_dict()
    if part != "Pop":
        assert any((after[key] != before[key]).any() for key in before)
    trainer.evaluate(test)
    assert model.part_config[part]["model"] == part
    drawn = model.part_config[part]["train_neg_sample_args"]["distribution"]
    assert drawn == "uniform"  # LateFusion's own are none
    assert [file.suffix for file in (tmp_path / "saved").iterdir()] == [".pth"]


def test_a_part_that_needs_histories_is_refused(tiny, prepare):
    """The parts share a dataset, which has none."""
    with pytest.raises(UserError, match="use_history and use_similarity to False"):
        build(prepare, tiny, fusion_models=["RequestPop", "WhisperLitePlus"])


@pytest.mark.parametrize(
    "given, message",
    [
        ({"fusion_models": ["BM25"]}, "at least two different"),
        ({"fusion_models": ["BM25", "BM25"]}, "at least two different"),
        ({"fusion_models": "BM25"}, "must be a list"),
        ({"fusion_models": ["BM25", "ItemKKN"]}, "Did you mean 'ItemKNN'"),
        ({"fusion_models": ["BM25", "SASRec"]}, "SASRec cannot be a part"),
        ({"fusion_models": ["BM25", "LateFusion"]}, "LateFusion cannot be a part"),
    ],
)
def test_what_cannot_be_fused_is_refused(tiny, prepare, given, message):
    with pytest.raises(UserError, match=message):
        build(prepare, tiny, **given)


def test_pop_may_be_a_part(tiny, prepare):
    parts = {"fusion_models": ["Pop", "BM25"]}
    _, (train, valid, test), model, trainer = build(prepare, tiny, **parts)
    # RecBole counts a model's operations before it is trained
    assert (model.full_sort_predict(test.query_feat).isfinite()).all()
    trainer.fit(train, valid, saved=False)
    count, most = model.parts["Pop"].item_cnt, model.parts["Pop"].max_cnt
    assert most == count.max() > 0
