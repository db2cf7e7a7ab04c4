"""The two towers alone, on a hand-made dataset of five requests and seven items."""

import copy
import math

import handmade
import numpy as np
import pytest
import torch
import yaml
from close import assert_close_relative
from handmade import DEFAULTS, DIM, Dataset
from recbole.data.interaction import Interaction

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.whisperlite import WhisperLite
from recbole_whisperlite.paths import PROPERTIES

PAPER = yaml.safe_load(
    (PROPERTIES / "experiment" / "whisperlite-paper.yaml").read_text()
)


def build(dataset=None, **settings):
    return handmade.build(dataset or Dataset(), model=WhisperLite, **settings)


# Four choices; item 2 answers request 1 twice.
POSITIVES = Interaction(
    {"request": torch.tensor([1, 2, 3, 1]), "item_id": torch.tensor([2, 3, 4, 2])}
)
# The same with one sampled negative each, as RecBole's dataloader gives them.
BATCH = Interaction(
    {
        "request": torch.tensor([1, 2, 3, 1, 1, 2, 3, 1]),
        "item_id": torch.tensor([2, 3, 4, 2, 5, 6, 1, 7]),
        "label": torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0]),
    }
)
REQUESTS = Interaction({"request": torch.tensor([1, 2, 3, 4, 5, 2])})


def train(model, batch=BATCH, steps=3):
    handmade.train(model, batch, steps)


def rank(model, requests=REQUESTS):
    return handmade.rank(model, requests)


class RowsSeen:
    """Counts the rows that go through a tower's MLP."""

    def __init__(self, tower):
        self.rows = []
        tower.tower.mlp_layers.register_forward_hook(
            lambda module, inputs, output: self.rows.append(len(inputs[0]))
        )


@pytest.mark.parametrize("normalize", [True, False])
def test_a_score_is_the_dot_product_of_the_towers_over_the_temperature(normalize):
    model = build(normalize=normalize, temperature=0.1)
    scores = rank(model)
    assert scores.shape == (6, 8) and scores.std() > 0.1
    expected = torch.zeros(5, 8)
    for request in range(1, 6):
        for item in range(8):
            a = model.requests.tower.mlp_layers(model.requests.vectors[request])
            b = model.items.tower.mlp_layers(model.items.vectors[item])
            if normalize:
                a, b = a / max(a.norm(), 1e-12), b / max(b.norm(), 1e-12)
            expected[request - 1, item] = (a @ b).item() / 0.1
    assert_close_relative(scores[:5], expected)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("remember", [True, False], ids=["no_grad", "grad"])
def test_predict_agrees_with_full_sort_predict(normalize, remember):
    model = build(normalize=normalize)
    train(model)
    scores = rank(model)
    pairs = Interaction(
        {
            "request": REQUESTS["request"].repeat_interleave(8),
            "item_id": torch.arange(8).repeat(6),
        }
    )
    with torch.set_grad_enabled(not remember):
        predicted = model.predict(pairs).view(6, 8)
    assert_close_relative(predicted, scores)


def test_training_changes_the_towers_and_never_the_vectors():
    dataset = Dataset()
    model = build(dataset)
    before = copy.deepcopy(model.state_dict())
    train(model)
    after = model.state_dict()
    for name in before:
        if name.endswith("weight"):
            assert not torch.equal(before[name], after[name]), name
    for side, tower in (("request", model.requests), ("item", model.items)):
        assert torch.equal(tower.vectors, torch.tensor(dataset.vectors[side]))
        assert not tower.vectors.requires_grad


def test_a_checkpoint_holds_the_towers_and_the_temperature_only():
    assert set(build().state_dict()) == {"logit_scale"} | {
        f"{side}.tower.mlp_layers.mlp_layers.{layer}.{part}"
        for side in ("requests", "items")
        for layer in (1, 4)
        for part in ("weight", "bias")
    }


def test_swapping_the_texts_of_two_requests_swaps_their_rankings():
    dataset, swapped = Dataset(), Dataset()
    swapped.vectors["request"][[1, 2]] = dataset.vectors["request"][[2, 1]]
    model, other = build(dataset), build(swapped)
    train(model)
    other.load_state_dict(model.state_dict())
    scores = rank(model)
    order = scores.argsort(dim=1, descending=True)
    assert not torch.equal(order[0], order[1])
    assert_close_relative(rank(other)[[1, 0, 2, 3, 4]], scores[:5])


@pytest.mark.parametrize("settings", [{}, {"bce_weight": 0.5, "dropout_prob": 0.3}])
def test_the_same_seed_gives_the_same_scores_to_the_last_digit(settings):
    def run(seed):
        model = build(seed=seed, **settings)
        train(model, steps=10)
        return rank(model)

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def test_training_lowers_the_loss():
    for settings in ({}, {"bce_weight": 1.0}, {"contrastive": "cosine"}):
        model = build(**settings)
        before = model.calculate_loss(BATCH).item()
        train(model, steps=50)
        assert model.calculate_loss(BATCH).item() < 0.8 * before


def test_each_distinct_text_of_a_batch_goes_through_its_tower_once():
    model = build(bce_weight=1.0)
    request, item = RowsSeen(model.requests), RowsSeen(model.items)
    train(model, steps=1)
    assert request.rows == [3]  # requests 1, 2, 3
    assert item.rows == [6]  # nobody chose item 7


def test_sampled_negatives_are_dropped_where_no_term_needs_them():
    model = build(bce_weight=0)
    item = RowsSeen(model.items)
    assert model.calculate_loss(BATCH) == model.calculate_loss(POSITIVES)
    assert item.rows == [3, 3]  # items 2, 3, 4


def test_what_nobody_chose_is_no_negative():
    """It may have come after the training."""
    model = build(bce_weight=1.0)
    chosen = BATCH["item_id"] != 7
    assert chosen.sum() == 7
    assert model.calculate_loss(BATCH) == model.calculate_loss(BATCH[chosen])


def test_the_order_of_a_batch_does_not_matter():
    model = build(bce_weight=1.0)
    shuffled = BATCH[torch.tensor([4, 2, 7, 0, 1, 6, 3, 5])]
    loss, other = model.calculate_loss(BATCH), model.calculate_loss(shuffled)
    assert_close_relative(loss, other, size=model.logit_scale.exp())


def test_an_evaluation_sends_each_text_through_its_tower_once():
    model = build()
    request, item = RowsSeen(model.requests), RowsSeen(model.items)
    model.eval()
    with torch.no_grad():
        model.predict(BATCH)
        for _ in range(3):
            model.full_sort_predict(REQUESTS)
        model.predict(BATCH)
    assert sum(request.rows) == 5 and sum(item.rows) == 8
    rank(model)  # eval() begins the next evaluation
    assert sum(request.rows) == 10 and sum(item.rows) == 16


def test_full_sort_predict_may_be_written_to():
    """RecBole's trainer masks the scores in place."""
    model = build()
    scores = rank(model)
    expected = scores.clone()
    scores.fill_(-math.inf)
    with torch.no_grad():
        again = model.full_sort_predict(REQUESTS).view(6, 8)
    assert torch.equal(again, expected)


def change_by_load_state_dict(model, other):
    model.load_state_dict(other.state_dict())


def change_in_place(model, other):
    with torch.no_grad():
        for mine, theirs in zip(model.parameters(), other.parameters()):
            mine.copy_(theirs)


def change_by_training(model, other):
    train(model)
    train(other, steps=0)
    other.load_state_dict(model.state_dict())
    model.eval()


@pytest.mark.parametrize(
    "change", [change_by_load_state_dict, change_in_place, change_by_training]
)
def test_no_remembered_embedding_outlives_a_change(change):
    model, other = build(seed=1), build(seed=2)
    before = rank(model)
    change(model, other)
    assert not model.training
    with torch.no_grad():
        after = model.full_sort_predict(REQUESTS).view(6, 8)
    assert not torch.allclose(after, before, atol=1e-2)
    assert_close_relative(after, rank(other))


def test_remembered_embeddings_follow_to_another_type_and_into_a_copy():
    model = build()
    before = rank(model)
    twin = copy.deepcopy(model).double()
    with torch.no_grad():
        scores = twin.full_sort_predict(REQUESTS).view(6, 8)
    assert scores.dtype == torch.double
    assert_close_relative(scores, before)
    assert twin.items._embedding is not model.items._embedding


def test_log_q_is_the_share_of_the_training_positives():
    dataset = Dataset(item=(1, 1, 1, 2))
    expected = torch.tensor([3 / 4, 1 / 4]).log()
    assert_close_relative(build(dataset).log_q[1:3], expected)
    # where the data has labels, choices only
    label = torch.tensor([1.0, 0, 0, 1])
    dataset.inter_feat = Interaction({**dataset.inter_feat.interaction, "label": label})
    expected = torch.tensor([1 / 2, 1 / 2]).log()
    assert_close_relative(build(dataset).log_q[1:3], expected)


def test_both_terms_of_the_loss_are_on_by_default():
    model = build()
    both = model.calculate_loss(BATCH)
    assert model.loss.bce_weight > 0 and model.loss.contrastive_weight > 0
    bce = build(contrastive_weight=0).calculate_loss(BATCH)
    infonce = build(bce_weight=0).calculate_loss(BATCH)
    assert_close_relative(both, bce + infonce)
    assert bce > 0 and infonce > 0


def test_the_correction_reaches_the_loss():
    dataset = Dataset(item=(2, 2, 2, 3, 4))
    corrected = build(dataset).calculate_loss(POSITIVES)
    plain = build(popularity_correction=False).calculate_loss(POSITIVES)
    assert abs(corrected.item() - plain.item()) > 1e-3
    dataset = Dataset(item=(1, 2, 3, 4, 5, 6, 7))  # all equally popular
    model = build(dataset)
    equal = model.calculate_loss(POSITIVES)
    assert_close_relative(equal, plain, size=model.logit_scale.exp())


def test_a_learned_temperature_moves_and_a_fixed_one_stays():
    for learned in (True, False):
        model = build(temperature=0.1, learn_temperature=learned)
        train(model)
        assert (model.logit_scale.item() != pytest.approx(math.log(10))) == learned


def test_a_learned_temperature_stays_above_a_hundredth():
    model = build(learn_temperature=True)
    train(model, steps=0)
    model.logit_scale.data.fill_(9.0)
    model.calculate_loss(POSITIVES)
    assert model.logit_scale.exp().item() == pytest.approx(100, rel=1e-5)


@pytest.mark.parametrize("settings", [{"bce_weight": 1}, {"contrastive": "cosine"}])
def test_a_loss_that_needs_negatives_and_has_none_is_refused(settings):
    dataset = Dataset()
    dataset.field2type = {"user_id": "token", "item_id": "token"}
    build(dataset, bce_weight=0)
    with pytest.raises(UserError, match="train_neg_sample_args"):
        build(dataset, **settings)


def test_the_paper_preset_is_what_the_paper_says():
    """Dot product, BCE and the cosine form, uniform negatives, nothing else."""
    assert PAPER["bce_weight"] > 0 and PAPER["contrastive_weight"] > 0
    assert PAPER["train_neg_sample_args"]["distribution"] == "uniform"
    assert PAPER["encoder"] == "open_clip"
    model = build(**PAPER)
    embeddings = model.requests.embed(torch.arange(1, 6))
    assert not torch.allclose(embeddings.norm(dim=1), torch.ones(5))
    assert model.logit_scale.exp() == 1 and not model.logit_scale.requires_grad
    assert model.loss.contrastive == "cosine" and not model.popularity_correction
    train(model)


def test_the_presets_name_only_settings_that_exist():
    model_settings = set(PAPER) - {"encoder", "clip_model", "clip_pretrained"}
    assert model_settings <= set(DEFAULTS[WhisperLite])


class Pictured(Dataset):
    """Items 1 to 5 have a picture, 6 and 7 have none."""

    def item_image_vectors(self):
        vectors = np.zeros((8, 3), dtype=np.float32)
        vectors[1:6] = np.random.default_rng(1).normal(size=(5, 3))
        return vectors, vectors.any(axis=1)


def test_the_item_tower_takes_text_and_picture_and_whether_there_is_one():
    dataset = Pictured()
    images, has_image = dataset.item_image_vectors()
    model = build(dataset, use_image=True)
    expected = np.hstack([dataset.item_vectors(), images, has_image[:, None]])
    np.testing.assert_array_equal(model.items.vectors, expected)
    assert expected[:, -1].tolist() == [0, 1, 1, 1, 1, 1, 0, 0]
    model = build(dataset, use_image=True, use_text=False)
    np.testing.assert_array_equal(model.items.vectors, expected[:, DIM:])
    train(model)
    assert rank(model).std() > 0.01


def test_without_pictures_the_dataset_is_not_asked_for_them():
    model = build(Dataset(), use_image=False)
    np.testing.assert_array_equal(model.items.vectors, Dataset().item_vectors())


def test_an_item_without_text_and_picture_is_refused():
    with pytest.raises(UserError, match="use_text and use_image are both False"):
        build(Pictured(), use_text=False, use_image=False)
