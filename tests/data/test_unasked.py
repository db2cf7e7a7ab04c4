"""Choices without a request: history that is never asked and never looks ahead."""

import json

import numpy as np
import pytest
from recbole.utils import get_model, get_trainer

from recbole_whisperlite.data.phases import events, unasked_phases
from recbole_whisperlite.errors import UserError
from tiny import ITEMS, write_tiny

# u1 asks at 10, 20, 30 and 40, the last two in valid and test. Between them u1 takes
# things without asking; u2 never asks.
CHOICES = [
    ("u1", "i8", "", 45),
    ("u1", "i1", "r1", 10),
    ("u1", "i2", "r2", 20),
    ("u1", "i3", "r3", 30),
    ("u1", "i4", "r4", 40),
    ("u1", "i5", "", 5),
    ("u1", "i9", "", 20),  # not earlier than r2
    ("u1", "i6", "", 30),  # not earlier than r3, where training ends
    ("u1", "i7", "", 35),
    ("u2", "i2", "", 1),
    ("u2", "i3", "", 100),
]
REQUESTS = {"r1": "a hat", "r2": "boots", "r3": "a hat", "r4": "a coat"}


@pytest.fixture
def path(tmp_path):
    items = {**ITEMS, "i10": "Thing 10"}  # something is left to be sampled
    return write_tiny(tmp_path, choices=CHOICES, requests=REQUESTS, items=items)


def chosen(dataset):
    """The interactions of a part, as {(user, item, request)} in the files' words."""
    feat = dataset.inter_feat
    words = [
        dataset.id2token(field, feat[field].numpy())
        for field in ("user_id", "item_id", "request_id")
    ]
    return {tuple("" if w == "[PAD]" else str(w) for w in row) for row in zip(*words)}


def parts(config, loaders):
    return [loader._dataset for loader in loaders]


def test_general_models_train_on_choices_before_the_first_later_request(path, prepare):
    config, data, loaders = prepare("BPR", path)
    train, valid, test = parts(config, loaders)

    assert chosen(train) == {
        ("u1", "i1", "r1"),
        ("u1", "i2", "r2"),
        ("u1", "i5", ""),
        ("u1", "i9", ""),
        ("u2", "i2", ""),
        ("u2", "i3", ""),  # u2 has no later request
    }
    assert chosen(valid) == {("u1", "i3", "r3")}
    assert chosen(test) == {("u1", "i4", "r4")}


def test_one_end_of_training_holds_for_all_where_requests_are_split_together(
    path, prepare
):
    args = {
        "split": {"RS": [2, 1, 1]},
        "order": "TO",
        "group_by": "none",
        "mode": "full",
    }
    train, *_ = parts(*prepare("BPR", path, eval_args=args)[::2])

    assert ("u2", "i2", "") in chosen(train)
    assert ("u2", "i3", "") not in chosen(train)


def test_a_request_model_trains_on_requests_only(path, prepare):
    train, valid, test = parts(*prepare("WhisperLite", path, encoder="tfidf")[::2])

    assert chosen(train) == {("u1", "i1", "r1"), ("u1", "i2", "r2")}
    assert chosen(test) == {("u1", "i4", "r4")}
    assert train.request_texts == ["", "a hat", "boots", "a coat"]


def test_what_the_user_had_without_asking_is_no_candidate(path, prepare):
    _, data, (*_, test) = prepare("BPR", path)

    assert len(test.queries) == 1
    excluded = data.id2token("item_id", test.queries.excluded[0].indices)
    # all of training and valid, i6 and i7 with it; i8 is later than the test request
    assert set(excluded) == {"i1", "i2", "i3", "i5", "i6", "i7", "i9"}


def test_history_is_what_is_earlier_than_the_request(path, prepare):
    config, data, loaders = prepare(
        "SASRec",
        path,
        train_neg_sample_args=None,
        loss_type="CE",
        eval_args={
            "split": {"LS": "valid_and_test"},
            "order": "TO",
            "group_by": "user",
            "mode": "full",
        },
    )
    train, valid, test = parts(config, loaders)

    def histories(part):
        feat = part.inter_feat
        return {
            part.id2token("item_id", [item])[0]: part.id2token(
                "item_id", items[items > 0].numpy()
            ).tolist()
            for item, items in zip(feat["item_id"].tolist(), feat["item_id_list"])
        }

    assert histories(train) == {
        "i1": ["i5"],
        "i2": ["i5", "i1"],  # i9 came at the same time, not earlier
        "i9": ["i5", "i1", "i2"],  # a choice of its own
        "i3": ["i2"],  # u2's
    }
    assert histories(valid) == {"i3": ["i5", "i1", "i2", "i9"]}
    assert histories(test) == {"i4": ["i5", "i1", "i2", "i9", "i3", "i6", "i7"]}


def test_all_families_sit_the_same_exam(path, prepare):
    fingerprints = set()
    for model in ("BPR", "SASRec", "FM", "WhisperLite", "RequestPop"):
        _, _, (_, valid, test) = prepare(model, path, encoder="tfidf")
        fingerprints.add((valid.fingerprint, test.fingerprint))
    assert len(fingerprints) == 1


def test_in_a_random_order_they_are_all_training(path, prepare):
    args = {
        "split": {"RS": [2, 1, 1]},
        "order": "RO",
        "group_by": "none",
        "mode": "full",
    }
    train, *_ = parts(*prepare("BPR", path, eval_args=args)[::2])

    assert sum(request == "" for *_, request in chosen(train)) == 7


@pytest.mark.parametrize("model", ["BPR", "SASRec", "FM", "WhisperLite"])
def test_every_family_trains_and_is_evaluated(path, prepare, model):
    config, data, (train, valid, test) = prepare(
        model, path, encoder="tfidf", encoder_dim=2, epochs=1, show_progress=False
    )
    made = get_model(model)(config, train.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], model)(config, made)
    trainer.fit(train, valid, saved=False)
    result = trainer.evaluate(test, load_best_model=False)

    assert 0 <= result["ndcg@3"] <= 1


def test_a_dataset_whose_choices_answer_no_request_is_an_error(tmp_path, prepare):
    path = write_tiny(tmp_path, choices=[("u1", item, "", 1) for item in ITEMS])

    with pytest.raises(UserError, match="request_id of every line is empty"):
        prepare("BPR", path)


def test_choices_without_a_request_are_events_of_their_own():
    assert events(np.array([2, 0, 1, 2, 0]), 5).tolist() == [2, 5, 1, 2, 6]


def test_training_ends_before_the_first_request_of_a_later_phase():
    user = np.array([0, 0, 0, 0, 1])
    time = np.array([10.0, 20.0, 9.0, 25.0, 25.0])
    asked = np.array([True, True, False, False, False])
    phase = np.array([1, 2, 0, 0, 0])

    assert unasked_phases(user, time, asked, phase, 2).tolist() == [0, 2, 0]
    assert unasked_phases(user, time, asked, phase).tolist() == [0, 2, 2]


def test_requests_that_are_reviews_are_said_to_be(path, prepare, caplog):
    about = path / "tiny" / "tiny.request.json"
    about.write_text(json.dumps({"composed": False, "kind": "review"}))
    _, data, _ = prepare("BPR", path, state="WARNING")

    assert data.request_kind == "review" and data.composed_from is None
    assert "reviews of the target item" in caplog.text
