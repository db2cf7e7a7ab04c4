"""Rolling evaluation: which requests a fold tests, and what it may know."""

import numpy as np
import pytest
from tiny import ITEMS, write_tiny

from recbole_whisperlite.data.folds import LATER, rolling_phases
from recbole_whisperlite.errors import UserError

ARGS = {"split": {"RS": [0.5, 0.25, 0.25]}, "order": "TO", "group_by": "none"}
# u1 asks at 1 … 8; in between and at the end something is taken without a request.
CHOICES = [("u1", f"i{n}", f"r{n}", n) for n in range(1, 9)]
CHOICES += [("u1", "i9", "", 2.5), ("u1", "i10", "", 6.5), ("u1", "i11", "", 9)]
REQUESTS = {f"r{n}": "a hat" for n in range(1, 9)}
THINGS = {f"i{n}": f"Thing {n}" for n in range(1, 12)}


def test_folds_move_back_in_time():
    one = np.zeros(8, dtype=np.int64)
    ratios = [0.5, 0.25, 0.25]
    assert rolling_phases(one, ratios, 2, 2020).tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    assert rolling_phases(one, ratios, 2, 2021).tolist() == [
        *(0, 0, 1, 1, 2, 2),
        *(LATER, LATER),
    ]


def test_groups_take_turns():
    two = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    phases = rolling_phases(two, [0.5, 0.25, 0.25], 2, 0)
    assert phases[two == 0].tolist() == [0, 0, 1, 2]
    assert phases[two == 1].tolist() == [0, 1, 2, LATER]


@pytest.mark.parametrize("folds, test", [(2, 0.3), (5, 0.17), (9, 0.1)])
def test_the_folds_test_each_late_request_once_and_no_early_one(folds, test):
    group = np.random.default_rng(0).geometric(0.1, size=700)
    group = np.unique(group, return_inverse=True)[1]
    phases = np.stack(
        [
            rolling_phases(group, [1 - test - 0.05, 0.05, test], folds, seed)
            for seed in range(folds)
        ]
    )
    tested = (phases == 2).sum(axis=0)
    assert tested.max() == 1
    for number in range(group.max() + 1):
        own = group == number
        late = tested[own]
        assert (np.diff(late) >= 0).all()  # those not tested are the earliest
        assert abs(late.sum() - folds * test * own.sum()) <= 0.5 + 1e-9
        assert (np.diff(phases[:, own], axis=1) >= 0).all()


@pytest.mark.parametrize("model", ["BPR", "SASRec", "WhisperLitePlus"])
def test_what_is_later_than_the_test_part_does_not_exist(model, tmp_path, prepare):
    settings = {"encoder": "tfidf", "encoder_dim": 2, "MAX_ITEM_LIST_LENGTH": 9}
    if model == "SASRec":
        settings.update(loss_type="CE", train_neg_sample_args=None)
    write_tiny(tmp_path, choices=CHOICES, requests=REQUESTS, items=THINGS)
    _, data, (train, valid, test) = prepare(
        model, tmp_path, eval_args=ARGS, folds=2, seed=1, **settings
    )

    def items(loader):
        return set(data.id2token("item_id", loader._dataset.inter_feat["item_id"]))

    taught = {"i1", "i2", "i9"}
    if model == "SASRec":  # i1 has no history
        taught = {"i2", "i9"}
    if model == "WhisperLitePlus":  # i9 has no request
        taught = {"i1", "i2"}
    assert items(train) == taught
    assert items(valid) == {"i3", "i4"} and items(test) == {"i5", "i6"}
    excluded = data.id2token("item_id", test.queries.excluded[1].indices)
    assert set(excluded) == {"i1", "i2", "i3", "i4", "i9"}
    # the catalogue is whole
    assert data.item_num == 1 + len(THINGS) and len(ITEMS) < len(THINGS)


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"folds": 3}, "3 test parts .* nothing to train on"),
        ({"folds": 2, "eval_args": {**ARGS, "order": "RO"}}, "order to TO"),
        (
            {"folds": 2, "eval_args": {**ARGS, "split": {"LS": "valid_and_test"}}},
            "split to a ratio",
        ),
    ],
)
def test_folds_that_cannot_be_are_errors(settings, told, tiny, prepare):
    with pytest.raises(UserError, match=told):
        prepare("BPR", tiny, **{"eval_args": ARGS, **settings})
