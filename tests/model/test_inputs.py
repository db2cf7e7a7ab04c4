"""What a table says of a model's inputs is what its scores depend on."""

import pytest
import torch
from fake_cross_encoder import install
from recbole.utils import ModelType, get_model, get_trainer
from tiny import write_tiny

from recbole_whisperlite.data.atomic import write_atomic
from recbole_whisperlite.data.history import KNOWN_FIELDS
from recbole_whisperlite.model.inputs import stated_inputs
from recbole_whisperlite.model.names import our_models

# Every user asks four times. The last two are validation and test; what is asked then was
# asked before, by others, so that counts by request and categories have something to say.
TEXTS = ["red dress", "blue shoes", "green coat", "white hat"]
USERS = ["u1", "u2", "u3", "u4"]
CHOICES = [
    (user, f"i{1 + (3 * place + 2 * time) % 8}", f"{user}r{time}", time)
    for place, user in enumerate(USERS)
    for time in range(1, 5 + place)
]
REQUESTS = {
    request: TEXTS[(place + time) % 4]
    for place, user in enumerate(USERS)
    for _, _, request, time in CHOICES
    if request.startswith(user)
}
ITEMS = {f"i{n}": f"{TEXTS[n % 4]} {n}" for n in range(1, 10)}
RECBOLE = ["BPR", "Pop", "Random", "ItemKNN", "EASE", "MultiDAE", "Caser", "SASRec"]
RECBOLE += ["DeepFM"]


@pytest.fixture
def trained(tmp_path, prepare, monkeypatch):
    """Return a function (model, **settings) -> trainer after an epoch, test data."""
    write_tiny(tmp_path, choices=CHOICES, requests=REQUESTS, items=ITEMS)
    trust = [("u1", "u2"), ("u2", "u3"), ("u3", "u1")]
    columns = {"source_id": "token", "target_id": "token"}
    write_atomic(tmp_path / "tiny" / "tiny.net", columns, trust)

    def train(name, **settings):
        if name == "TwoStage":
            install(monkeypatch)
            settings["cross_encoder"] = str(tmp_path)
        config, data, (train_data, valid_data, test_data) = prepare(
            name,
            tmp_path,
            epochs=1,
            embedding_size=8,
            encoder="tfidf",
            encoder_dim=16,
            checkpoint_dir=str(tmp_path / "saved"),
            **settings,
        )
        model = get_model(name)(config, train_data._dataset)
        trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
        trainer.fit(train_data, valid_data, saved=False)
        model.eval()
        return config, trainer, test_data

    return train


def scores(config, trainer, test_data):
    """The scores of all items for all test queries, without masks."""
    torch.manual_seed(0)  # Random draws them
    index = list(range(len(test_data.queries)))
    interaction, *_ = test_data.collate_fn(index)
    n_items = test_data._dataset.item_num
    model = trainer.model
    with torch.no_grad():
        if config["MODEL_TYPE"] == ModelType.CONTEXT:
            rows = interaction.repeat_interleave(n_items)
            rows.update(test_data._dataset.get_item_feature().repeat(len(index)))
            found = model.predict(rows)
        else:
            found = model.full_sort_predict(interaction)
    return found.view(len(index), n_items)[:, 1:]


def fields_of(kind, config, test_data):
    """The fields that say who asks, what is asked, or what the user had before."""
    feat = test_data.query_feat
    history = {config["ITEM_LIST_LENGTH_FIELD"], *test_data._dataset.history_fields}
    history.update(KNOWN_FIELDS)
    history.update(field for field in feat if field.endswith(config["LIST_SUFFIX"]))
    wanted = {
        "user": {config["USER_ID_FIELD"]},
        "request": {config["REQUEST_FIELD"], config["REQUEST_ID_FIELD"]},
        "history": history,
    }
    return [field for field in wanted[kind] if field in feat]


def depends_on(kind, trained):
    """Whether scores change when one kind of input is exchanged among the queries."""
    config, _, test_data = trained
    before = scores(*trained)
    assert torch.isfinite(before).all()
    kept = {}
    for field in fields_of(kind, config, test_data):
        kept[field] = test_data.query_feat[field]
        test_data.query_feat.interaction[field] = kept[field].roll(1, dims=0)
    after = scores(*trained)
    for field, values in kept.items():
        test_data.query_feat.interaction[field] = values
    torch.testing.assert_close(scores(*trained), before)
    return not torch.allclose(before, after, atol=1e-7)


def stated(name, config):
    words = stated_inputs(get_model(name), config.final_config_dict)
    return {word.partition(" (")[0] for word in words}


@pytest.mark.parametrize("name", [*RECBOLE, *our_models()])
def test_scores_depend_on_what_is_stated_and_on_nothing_else(name, trained):
    made = trained(name)
    words = stated(name, made[0])
    for kind in ("user", "request", "history"):
        assert depends_on(kind, made) == (kind in words), (kind, words)


HISTORY = ["use_neighbors", "use_transitions", "use_history", "use_similarity"]


@pytest.mark.parametrize(
    "off, words",
    [
        (["use_memory"], {"request", "item text", "history", "item id"}),
        (
            ["use_neighbors", "use_transitions", "use_similarity"],
            {"request", "item text", "history", "item id"},
        ),
        (HISTORY, {"request", "item text", "item id"}),
        (
            [*HISTORY, "use_memory"],
            {"request", "item text"},
        ),
        (
            [
                "use_memory",
                "use_neighbors",
                "use_transitions",
                "use_similarity",
            ],
            {"request", "item text", "history"},
        ),
    ],
)
def test_parts_that_are_switched_off_are_no_inputs(off, words, trained):
    made = trained("WhisperLitePlus", **dict.fromkeys(off, False))
    assert stated("WhisperLitePlus", made[0]) == words
    assert depends_on("request", made) and not depends_on("user", made)
    assert depends_on("history", made) == ("history" in words)


@pytest.mark.parametrize(
    "name, settings, words",
    [
        ("BPR", {}, ["user (up to training)", "item id"]),
        ("BPR", {"known_at_test": "train"}, ["user", "item id"]),
        ("ItemKNN", {}, ["history", "item id"]),
        ("ItemKNN", {"known_at_test": "train"}, ["history", "item id"]),
        ("ItemKNN", {"knn_method": "user"}, ["user (up to training)", "item id"]),
        ("Caser", {}, ["user (up to training)", "history", "item id"]),
        ("GraphRec", {}, ["user (up to training)", "trust", "item id"]),
        ("Pop", {}, ["item id"]),
    ],
)
def test_what_training_made_of_a_user_ends_with_training(name, settings, words):
    settings = {"known_at_test": "before_request", **settings}
    assert stated_inputs(get_model(name), settings) == words


def test_without_requests_recbole_evaluates_and_itemknn_knows_the_user():
    assert stated_inputs(get_model("ItemKNN"), {}) == ["user", "item id"]


def test_neighbours_among_users_are_those_of_training(trained):
    made = trained("ItemKNN", knn_method="user")
    assert depends_on("user", made) and not depends_on("history", made)


def test_a_fusion_depends_on_what_its_parts_depend_on(trained):
    made = trained("LateFusion", fusion_models=["RequestPop", "BM25"])
    assert stated("LateFusion", made[0]) == {"request", "item text", "item id"}
    assert depends_on("request", made) and not depends_on("user", made)
