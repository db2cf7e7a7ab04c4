"""Splits by product: what training must not know, worked out by hand."""

import numpy as np
import pytest
from tiny import ITEMS, write_tiny

from recbole_whisperlite.data import splitting
from recbole_whisperlite.data.new_items import draw_new_items, without_new_items
from recbole_whisperlite.errors import UserError

FAMILIES = ["BPR", "ItemKNN", "SASRec", "DeepFM", "WhisperLite", "WhisperLitePlus"]
# i3 is new. u1 takes i3 and i4 by one request of training, and i3 without a request.
# u2 asks for i3 in test; u3 had i3 between the validation and the test request.
CHOICES = [
    ("u1", "i1", "r1", 1),
    ("u1", "i3", "r2", 2),
    ("u1", "i4", "r2", 2),
    ("u1", "i3", "", 3),
    ("u1", "i2", "r3", 4),
    ("u1", "i5", "r4", 5),
    ("u1", "i6", "r5", 6),
    ("u2", "i2", "r6", 1),
    ("u2", "i5", "r7", 2),
    ("u2", "i6", "r8", 3),
    ("u2", "i3", "r9", 4),
    ("u3", "i1", "r10", 1),
    ("u3", "i2", "r11", 2),
    ("u3", "i4", "r12", 3),
    ("u3", "i3", "", 4),
    ("u3", "i5", "r13", 5),
]
REQUESTS = {f"r{n}": f"a thing of kind {n % 3}" for n in range(1, 14)}
# Dialogues: what was shown, then the request. t1 and t2 are in training, v in
# validation, e1 and e2 in test.
DIALOGUES = [
    ("t1", "i1", "", 1),
    ("t1", "i3", "", 2),
    ("t1", "i2", "q1", 3),
    ("t2", "i2", "", 1),
    ("t2", "i4", "", 2),
    ("t2", "i3", "q2", 3),
    ("v", "i1", "", 1),
    ("v", "i3", "", 2),
    ("v", "i4", "", 3),
    ("v", "i5", "q3", 4),
    ("e1", "i3", "", 1),
    ("e1", "i2", "", 2),
    ("e1", "i6", "q4", 3),
    ("e2", "i4", "", 1),
    ("e2", "i1", "", 2),
    ("e2", "i3", "q5", 3),
]
RANDOM = {"split": {"RS": [0.4, 0.2, 0.4]}, "order": "RO", "group_by": "none"}


@pytest.fixture
def i3_is_new(monkeypatch):
    def draw(tokens, share, seed):
        return np.array([bool(share) and token == "i3" for token in tokens])

    monkeypatch.setattr(splitting, "draw_new_items", draw)


@pytest.fixture
def known_order(monkeypatch):
    """The phases of q1 q2 q4 q5 q3: requests are split in the order of their times."""

    def phases(table):
        return np.array([0, 0, 2, 2, 1])

    monkeypatch.setattr(splitting.RequestTable, "phases", phases)


def settings_of(model):
    settings = {"encoder": "tfidf", "encoder_dim": 2, "MAX_ITEM_LIST_LENGTH": 5}
    if model == "SASRec":
        settings.update(loss_type="CE", train_neg_sample_args=None)
    return settings


def rows(dataset, *fields):
    feat = dataset.inter_feat
    words = [dataset.id2token(field, feat[field].numpy()) for field in fields]
    return sorted(tuple("" if w == "[PAD]" else str(w) for w in r) for r in zip(*words))


def queries(loader):
    data, asked = loader._dataset, loader.queries
    return {
        str(data.id2token("request_id", asked.request[n])): tuple(
            frozenset(map(str, data.id2token("item_id", matrix[n].indices)))
            for matrix in (asked.positives, asked.excluded)
        )
        for n in range(len(asked))
    }


@pytest.mark.parametrize("model", FAMILIES)
def test_no_family_trains_on_new_items(model, tmp_path, prepare, i3_is_new):
    write_tiny(tmp_path, choices=CHOICES, requests=REQUESTS)
    _, data, (train, valid, test) = prepare(
        model, tmp_path, new_items=0.1, **settings_of(model)
    )
    part = train._dataset
    new = data.token2id("item_id", "i3")

    taught = {
        ("u1", "i1", "r1"),
        ("u1", "i2", "r3"),  # r2 is gone with i4, which it led to as well
        ("u2", "i2", "r6"),
        ("u2", "i5", "r7"),
        ("u3", "i1", "r10"),
        ("u3", "i2", "r11"),
    }
    if model == "SASRec":  # needs a history: of the first requests there is none
        taught = {row for row in taught if row[2] in ("r3", "r7", "r11")}
        assert not (part.inter_feat["item_id_list"] == new).any()
    assert rows(part, "user_id", "item_id", "request_id") == sorted(taught)
    assert part.training_counts()[new] == 0
    assert new not in part.training_choices().item
    if model == "WhisperLitePlus":
        feat = part.inter_feat
        for begin, length in zip(feat["history_begin"], feat["history_length"]):
            assert new not in part.history_items[begin : begin + length]

    assert queries(valid) == {
        "r4": ({"i5"}, {"i1", "i2"}),  # i3 and i4 never happened to u1
        "r8": ({"i6"}, {"i2", "i5"}),
        "r12": ({"i4"}, {"i1", "i2"}),
    }
    assert queries(test) == {
        "r5": ({"i6"}, {"i1", "i2", "i5"}),
        "r9": ({"i3"}, {"i2", "i5", "i6"}),
        "r13": ({"i5"}, {"i1", "i2", "i3", "i4"}),  # i3 came after training ended
    }


@pytest.mark.parametrize("model", FAMILIES)
def test_a_dialogue_held_out_keeps_what_it_showed(
    model, tmp_path, prepare, i3_is_new, known_order
):
    requests = {f"q{n}": "a longer one" for n in range(1, 6)}
    write_tiny(tmp_path, choices=DIALOGUES, requests=requests)
    both = []
    for share in (0, 0.1):
        _, data, (train, valid, test) = prepare(
            model, tmp_path, eval_args=RANDOM, new_items=share, **settings_of(model)
        )
        both.append((queries(valid), queries(test), test.fingerprint))
    ordinary, by_product = both
    new = data.token2id("item_id", "i3")

    taught = {
        ("t1", "i1"),
        ("t1", "i2"),
        ("t2", "i2"),  # without the request, which led to i3
        ("t2", "i4"),
        ("v", "i1"),  # v and e1: what came before i3 was shown
        ("e2", "i4"),
        ("e2", "i1"),
    }
    if model.startswith("Whisper"):
        taught = {("t1", "i2")}
    if model == "SASRec":
        taught = {("t1", "i2"), ("t2", "i4"), ("e2", "i1")}
        assert not (train._dataset.inter_feat["item_id_list"] == new).any()
        shown = {
            data.id2token("user_id", user): data.id2token("item_id", items).tolist()
            for user, items in zip(
                test.query_feat["user_id"], test.query_feat["item_id_list"]
            )
        }
        assert shown["e1"][:3] == ["i3", "i2", "[PAD]"]
        assert shown["e2"][:3] == ["i4", "i1", "[PAD]"]
    assert set(rows(train._dataset, "user_id", "item_id")) == taught
    # the test set is the same, but a model of the one is none of the other
    assert ordinary[:2] == by_product[:2]
    assert by_product[1]["q4"] == ({"i6"}, {"i3", "i2"})
    assert ordinary[2] != by_product[2]


def test_the_same_items_are_new_to_every_family_and_others_with_another_seed(
    tmp_path, prepare
):
    write_tiny(tmp_path, choices=CHOICES, requests=REQUESTS)
    drawn, marks = {}, {}
    for seed in (1, 2, 3):
        for model in FAMILIES:
            _, data, loaders = prepare(
                model, tmp_path, new_items=0.2, seed=seed, **settings_of(model)
            )
            new = frozenset(data.id2token("item_id", np.flatnonzero(data.new_items)))
            drawn.setdefault(seed, set()).add(new)
            marks.setdefault(seed, set()).add(loaders[2].fingerprint)
    assert all(len(each) == 1 for each in (*drawn.values(), *marks.values()))
    assert len(set.union(*drawn.values())) == len(set.union(*marks.values())) == 3
    assert all(len(new) == 2 for new in set.union(*drawn.values()))  # of nine


def test_the_draw_does_not_depend_on_the_order_of_the_catalogue():
    tokens = np.array(["[PAD]", *ITEMS])
    turned = np.array(["[PAD]", *reversed(ITEMS)])
    new = set(tokens[draw_new_items(tokens, 0.3, 5)])
    assert len(new) == 3 and "[PAD]" not in new
    assert set(turned[draw_new_items(turned, 0.3, 5)]) == new
    assert (
        draw_new_items(tokens, 0.01, 5).sum() == 1
    )  # not none, as some were asked for
    assert not draw_new_items(tokens, 0, 5).any()


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, float("nan"), "a tenth", True])
def test_a_share_that_is_none_is_an_error(share, tiny, prepare):
    with pytest.raises(UserError, match="new_items is .* below 1"):
        prepare("BPR", tiny, new_items=share)


@pytest.mark.parametrize("model", ["BPR", "SASRec", "WhisperLite"])
def test_if_nothing_is_left_to_train_on_the_error_names_the_setting(
    model, tiny, prepare
):
    with pytest.raises(UserError, match="to train on with eval_args .* new_items 0.99"):
        prepare(model, tiny, new_items=0.99, **settings_of(model))


def test_who_was_trained_on_loses_the_new_items_shown_to_them():
    # one user with a training request at 0, a held-out one at 3, a new item shown at 1
    user, request = np.zeros(4, dtype=np.int64), np.array([1, 0, 0, 2])
    phase, new = np.array([0, 0, 0, 2]), np.array([False, True, False, False])
    kept, phases = without_new_items(user, request, np.arange(4), phase, new, False)
    assert kept.tolist() == [True, False, True, True]
    assert phases.tolist() == [0, 0, 0, 2]
    # all requests held out: history from the new item on
    request[0] = 0
    kept, phases = without_new_items(user, request, np.arange(4), phase, new, False)
    assert kept.all() and phases.tolist() == [0, 2, 2, 2]
    # by time, what is in training is earlier than all that is held out
    kept, phases = without_new_items(user, request, np.arange(4), phase, new, True)
    assert kept.tolist() == [True, False, True, True]
    assert phases.tolist() == [0, 0, 0, 2]
