"""The signals of LinearFusion, counted by hand on the dozen requests."""

import logging
import math

import numpy as np
import pytest
import torch
from recbole.utils import get_model
from tiny import CHOICES, ITEMS, write_tiny

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.features import NAMES, Features

# Leave-one-out leaves for training, by user: u1 i1 ("a red dress", time 1) and i2, i3 ("blue
# shoes, no heels", 2); u2 i2 ("NA", 1); u3 i3 ("👗 for a wedding", 1); u4 i5 ("blue shoes, no
# heels", 1).
TRAINING = [("u1", "i1"), ("u1", "i2"), ("u1", "i3"), ("u2", "i2"), ("u3", "i3")]
TRAINING += [("u4", "i5")]
OVERALL = {"i1": 1, "i2": 2, "i3": 2, "i5": 1}
COSINE = {("i1", "i2"): 2**-0.5, ("i1", "i3"): 2**-0.5, ("i2", "i3"): 0.5}


class Described:
    """The features of one request and history, by name and item."""

    def __init__(self, prepare, data_path, text="NA", history=(), **given):
        given = {"encoder": "tfidf", "encoder_dim": 4, **given}
        self.config, self.dataset, (train, _, _) = prepare(
            "LinearFusion", data_path, **given
        )
        self.training = train._dataset
        self.features = Features(self.config, self.training)
        request = torch.tensor([self.dataset.token2id("request", text)])
        # padding on both sides, and one item twice: it counts once
        items = [0, *map(self.id, history), *map(self.id, history[:1]), 0]
        self.found = self.features(request, torch.tensor([items]))[0]

    def id(self, item):
        return int(self.dataset.token2id("item_id", item))

    def __call__(self, name, item):
        return self.found[self.id(item), NAMES.index(name)].item()


@pytest.mark.parametrize(
    "text, counted, total",
    [("blue shoes, no heels", {"i2": 1, "i3": 1, "i5": 1}, 3), ("null", {}, 0)],
)
def test_request_counts_are_smoothed_by_popularity(tiny, prepare, text, counted, total):
    described = Described(prepare, tiny, text)
    for item in ITEMS:
        share = (OVERALL.get(item, 0) + 0.1) / (6 + 9 * 0.1)
        expected = math.log((counted.get(item, 0) + 2 * share) / (total + 2))
        assert described("log request count", item) == pytest.approx(expected, rel=1e-5)
        popularity = math.log(OVERALL.get(item, 0) + 0.1)
        assert described("log popularity", item) == pytest.approx(popularity, rel=1e-5)


def test_neighbors_are_cosines_of_the_users_of_items(tiny, prepare):
    described = Described(prepare, tiny, history=["i1", "i2"])
    for item in ITEMS:
        pairs = [tuple(sorted((item, other))) for other in ("i1", "i2")]
        expected = math.log1p(30 * sum(COSINE.get(pair, 0) for pair in pairs))
        assert described("log ItemKNN", item) == pytest.approx(expected, rel=1e-5)


def test_only_the_nearest_neighbors_count(tiny, prepare):
    described = Described(prepare, tiny, history=["i2"], neighbor_num=1)
    assert described("log ItemKNN", "i1") == pytest.approx(math.log1p(30 * 2**-0.5))
    assert described("log ItemKNN", "i3") == 0


def test_ease_is_a_ridge_regression_on_the_other_items(tiny, prepare):
    """The closed form of EASE against one regression for each item."""
    described = Described(prepare, tiny, history=["i1", "i2"], ease_reg_weight=0.5)
    users, items = ["u1", "u2", "u3", "u4"], list(ITEMS)
    x = np.zeros((4, 9))
    for user, item in TRAINING:
        x[users.index(user), items.index(item)] = 1
    for column, item in enumerate(items):
        rest = np.delete(x, column, axis=1)
        gram = rest.T @ rest + 0.5 * np.eye(8)
        weights = np.insert(np.linalg.solve(gram, rest.T @ x[:, column]), column, 0)
        score = weights[items.index("i1")] + weights[items.index("i2")]
        clipped = min(max(score, -0.2), 1)
        assert described("EASE", item) == pytest.approx(clipped, abs=1e-5)
        log = math.log1p(50 * max(score, 0))
        assert described("log EASE", item) == pytest.approx(log, abs=1e-4)


def unit(vectors):
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(norm, 1e-12)


def test_cosines_with_the_history_are_half_whitened(tiny, prepare):
    """Centred, and each principal component divided by the root of its deviation."""
    described = Described(prepare, tiny, history=["i1", "i2"])
    vectors = described.training.item_vectors()
    centred = (vectors - vectors[1:].mean(axis=0))[1:].astype(float)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    kept = s**2 > 1e-6 * s[0] ** 2
    half_whitened = unit(u[:, kept] * s[kept] ** 0.5)
    own = dict(zip(described.dataset.field2id_token["item_id"][1:], half_whitened))
    mean = unit(own["i1"] + own["i2"])
    for item in ITEMS:
        found = described("mean cosine", item), described("nearest cosine", item)
        nearest = max(own[item] @ own["i1"], own[item] @ own["i2"])
        assert found == pytest.approx((own[item] @ mean, nearest), abs=1e-4), item


def test_texts_match_by_the_cosine_of_frozen_vectors(tiny, prepare):
    described = Described(prepare, tiny, "a red dress")
    row = described.dataset.token2id("request", "a red dress")
    request = unit(described.training.request_vectors()[row])
    items = unit(described.training.item_vectors())
    for item in ITEMS:
        expected = items[described.id(item)] @ request
        assert described("text cosine", item) == pytest.approx(expected, abs=1e-5)


def test_recency_compares_decayed_counts_with_counts(tiny, prepare):
    described = Described(prepare, tiny, recency_half_life=0.5)
    # the span is from time 1 to 2, which is two half-lives; the mean weight is 1 / 2
    decayed = {"i1": 0.25, "i2": 1.25, "i3": 1.25, "i5": 0.25}
    for item in ITEMS:
        recent = decayed.get(item, 0) / 0.5 + 0.1
        expected = math.log(recent) - math.log(OVERALL.get(item, 0) + 0.1)
        assert described("recency", item) == pytest.approx(expected, abs=1e-5)


def test_words_match_as_in_bm25(tmp_path, prepare):
    items = {**ITEMS, "i4": "blue shoes", "i6": "red shoes"}
    data_path = write_tiny(tmp_path, items=items)
    text = "blue shoes, no heels"
    described = Described(prepare, data_path, text, k1=1.2, b=0.3)
    config, dataset, (train, _, _) = prepare("BM25", data_path, k1=1.2, b=0.3)
    request = torch.tensor([dataset.token2id("request", text)])
    bm25 = get_model("BM25")(config, train._dataset).score_catalogue(request)[0]
    for item in items:
        expected = bm25[dataset.token2id("item_id", item)].item()
        assert described("BM25", item) == pytest.approx(expected)
    assert described("BM25", "i4") > described("BM25", "i6") > 0


def test_without_a_history_its_signals_are_0(tiny, prepare):
    described = Described(prepare, tiny, "a red dress")
    for name in ("log ItemKNN", "EASE", "log EASE", "mean cosine", "nearest cosine"):
        assert all(described(name, item) == 0 for item in ITEMS), name


def test_without_times_recency_is_0(tiny, prepare):
    described = Described(
        prepare,
        tiny,
        TIME_FIELD="absent",
        eval_args={"order": "RO", "split": {"RS": [0.8, 0.1, 0.1]}, "group_by": "none"},
    )
    assert all(described("recency", item) == 0 for item in ITEMS)


def test_ease_is_left_out_of_a_large_catalogue(tiny, prepare, caplog):
    with caplog.at_level(logging.INFO):
        described = Described(prepare, tiny, history=["i1"], ease_max_items=9)
    assert "ease_max_items is 9" in caplog.text
    assert described("EASE", "i2") == described("log EASE", "i2") == 0
    assert described("log ItemKNN", "i2") > 0


def test_interactions_without_a_request_are_counted(tmp_path, prepare):
    choices = [*CHOICES, ("u4", "i9", "", 0.5)]
    described = Described(
        prepare, write_tiny(tmp_path, choices=choices), history=["i5"]
    )
    assert described("log popularity", "i9") == pytest.approx(math.log(1.1))
    # both were chosen by u4 alone
    assert described("log ItemKNN", "i9") == pytest.approx(math.log1p(30))
    # and they belong to no text
    alone = Described(prepare, tmp_path, "null")
    share = 1.1 / (7 + 9 * 0.1)
    assert alone("log request count", "i9") == pytest.approx(math.log(share), rel=1e-5)


def test_batches_do_not_change_features(tiny, prepare, monkeypatch):
    described = Described(prepare, tiny)
    request = torch.arange(8)
    history = torch.tensor([[1, 2, 0], [0, 0, 0], [3, 0, 4], [5, 0, 0]] * 2)
    expected = described.features(request, history)
    monkeypatch.setattr("recbole_whisperlite.model.features._MAX_NUMBERS", 1)
    torch.testing.assert_close(described.features(request, history), expected)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"ease_reg_weight": 0}, "ease_reg_weight is 0"),
        ({"recency_half_life": -1}, "recency_half_life is -1"),
        ({"neighbor_num": 0}, "neighbor_num is 0"),
        ({"b": 2.0}, "b is 2.0"),
    ],
)
def test_settings_out_of_range_are_refused(tiny, prepare, given, message):
    with pytest.raises(UserError, match=message):
        Described(prepare, tiny, **given)
