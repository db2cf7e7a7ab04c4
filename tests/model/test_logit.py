"""The conditional logit against what is known in closed form, and another optimiser."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from recbole_whisperlite.model.logit import ConditionalLogit


def fit(features, positive, excluded=None, ridge=1e-6):
    features = torch.tensor(features, dtype=torch.float32)
    positive = torch.tensor(positive, dtype=torch.bool)
    if excluded is None:
        excluded = np.zeros(positive.shape)
    logit = ConditionalLogit(ridge)
    # in two batches, as of a large catalogue
    for rows in (slice(0, 1), slice(1, None)):
        given = torch.tensor(excluded, dtype=torch.bool)[rows]
        logit.add(features[rows], positive[rows], given)
    return logit.fit()


def test_the_weight_of_a_switch_is_the_log_odds():
    """Of two items, the one with the feature is chosen three times of four."""
    features = [[[1.0], [0.0]]] * 4
    positive = [[True, False]] * 3 + [[False, True]]
    assert fit(features, positive).item() == pytest.approx(math.log(3), rel=1e-3)


def test_what_is_excluded_is_no_alternative():
    features = [[[1.0], [0.0], [1.0]]] * 4
    positive = [[True, False, False]] * 3 + [[False, True, False]]
    excluded = [[False, False, True]] * 4
    found = fit(features, positive, excluded).item()
    assert found == pytest.approx(math.log(3), rel=1e-3)


def test_each_positive_of_a_query_is_a_choice():
    """Two of three positives have the feature, as two of four items: odds of two to one."""
    features = [[[1.0], [1.0], [0.0], [0.0]]] * 2
    positive = [[True, True, True, False]] * 2
    assert fit(features, positive).item() == pytest.approx(math.log(2), rel=1e-3)


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_several_weights_are_those_of_another_optimiser(scale):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 7, 3))
    chosen = (features @ [1, -0.5, 0] + rng.gumbel(size=(60, 7))).argmax(axis=1)
    positive = np.eye(7, dtype=bool)[chosen]
    deviation = features.reshape(-1, 3).std(axis=0)

    def loss(weight):
        logits = features / deviation @ weight
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return -log_p[positive].sum() + 2.0 / 2 * (weight**2).sum()

    expected = minimize(loss, np.zeros(3)).x / deviation
    found = fit(features * scale, positive, ridge=2.0).numpy() * scale
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_feature_that_says_nothing_has_no_weight():
    features = [[[1.0, 5.0], [0.0, 5.0]]] * 4
    positive = [[True, False]] * 3 + [[False, True]]
    found = fit(features, positive)
    assert found[1] == 0
    assert found[0].item() == pytest.approx(math.log(3), rel=1e-3)


def test_what_is_always_chosen_has_a_finite_weight():
    found = fit([[[1.0], [0.0]]] * 4, [[True, False]] * 4, ridge=1.0)
    assert 0 < found.item() < 10
