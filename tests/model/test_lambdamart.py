"""LambdaMART: what trees can find, and what they leave as it is."""

import copy
import sys
from typing import NamedTuple

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.utils import get_model
from scipy.sparse import csr_matrix
from test_linearfusion import build, scores  # noqa: F401  (a fixture)

from recbole_whisperlite.data.incidence import incidence
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.features import NAMES

N_QUERIES = 400
SMALL = {
    "min_data_in_leaf": 5,
    "n_sampled": 2,
    "n_trees": 30,
    "tree_learning_rate": 0.3,
}


class Middle(torch.nn.Module):
    """Features of which the first is chosen where it is nearest to 0."""

    def __init__(self, n_items):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        shape = N_QUERIES, n_items, len(NAMES)
        self.values = torch.randn(shape, generator=generator)

    def forward(self, request, history):
        return self.values[request]

    def each(self, request, history):
        return self.values[request].unbind(dim=2)


class Asked(NamedTuple):
    """What is read of Queries: half of those whose features are ``Middle``'s."""

    positives: csr_matrix
    excluded: csr_matrix

    def __len__(self):
        return self.positives.shape[0]


@pytest.fixture
def middle(build):  # noqa: F811
    """Return a function (**settings) -> fitted model and half of the queries, for test."""

    def fit(**given):
        _, _, model, _ = build("LambdaMART", **{**SMALL, **given})
        n_items = model.n_items
        model.features = Middle(n_items)
        wanted = model.features.values[:, 1:, 0].abs().argmin(dim=1).numpy() + 1
        number = np.arange(N_QUERIES)
        half = N_QUERIES // 2
        shape = half, n_items
        valid = Asked(
            incidence(number[:half], wanted[:half], shape),
            csr_matrix(shape, dtype=bool),
        )
        feat = Interaction({model.REQUEST: torch.arange(N_QUERIES)})
        model.fit_weights(valid, feat)
        return model, feat[half:], torch.from_numpy(wanted[half:])

    return fit


def share_found(scores, wanted):
    return (scores[:, 1:].argmax(dim=1) + 1 == wanted).float().mean()


def test_trees_find_what_no_weighted_sum_can(middle):
    model, feat, wanted = middle()
    found = model.score_catalogue(feat)
    model.booster = None  # LinearFusion is left
    assert share_found(model.score_catalogue(feat), wanted) < 0.3
    assert share_found(found, wanted) > 0.7


def test_only_the_best_of_linearfusion_are_ranked_by_trees(middle):
    model, feat, _ = middle(n_reranked=4)
    found = model.score_catalogue(feat)[:, 1:]
    model.booster = None
    order = model.score_catalogue(feat)[:, 1:].argsort(dim=1, descending=True)
    found = found.argsort(dim=1, descending=True)
    assert torch.equal(found[:, 4:], order[:, 4:])
    assert torch.equal(found[:, :4].sort()[0], order[:, :4].sort()[0])
    assert not torch.equal(found[:, :4], order[:, :4])


def test_the_trees_are_the_same_for_each_number_of_threads(middle):
    grown = [middle(num_threads=number)[0] for number in (1, 2)]
    trees = [model.trees.split("\nparameters:")[0] for model in grown]
    assert trees[0] == trees[1] and "num_leaves" in trees[0]


def test_a_checkpoint_has_the_scores_of_its_model(build, tmp_path):  # noqa: F811
    given = {"checkpoint_dir": str(tmp_path / "saved"), "min_data_in_leaf": 1}
    _, (train, valid, test), model, trainer = build("LambdaMART", **given)
    trainer.fit(train, valid)
    expected = scores(model, test)
    _, (_, _, test), fresh, other = build("LambdaMART", **given)
    other.evaluate(test, model_file=trainer.saved_model_file)
    torch.testing.assert_close(scores(fresh, test), expected)
    fresh.booster = None
    assert not torch.allclose(scores(fresh, test), expected)


def test_the_model_can_be_copied(middle):
    """RecBole counts the operations of a copy."""
    model, feat, _ = middle()
    found = copy.deepcopy(model).score_catalogue(feat)
    assert torch.equal(found, model.score_catalogue(feat))


def test_without_validation_it_is_linearfusion(build):  # noqa: F811
    _, (train, _, test), model, trainer = build("LambdaMART")
    trainer.fit(train, None, saved=False)
    _, _, linear, _ = build("LinearFusion")
    assert torch.equal(scores(model, test), scores(linear, test))


def test_without_lightgbm_the_extra_is_named(build, monkeypatch):  # noqa: F811
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(UserError, match=r"recbole-whisperlite\[lightgbm\]"):
        build("LambdaMART")
    get_model("LinearFusion")  # needs none
