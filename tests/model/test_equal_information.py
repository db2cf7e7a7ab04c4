"""What models know of a user at a request: the same for all, and nothing of the future."""

import numpy as np
import pytest
import torch
from recbole.utils import InputType, ModelType, get_model, get_trainer
from tiny import write_tiny

from recbole_whisperlite.data.atomic import write_atomic
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.inputs import stated_inputs
from recbole_whisperlite.model.names import our_models

TEXTS = ["red dress", "blue shoes", "green coat", "white hat"]
ITEMS = {f"i{n}": f"{TEXTS[n % 4]} {n}" for n in range(1, 10)}
N_USERS, N_TIMES = 6, 7
# The last two requests of a user are validation and test; i9 is everybody's first item. By
# time, so that the ids of items do not depend on the latest rows.
CHOICES = [
    (
        f"u{user}",
        f"i{1 + (3 * user + 2 * time + user * time) % 8}" if time else "i9",
        f"u{user}r{time}",
        time,
    )
    for time in range(N_TIMES)
    for user in range(1, N_USERS + 1)
]
REQUESTS = {
    request: TEXTS[(int(user[1:]) + time) % 4] for user, _, request, time in CHOICES
}
# i1 is bought by u1 without a request, after the test request
LATER = [*CHOICES, ("u1", "i1", "", N_TIMES + 1)]
# u1's validation item is another one
OTHER = [
    (
        (user, "i2" if item != "i2" else "i3", request, time)
        if request == f"u1r{N_TIMES - 2}"
        else (user, item, request, time)
    )
    for user, item, request, time in CHOICES
]
LINEAR = ["ItemKNN", "EASE", "SLIMElastic", "ADMMSLIM"]
AUTOENCODERS = ["MultiDAE", "MultiVAE", "RecVAE", "MacridVAE", "RaCT"]
RECBOLE = ["BPR", "LightGCN", "NGCF", "Pop", "DeepFM", "Caser", "SASRec", "BERT4Rec"]
SETTINGS = {
    "SLIMElastic": {"alpha": 0.01},
    "BERT4Rec": {"loss_type": "CE"},
    "Pop": {"train_neg_sample_args": None, "train_batch_size": 1},
}


@pytest.fixture
def test_scores(tmp_path, prepare):
    """Return a function (model, choices, ...) -> config, scores of u1's test query."""

    def scores(name, choices, predict=False, **settings):
        write_tiny(tmp_path, choices=choices, requests=REQUESTS, items=ITEMS)
        trust = [("u1", "u2"), ("u2", "u3"), ("u3", "u1")]
        columns = {"source_id": "token", "target_id": "token"}
        write_atomic(tmp_path / "tiny" / "tiny.net", columns, trust)
        settings = {
            "epochs": 1,
            "embedding_size": 8,
            "encoder": "tfidf",
            "encoder_dim": 16,
            "checkpoint_dir": str(tmp_path / "saved"),
            **SETTINGS.get(name, {}),
            **settings,
        }
        config, data, (train, valid, test) = prepare(name, tmp_path, **settings)
        model = get_model(name)(config, train._dataset)
        trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
        # without validation: it would choose the epoch, or LateFusion's weights
        trainer.fit(train, saved=False)
        model.eval()
        user = data.token2id("user_id", "u1")
        query = np.flatnonzero(test.queries.user == user)
        assert len(query) == 1
        interaction, *_ = test.collate_fn(query.tolist())
        items = data.get_item_feature()
        torch.manual_seed(0)  # some draw noise
        with torch.no_grad():
            if predict or config["MODEL_TYPE"] == ModelType.CONTEXT:
                rows = interaction.repeat_interleave(data.item_num)
                rows.update(items)
                found = model.predict(rows)
            else:
                found = model.full_sort_predict(interaction)
        found = found.view(-1)[data.token2id("item_id", list(ITEMS))]
        assert found.isfinite().all()
        return config, found

    return scores


# TwoStage needs a cross-encoder, and takes its candidates from a model that is here.
OURS = [name for name in our_models() if name != "TwoStage"]


@pytest.mark.parametrize("name", [*LINEAR, *AUTOENCODERS[:4], *RECBOLE, *OURS])
def test_no_score_depends_on_what_is_not_known_at_the_request(name, test_scores):
    config, now = test_scores(name, CHOICES)
    # what comes after the request
    torch.testing.assert_close(test_scores(name, LATER)[1], now, rtol=0, atol=0)
    # what comes before it, but after training, is known to whom the table says so
    _, other = test_scores(name, OTHER)
    words = stated_inputs(get_model(name), config.final_config_dict)
    assert torch.equal(now, other) == ("history" not in words)
    # in the other setting to nobody
    _, now = test_scores(name, CHOICES, known_at_test="train")
    _, other = test_scores(name, OTHER + LATER[-1:], known_at_test="train")
    torch.testing.assert_close(other, now, rtol=0, atol=0)


@pytest.mark.parametrize("name", [*LINEAR, "MultiVAE", "LateFusion"])
@pytest.mark.parametrize("known", ["before_request", "train"])
def test_sampled_candidates_are_scored_by_the_same_history(name, known, test_scores):
    _, full = test_scores(name, CHOICES, known_at_test=known)
    _, sampled = test_scores(name, CHOICES, predict=True, known_at_test=known)
    noise = 2e-5 if name == "ADMMSLIM" else 1e-6
    torch.testing.assert_close(sampled.float(), full.float(), rtol=1e-5, atol=noise)


# ------------------------------------------------------------------- by hand

# u1 chooses a, b, a in training; three requests follow in test, the second of two items
FEW = [
    ("u1", "a", "r1", 1),
    ("u1", "b", "r2", 2),
    ("u1", "a", "r3", 3),
    ("u1", "c", "r4", 4),
    ("u1", "d", "r5", 5),
    ("u1", "e", "r5", 5),
    ("u1", "b", "r6", 6),
    ("u2", "a", "r7", 1),
    ("u2", "c", "r8", 1.5),
    ("u2", "d", "r9", 2),
    ("u2", "b", "r10", 3),
    ("u2", "e", "r11", 4),
    ("u2", "a", "r12", 5),
    # to have negatives for everybody
    ("u3", "f", "r13", 1),
    ("u3", "g", "r14", 2),
    ("u3", "f", "r15", 3),
]
KNOWN = {"r4": "aba", "r5": "abac", "r6": "abacde", "r10": "acd"}


@pytest.fixture
def few(tmp_path):
    requests = {request: "a hat" for _, _, request, _ in FEW}
    items = {token: f"thing {token}" for token in "abcdefg"}
    return write_tiny(tmp_path, choices=FEW, requests=requests, items=items)


SPLIT = {"split": {"RS": [0.5, 0, 0.5]}, "order": "TO", "group_by": "user"}


@pytest.mark.parametrize("mode", ["full", "uni3"])
@pytest.mark.parametrize("name", LINEAR[:3])
def test_a_query_is_scored_by_the_matrix_times_its_own_history(
    name, mode, few, prepare
):
    settings = SETTINGS.get(name, {})
    eval_args = {**SPLIT, "mode": mode}
    config, data, (train, _, test) = prepare(name, few, eval_args=eval_args, **settings)
    model = get_model(name)(config, train._dataset).eval()
    matrix = model.w if name == "ItemKNN" else model.item_similarity
    matrix = np.asarray(matrix.todense() if hasattr(matrix, "todense") else matrix)
    assert np.abs(matrix).sum() > 0
    found = {}
    for interaction, *_ in test:
        if mode == "full":
            scores = model.full_sort_predict(interaction).view(len(interaction), -1)
        else:
            scores = model.predict(interaction)
        for row, (request, score) in enumerate(zip(interaction["request_id"], scores)):
            token = data.id2token("request_id", request.item())
            item = slice(None) if mode == "full" else interaction["item_id"][row]
            found.setdefault(token, []).append((item, score.numpy()))
    for token, known in KNOWN.items():
        history = np.zeros(data.item_num)
        for item in known:
            history[data.token2id("item_id", item)] += 1
        for item, score in found[token]:
            np.testing.assert_allclose(score, (history @ matrix)[item], rtol=1e-5)


def test_a_history_that_is_the_training_row_leaves_recboles_scores(few, prepare):
    for name in (*LINEAR[:3], *AUTOENCODERS):
        config, data, (train, _, test) = prepare(
            name, few, eval_args={**SPLIT, "mode": "full"}, known_at_test="train"
        )
        model = get_model(name)(config, train._dataset).eval()
        interaction, *_ = test.collate_fn(list(range(len(test.queries))))
        folded = model.full_sort_predict(interaction)
        plain = interaction.interaction.copy()
        for field in data.known_fields:
            del plain[field]
        own = model.full_sort_predict(type(interaction)(plain))
        torch.testing.assert_close(folded, own, msg=name)


def test_every_model_is_told_the_same_and_the_fingerprint_covers_it(few, prepare):
    def loaders(name, **settings):
        settings = {"eval_args": {**SPLIT, "mode": "full"}, **settings}
        return prepare(name, few, **settings)[2]

    def told(test):
        data, feat = test._dataset, test.query_feat
        names = data.id2token("item_id", data.all_chosen_items)
        return {
            str(data.id2token("request_id", request)): "".join(names[begin:][:length])
            for request, begin, length in zip(
                feat["request_id"].tolist(),
                *(feat[field].tolist() for field in data.known_fields),
            )
        }

    families = ("BPR", "SASRec", "DeepFM", "WhisperLitePlus", "ItemKNN")
    tests = [loaders(name, loss_type="BPR")[2] for name in families]
    assert all(told(test).items() >= KNOWN.items() for test in tests)
    assert len({test.fingerprint for test in tests}) == 1
    # sequences end where the histories do
    sequences = {
        "".join(tests[1]._dataset.id2token("item_id", row[row > 0].numpy()))
        for row in tests[1].query_feat["item_id_list"]
    }
    assert sequences >= set(KNOWN.values())

    train = [loaders(name, loss_type="BPR", known_at_test="train") for name in families]
    for name, (_, _, test) in zip(families, train):
        assert told(test)["r4"] == told(test)["r6"] == "aba", name
        assert test.fingerprint == train[0][2].fingerprint != tests[0].fingerprint
    lists = train[1][2].query_feat
    assert sorted(set(lists["item_length"].tolist())) == [2, 3]  # of u3 and the others
    plus = train[3][2]
    assert torch.equal(plus.query_feat["history_length"], lists["item_length"])
    # metrics at other k are other figures of the same queries
    assert loaders("BPR", topk=[3, 5])[2].fingerprint != tests[0].fingerprint
    assert loaders("BPR", topk=[3, 3])[2].fingerprint == tests[0].fingerprint


def test_a_custom_model_takes_histories_by_a_method(few, prepare):
    from recbole.model.abstract_recommender import GeneralRecommender

    class CountsThem(GeneralRecommender):
        settings, inputs = {}, ("history", "item id")
        input_type = InputType.PAIRWISE

        def __init__(self, config, dataset):
            super().__init__(config, dataset)
            self.rows = dataset.inter_matrix(form="csr")

        def user_rows(self, histories):
            return {"rows": histories}

        def full_sort_predict(self, interaction):
            users = interaction[self.USER_ID].numpy()
            return torch.from_numpy(self.rows[users].toarray()).view(-1)

    eval_args = {**SPLIT, "mode": "full"}
    config, data, (train, _, test) = prepare(CountsThem, few, eval_args=eval_args)
    model = CountsThem(config, train._dataset)
    own = model.rows
    asked = data.id2token("request_id", test.queries.request).tolist()
    interaction, *_ = test.collate_fn([asked.index("r6")])
    scores = model.full_sort_predict(interaction)
    ids = data.token2id("item_id", list("abcde"))
    assert scores[ids].tolist() == [2, 1, 1, 1, 1]
    assert model.rows is own


@pytest.mark.parametrize("value", ["test", "Before_request", True, 3])
def test_what_is_known_has_two_names(value, tiny, prepare):
    with pytest.raises(UserError, match="known_at_test is .* before_request .* train"):
        prepare("BPR", tiny, known_at_test=value)
