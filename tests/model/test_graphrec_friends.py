"""GraphRec where users trust those who choose alike, beside BPR."""

import numpy as np
import pytest
from trusting import four_groups, friends_know, ranked_by

SETTINGS = {"learning_rate": 0.01, "eval_step": 2, "stopping_step": 5}
# fewer of them are enough, and save time
EPOCHS = {"GraphRec": 16, "BPR": 200}


@pytest.fixture
def of_seeds(tmp_path):
    """Return a function (model, toy) -> NDCG@10 after training, for three seeds."""

    def run(name, toy):
        given = {**SETTINGS, "epochs": EPOCHS[name]}
        return [ranked_by(name, toy, tmp_path, seed, **given)[1] for seed in (1, 2, 3)]

    return run


def test_four_groups_that_trust_each_other(of_seeds):
    # who knows the groups, and no more can be known, ranks 24 unseen products at random
    best = (1 / np.log2(np.arange(2, 12))).sum() / 24
    with_friends, alone = of_seeds("GraphRec", four_groups), of_seeds(
        "BPR", four_groups
    )
    assert min(with_friends) > 0.97 * best
    assert np.mean(with_friends) > np.mean(alone)


def test_where_a_history_says_nothing_and_the_friends_all(of_seeds):
    # BPR knows the history alone: 120 products at random have an NDCG@10 of .038
    with_friends, alone = (
        of_seeds("GraphRec", friends_know),
        of_seeds("BPR", friends_know),
    )
    assert min(with_friends) > max(alone)
    assert np.mean(with_friends) > 2 * np.mean(alone)
