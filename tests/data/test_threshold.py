"""With a threshold, what the user rated below it answers no request."""

import pytest
from tiny import ITEMS

from recbole_whisperlite.data.atomic import write_atomic

# u1 liked i1, i2 and i5; u2 disliked the last two things of theirs
CHOICES = [
    ("u1", "i1", "r1", 1, 5),
    ("u1", "i2", "r2", 2, 4),
    ("u1", "i3", "r3", 3, 1),
    ("u1", "i4", "r4", 4, 4),
    ("u1", "i5", "r5", 5, 5),
    ("u2", "i2", "r6", 1, 5),
    ("u2", "i6", "r7", 2, 1),
    ("u2", "i7", "r8", 3, 2),
]
COLUMNS = ["user_id", "item_id", "request_id", "timestamp", "rating"]
GIVEN = {"threshold": {"rating": 4}, "load_col": {"inter": COLUMNS}}


@pytest.fixture
def rated(tmp_path):
    home = tmp_path / "tiny" / "tiny"
    types = dict(zip(COLUMNS, ["token"] * 3 + ["float"] * 2))
    write_atomic(home.with_suffix(".inter"), types, CHOICES)
    requests = [(f"r{n}", f"request {n}") for n in range(1, 9)]
    types = {"request_id": "token", "request": "token"}
    write_atomic(home.with_suffix(".request"), types, requests)
    types = {"item_id": "token", "title": "token"}
    write_atomic(home.with_suffix(".item"), types, ITEMS.items())
    return tmp_path


def items_of(dataset):
    feat = dataset.inter_feat
    return sorted(dataset.id2token("item_id", feat["item_id"].numpy()))


@pytest.mark.parametrize("model", ["BPR", "ZeroShot", "WhisperLite", "SASRec"])
def test_a_disliked_item_is_no_answer_and_nothing_to_learn(rated, model, prepare):
    more = {"train_neg_sample_args": None} if model == "SASRec" else {}
    _, _, loaders = prepare(model, rated, **GIVEN, **more)
    train, valid, test = (loader._dataset for loader in loaders)
    assert items_of(valid) == ["i4"] and items_of(test) == ["i5"]
    # u2 has one thing to learn from; sequences begin with the second
    assert items_of(train) == (["i2"] if model == "SASRec" else ["i1", "i2", "i2"])
    # what was shown to the user is not recommended again, liked or not
    (query,) = loaders[2].queries.excluded.toarray()
    excluded = {test.id2token("item_id", item) for item in query.nonzero()[0]}
    assert excluded == {"i1", "i2", "i3", "i4"}


def test_a_model_of_labels_learns_from_both(rated, prepare):
    _, _, loaders = prepare("DeepFM", rated, train_neg_sample_args=None, **GIVEN)
    train, _, test = (loader._dataset for loader in loaders)
    label = dict(
        zip(
            train.id2token("item_id", train.inter_feat["item_id"].numpy()),
            train.inter_feat["label"].tolist(),
        )
    )
    assert label == {"i1": 1, "i2": 1, "i3": 0}
    assert items_of(test) == ["i5"]


def test_single_predictions_are_evaluated_on_both(rated, prepare):
    args = {"mode": "labeled"}
    given = {**GIVEN, "metrics": ["AUC"], "valid_metric": "AUC", "eval_args": args}
    _, _, loaders = prepare("DeepFM", rated, train_neg_sample_args=None, **given)
    assert items_of(loaders[2]._dataset) == ["i5", "i7"]
