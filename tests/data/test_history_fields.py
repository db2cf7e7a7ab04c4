"""What each row of WhisperLite's dataset knows of its user's past."""

import numpy as np
import pytest
from recbole.utils import get_model, get_trainer
from tiny import ITEMS, REQUESTS, write_tiny

FIELDS = ("history_begin", "history_length")
MANY = {f"i{n}": f"Thing {n}" for n in range(1, 41)}


def random_choices(seed=0):
    """Choices with ties in time, several items a request, some without a request."""
    rng = np.random.default_rng(seed)
    choices, n = [], 0
    for user in ("u1", "u2", "u3", "u4"):
        for time in rng.integers(1, 8, size=8):
            n += 1
            for item in rng.choice(30, size=rng.integers(1, 4), replace=False):
                later = rng.choice([0, 0, 2])
                choices.append((user, f"i{item + 1}", f"r{n}", time + later))
        for time in rng.integers(1, 8, size=4):
            choices.append((user, f"i{rng.integers(1, 31)}", "", time))
    order = rng.permutation(len(choices))
    requests = {f"r{k}": f"ask {k}" for k in range(1, n + 1)}
    return [choices[row] for row in order], requests


@pytest.fixture
def path(tmp_path):
    choices, requests = random_choices()
    return write_tiny(tmp_path, choices=choices, requests=requests, items=MANY)


def history(dataset, feat, row):
    begin, length = (int(feat[field][row]) for field in FIELDS)
    return dataset.history_items[begin : begin + length].tolist()


def tokens(dataset, field, ids):
    return [str(token) for token in dataset.id2token(field, ids)]


def histories(dataset, feat):
    """The history of each (user, request) of ``feat``, in the files' words."""
    return {
        (
            *tokens(dataset, "user_id", [user]),
            *tokens(dataset, "request_id", [request]),
        ): (tokens(dataset, "item_id", history(dataset, feat, row)))
        for row, (user, request) in enumerate(
            zip(feat["user_id"].tolist(), feat["request_id"].tolist())
        )
    }


def brute_force(path):
    """Items of the same user, request by request, from the .inter file.

    A request is made when its first item is chosen. Those of the same time are in the
    order of the file; what is chosen without a request at that time is not earlier.
    """
    lines = (path / "tiny" / "tiny.inter").read_text().splitlines()[1:]
    events = {}  # by (user, request), or the line: [(time, unasked, line), item, ...]
    for line, (user, item, request, time) in enumerate(
        row.split("\t") for row in lines
    ):
        when = (float(time), not request, line)
        event = events.setdefault((user, request or line), [when])
        event[0] = (min(event[0][0], when[0]), *event[0][1:])
        event.append(item)
    expected = {}
    for (user, request), (when, *_) in events.items():
        if isinstance(request, str):
            mine = [event for (other, _), event in events.items() if other == user]
            earlier = sorted(event for event in mine if event[0] < when)
            expected[user, request] = [item for _, *items in earlier for item in items]
    return expected


@pytest.mark.parametrize("longest", [50, 4, 1])
@pytest.mark.parametrize("group_by", ["user", "none"])
def test_a_history_is_what_the_user_had_before_the_request(
    path, prepare, longest, group_by
):
    args = {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": group_by}
    _, _, loaders = prepare(
        "WhisperLitePlus", path, MAX_ITEM_LIST_LENGTH=longest, eval_args=args
    )
    found = {}
    for loader in loaders:
        part = loader._dataset
        found.update(histories(part, part.inter_feat))
    expected = brute_force(path)
    assert found == {key: items[-longest:] for key, items in expected.items()}
    assert max(map(len, expected.values())) > 10 and [] in expected.values()


def test_of_the_dozen_requests_they_are_those_one_can_see(tiny, prepare):
    _, data, (train, valid, test) = prepare("WhisperLitePlus", tiny)
    feat = train._dataset.inter_feat
    # both items of r2 have the same history, without each other
    asked = tokens(data, "request_id", feat["request_id"])
    assert asked.count("r2") == 2
    assert histories(data, feat)["u1", "r2"] == ["i1"]
    assert histories(data, feat)["u2", "r5"] == []
    assert histories(data, valid.query_feat) == {
        ("u1", "r3"): ["i1", "i2", "i3"],
        ("u2", "r6"): ["i2"],
        ("u3", "r9"): ["i3"],
    }


@pytest.mark.parametrize("mode", ["full", "uni2"])
def test_what_is_asked_in_evaluation_has_the_fields(path, prepare, mode):
    args = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user"}
    _, _, (_, _, test) = prepare(
        "WhisperLitePlus", path, eval_args={**args, "mode": mode}
    )
    expected = brute_force(path)
    seen = set()
    for interaction, *_ in test:
        for key, items in histories(test._dataset, interaction).items():
            assert items == expected[key]
            seen.add(key)
    assert len(seen) == len(test.queries) == 4
    assert "item_id" not in test.query_feat


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("group_by", ["user", "none"])
def test_in_a_random_order_training_rows_have_training_items_only(
    path, prepare, seed, group_by
):
    args = {"split": {"RS": [0.5, 0.2, 0.3]}, "order": "RO", "group_by": group_by}
    _, data, loaders = prepare("WhisperLitePlus", path, eval_args=args, seed=seed)
    # the row of history_items that each row of a part is
    _, request, _, phase = data._raw
    for number, loader in enumerate(loaders):
        part = loader._dataset
        feat = part.inter_feat
        for row in range(len(feat)):
            begin, length = (int(feat[field][row]) for field in FIELDS)
            assert (phase[begin : begin + length] <= number).all()
            assert int(feat["request_id"][row]) not in request[begin : begin + length]
    training = loaders[0]._dataset.inter_feat
    assert training["history_length"].max() > 3


def test_a_training_history_is_one_of_the_file_without_what_is_held_out(
    tmp_path, prepare
):
    choices, requests = random_choices()
    write_tiny(tmp_path, choices=choices, requests=requests, items=MANY)
    args = {"split": {"RS": [0.5, 0.2, 0.3]}, "order": "RO", "group_by": "none"}
    _, data, (train, valid, test) = prepare("WhisperLitePlus", tmp_path, eval_args=args)
    found = histories(data, train._dataset.inter_feat)
    held_out = {
        request
        for loader in (valid, test)
        for _, request in histories(data, loader.query_feat)
    }
    left = [choice for choice in choices if choice[2] not in held_out]
    assert len(left) < len(choices)
    write_tiny(tmp_path, choices=left, requests=requests, items=MANY)
    assert found == brute_force(tmp_path)


def test_history_fields_are_no_features_and_in_no_other_dataset(tiny, prepare):
    _, data, _ = prepare("WhisperLitePlus", tiny)
    assert not set(FIELDS) & set(data.fields())
    _, data, (train, *_) = prepare("BPR", tiny)
    assert not set(FIELDS) & set(train._dataset.inter_feat.columns)
    assert data.history_fields == ()


def test_sampled_negatives_share_the_history_of_their_choice(path, prepare):
    negatives = {"distribution": "uniform", "sample_num": 2}
    _, _, (train, *_) = prepare(
        "WhisperLitePlus", path, train_neg_sample_args=negatives, bce_weight=1
    )
    expected = brute_force(path)
    for interaction in train:
        assert set(interaction["label"].tolist()) == {0, 1}
        found = histories(train._dataset, interaction)
        assert found == {key: expected[key] for key in found}


@pytest.mark.parametrize("mode", ["full", "uni2"])
@pytest.mark.parametrize("order", ["TO", "RO"])
def test_the_model_trains_and_is_evaluated_on_it(path, prepare, mode, order):
    args = {"split": {"RS": [0.6, 0.2, 0.2]}, "order": order, "group_by": "none"}
    config, _, (train, valid, test) = prepare(
        "WhisperLitePlus",
        path,
        eval_args={**args, "mode": mode},
        encoder_dim=4,
        epochs=2,
        train_batch_size=8,
        show_progress=False,
    )
    model = get_model("WhisperLitePlus")(config, train._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], "WhisperLitePlus")(config, model)
    trainer.fit(train, valid, saved=False)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert 0 <= trainer.evaluate(test, load_best_model=False)["ndcg@3"] <= 1


# ------------------------------------------------------- wishes and refusals


def test_what_rules_nothing_out_has_a_refusal_of_zeros(tiny, prepare):
    _, data, _ = prepare("WhisperLitePlus", tiny, encoder="tfidf", encoder_dim=4)
    wish, refusal = data.wish_and_refusal_vectors()
    assert wish.dtype == refusal.dtype == np.float32
    assert wish.shape == refusal.shape == (data.num("request"), 4)
    refuses = [data.request_texts[row] for row in np.flatnonzero(refusal.any(axis=1))]
    assert refuses == ["blue shoes, no heels"]
    assert not wish[0].any() and not refusal[0].any()
    # "nothing yellow" wishes nothing, and no training text knows "yellow"
    row = data.request_texts.index("nothing yellow")
    assert not wish[row].any()


def test_without_a_refusal_the_wish_is_the_request(tiny, prepare):
    _, data, _ = prepare("WhisperLitePlus", tiny, encoder="tfidf", encoder_dim=4)
    wish, _ = data.wish_and_refusal_vectors()
    whole = data.request_vectors()
    for text in ("a red dress", "a warm coat", "👗 for a wedding"):
        row = data.request_texts.index(text)
        # stored as float16, which may round to either side
        np.testing.assert_allclose(wish[row], whole[row], atol=1e-3)
    assert whole[data.request_texts.index("a red dress")].any()


def test_vectors_of_parts_are_those_of_requests_that_say_no_more(tmp_path, prepare):
    requests = {**REQUESTS, "r4": "blue shoes", "r9": "heels"}
    _, data, _ = prepare(
        "WhisperLitePlus", write_tiny(tmp_path, requests=requests), encoder_dim=4
    )
    wish, refusal = data.wish_and_refusal_vectors()
    row = {text: row for row, text in enumerate(data.request_texts)}
    parts = row["blue shoes, no heels"]
    np.testing.assert_array_equal(wish[parts], wish[row["blue shoes"]])
    np.testing.assert_array_equal(refusal[parts], wish[row["heels"]])
    assert refusal[parts].any() and wish[parts].any()


def test_a_name_of_the_catalogue_is_no_refusal(tmp_path, prepare):
    items = {**ITEMS, "i1": "No show socks"}
    requests = {**REQUESTS, "r4": "blue no show socks, no wool", "r9": "no wool"}
    folder = write_tiny(tmp_path, requests=requests, items=items)
    _, data, _ = prepare("WhisperLitePlus", folder, encoder_dim=4)
    parts = dict(zip(data.request_texts, zip(*data.wish_and_refusal_texts())))
    assert data.negated_names == {"no show"}
    assert parts["blue no show socks, no wool"] == ("blue no show socks", "wool")
    assert parts["no wool"] == ("", "wool")


def test_requests_that_are_not_read_are_said_once(tmp_path, prepare, caplog):
    requests = {id_: "红色连衣裙，不要条纹的那种" for id_ in REQUESTS}
    folder = write_tiny(tmp_path, requests=requests)
    _, data, _ = prepare("WhisperLitePlus", folder, encoder_dim=4, state="WARNING")
    data.wish_and_refusal_texts(), data.wish_and_refusal_texts()
    said = [each for each in caplog.messages if "language 'zh'" in each]
    assert len(said) == 1 and "English, French, German and Spanish only" in said[0]


@pytest.mark.parametrize("encoder", ["precomputed", ["precomputed", "tfidf"]])
def test_precomputed_vectors_are_of_whole_requests(tiny, prepare, tmp_path, encoder):
    rng = np.random.default_rng(0)
    files = {}
    for side, ids in (("request", REQUESTS), ("item", ITEMS)):
        files[f"{side}_vectors_file"] = str(tmp_path / f"{side}.npz")
        np.savez(
            files[f"{side}_vectors_file"],
            ids=np.array(list(ids)),
            vectors=rng.normal(size=(len(ids), 3)),
        )
    config, data, (train, *_) = prepare(
        "WhisperLitePlus", tiny, encoder=encoder, encoder_dim=4, **files
    )
    wish, refusal = data.wish_and_refusal_vectors()
    np.testing.assert_array_equal(wish, data.request_vectors())
    assert wish[1:].any(axis=1).all()
    assert refusal.shape == wish.shape and not refusal.any()
    model = get_model("WhisperLitePlus")(config, train._dataset)
    assert "refusal_weight" not in model.state_dict()
