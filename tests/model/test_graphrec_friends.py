"""GraphRec where users trust those who choose alike, beside BPR."""

import numpy as np
import pytest
from trusting import four_groups, friends_know, ranked_by

SETTINGS = {"learning_rate": 0.01, "eval_step": 2, "stopping_step": 5}


@pytest.fixture
def of_seeds(tmp_path):
    """Return a function (model, toy, epochs) -> NDCG@10 before and after training, of two
    seeds each."""

    def run(name, toy, epochs):
        given = {**SETTINGS, "epochs": epochs}
        return zip(*(ranked_by(name, toy, tmp_path, seed, **given) for seed in (1, 2)))

    return run


def test_four_groups_that_trust_each_other(of_seeds):
    # who knows the groups, and no more can be known, ranks 24 unseen products at random
    best = (1 / np.log2(np.arange(2, 12))).sum() / 24
    _, with_friends = of_seeds("GraphRec", four_groups, epochs=16)
    _, alone = of_seeds("BPR", four_groups, epochs=200)
    assert min(with_friends) > 0.9 * best
    assert np.mean(with_friends) > np.mean(alone)


def test_where_a_history_says_nothing_and_the_friends_all(of_seeds):
    # BPR knows the history alone: 120 products at random have an NDCG@10 of .038
    # few epochs, as it learns the random choices by heart later on (docs/models.md)
    before, with_friends = of_seeds("GraphRec", friends_know, epochs=6)
    _, alone = of_seeds("BPR", friends_know, epochs=200)
    assert min(with_friends) > max(before) > max(alone)
    assert np.mean(with_friends) > 2 * np.mean(alone)
