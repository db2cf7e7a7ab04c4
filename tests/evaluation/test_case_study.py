"""RecBole's case study with requests: one row per user, with the masks of the evaluation."""

import numpy as np
import pytest
import torch
from fixed_scores import FAMILIES, General, Sequential
from recbole.trainer import Trainer
from recbole.utils import get_model
from recbole.utils.case_study import full_sort_scores, full_sort_topk
from tiny import CHOICES, ITEMS, REQUESTS, write_tiny

from recbole_whisperlite.errors import UserError

# Without what the user has seen before the test request, where i1 is a positive of u1's:
BEST_3 = {"u1": "i1 i5 i6", "u2": "i1 i3 i4", "u3": "i1 i2 i4", "u4": "i1 i2 i3"}
SAMPLED = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "uni3"}
FIXED = {"loss_type": "BPR", "embedding_size": 4}


def build(prepare, model, data_path, **settings):
    config, _, loaders = prepare(model, data_path, **{**FIXED, **settings})
    return model(config, loaders[0]._dataset), *loaders


def ids(data, *users):
    return data._dataset.token2id("user_id", list(users))


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("users", [["u3"], ["u3", "u1", "u4", "u3", "u2"]])
def test_each_user_gets_one_row_in_the_given_order(model, users, tiny, prepare):
    made, _, _, test = build(prepare, model, tiny)
    best, index = full_sort_topk(ids(test, *users), made, test, k=3)
    found = test._dataset.id2token("item_id", index)
    assert [" ".join(row) for row in found] == [BEST_3[user] for user in users]
    # the score of item iN is -N
    assert best.tolist() == [
        [-int(token[1:]) for token in BEST_3[user].split()] for user in users
    ]


@pytest.mark.parametrize("model", FAMILIES)
def test_padding_and_seen_items_alone_have_minus_infinity(model, tiny, prepare):
    made, _, _, test = build(prepare, model, tiny)
    scores = full_sort_scores(ids(test, "u2", "u1"), made, test)
    masked = [
        set(test._dataset.id2token("item_id", row.isneginf().nonzero().flatten()))
        for row in scores
    ]
    assert masked == [{"[PAD]", "i2", "i5"}, {"[PAD]", "i2", "i3", "i4"}]


@pytest.mark.parametrize("make", [list, np.array, torch.tensor, tuple])
def test_a_series_may_be_a_list_or_an_array(make, tiny, prepare):
    made, _, _, test = build(prepare, General, tiny)
    users = ids(test, "u3", "u1").tolist()
    expected = full_sort_scores(users, made, test)
    assert expected.shape == (2, len(ITEMS) + 1)
    assert torch.equal(full_sort_scores(make(users), made, test), expected)


class Asked:
    """The score of every item is the number of the request, r4 → 4."""

    def full_sort_predict(self, interaction):
        tokens = self.request_tokens[interaction["request_id"].numpy()]
        number = torch.tensor([float(token[1:]) for token in tokens])
        return number.repeat_interleave(self.n_items)


class AskedGeneral(Asked, General):
    pass


class AskedSequential(Asked, Sequential):
    def full_sort_predict(self, interaction):
        self.length = interaction["item_length"].tolist()
        return super().full_sort_predict(interaction)


@pytest.mark.parametrize("model", [AskedGeneral, AskedSequential])
def test_of_several_requests_in_a_phase_the_latest_one_is_ranked(
    model, tmp_path, prepare
):
    # five requests each, two of them in test; r5 and r10 take two items. The file has the
    # latest first.
    choices = [
        (user, f"i{(n + more) % 9 + 1}", f"r{first + n}", n)
        for user, first in (("u1", 1), ("u2", 6))
        for n in range(5)
        for more in range(2 if n == 4 else 1)
    ][::-1]
    args = {"split": {"RS": [0.4, 0.2, 0.4]}, "group_by": "user", "order": "TO"}
    write_tiny(tmp_path, choices=choices)
    made, _, valid, test = build(
        prepare, model, tmp_path, eval_args={**args, "mode": "full"}
    )
    made.request_tokens = test._dataset.field2id_token["request_id"]
    assert len(test.queries) == 4 and test.queries.positives.nnz == 6
    scores = full_sort_scores(ids(test, "u2", "u1"), made, test)
    assert scores.max(dim=1).values.tolist() == [10, 5]
    if model is AskedSequential:
        assert made.length == [4, 4]  # what was chosen before the request
    scores = full_sort_scores(ids(valid, "u1", "u2"), made, valid)
    assert scores.max(dim=1).values.tolist() == [3, 8]


@pytest.mark.parametrize("name", ["WhisperLite", "WhisperLitePlus", "SASRec", "DeepFM"])
def test_scores_are_those_of_the_evaluation(name, tiny, prepare):
    config, _, (train, _, test) = prepare(name, tiny, loss_type="BPR")
    model = get_model(name)(config, train._dataset)
    trainer = Trainer(config, model)
    trainer.item_tensor = test._dataset.get_item_feature()
    trainer.tot_item_num = test._dataset.item_num
    model.eval()
    with torch.no_grad():
        _, expected, _, _ = trainer._full_sort_batch_eval(
            test.collate_fn(list(range(len(test.queries))))
        )
    users = test.queries.user.tolist()
    assert len(users) == 4 and expected.isfinite().any(dim=1).all()
    scores = full_sort_scores(users[::-1], model, test, device=config["device"])
    torch.testing.assert_close(scores, expected.flip(0))


def test_a_user_without_a_request_in_the_phase_is_named(tmp_path, prepare):
    # u5's only request is in training; u6 has one interaction without a request
    choices = [*CHOICES, ("u5", "i1", "r13", 1), ("u6", "i2", "", 1)]
    write_tiny(tmp_path, choices=choices, requests={**REQUESTS, "r13": "a hat"})
    made, _, _, test = build(prepare, General, tmp_path)
    with pytest.raises(UserError, match="2 of the users .* no request in the test"):
        full_sort_topk(ids(test, "u1", "u5", "u6"), made, test, k=1)
    with pytest.raises(UserError, match="for them: u5. Ask"):
        full_sort_topk(ids(test, "u5", "u1"), made, test, k=1)


@pytest.mark.parametrize(
    "users", [[], [0], [5], [-1], [[1, 2]], 1, ["u1"], [1.5], [True]], ids=str
)
def test_what_is_no_series_of_internal_ids_is_refused(users, tiny, prepare):
    made, _, _, test = build(prepare, General, tiny)
    with pytest.raises(UserError, match="internal user ids, 1 to 4.*token2id"):
        full_sort_scores(users, made, test)


@pytest.mark.parametrize("model", FAMILIES)
def test_sampled_candidates_and_training_data_are_refused(model, tiny, prepare):
    made, train, _, test = build(prepare, model, tiny, eval_args=SAMPLED)
    with pytest.raises(UserError, match="sampled items only.*mode: full"):
        full_sort_topk([1], made, test, k=1)
    with pytest.raises(UserError, match="TrainDataLoader has no queries"):
        full_sort_scores([1], made, train)


def without_requests(folder, mode):
    """Write the data without requests; return the settings that read it."""
    write_tiny(folder)
    (folder / "tiny" / "tiny.request").unlink()
    columns = {"inter": ["user_id", "item_id", "timestamp"]}
    return {
        "load_col": columns,
        "eval_args": {**SAMPLED, "mode": mode},
        "metrics": ["NDCG"],
    }


@pytest.mark.parametrize("model", FAMILIES)
def test_without_requests_recboles_function_answers_alone(model, tmp_path, prepare):
    settings = without_requests(tmp_path, "full")
    made, _, _, test = build(prepare, model, tmp_path, **settings)
    users = ids(test, "u1", "u2")
    expected = full_sort_scores.__wrapped__(users, made, test)
    assert expected.shape == (2, 9)  # nobody took i9
    assert torch.equal(full_sort_scores(users, made, test), expected)


def test_without_requests_sampled_candidates_are_refused_where_recbole_fails(
    tmp_path, prepare
):
    settings = without_requests(tmp_path, "uni3")
    made, _, _, test = build(prepare, General, tmp_path, **settings)
    with pytest.raises(AttributeError, match="uid2history_item"):
        full_sort_scores.__wrapped__([1], made, test)
    with pytest.raises(UserError, match="NegSampleEvalDataLoader ranks sampled"):
        full_sort_scores([1], made, test)
    # the rows of a sequential model do not depend on the candidates
    made, _, _, test = build(prepare, Sequential, tmp_path, **settings)
    assert full_sort_scores([1], made, test).shape == (1, 9)
