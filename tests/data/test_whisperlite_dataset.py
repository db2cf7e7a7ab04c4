"""The dataset class on RecBole's own parts: requests as a column of ``.inter``."""

import numpy as np
import pytest
from recbole.quick_start import load_data_and_model
from recbole.utils import get_model, get_trainer

from recbole_whisperlite.data.dataset import RequestDatasetMixin
from recbole_whisperlite.data.whisperlite_dataset import WhisperLiteDataset

WORDS = ("red", "blue", "green")
THINGS = ("coat", "boot", "hat", "bag")


@pytest.fixture
def shop(tmp_path):
    """Twelve items, of a colour and a kind each; users ask for what they take."""
    folder = tmp_path / "shop"
    folder.mkdir()
    items = [(colour, thing) for colour in WORDS for thing in THINGS]
    lines = ["item_id:token\ttitle:token_seq\tkind:token"]
    lines += [
        f"i{n}\t{colour} {thing}\t{thing}" for n, (colour, thing) in enumerate(items)
    ]
    (folder / "shop.item").write_text("\n".join(lines) + "\n")
    lines = ["user_id:token\titem_id:token\trequest:token\ttimestamp:float"]
    for user in range(24):
        for step in range(4):
            n = (user + 5 * step) % 12
            lines.append(f"u{user}\ti{n}\ta {' '.join(items[n])} please\t{step}")
    (folder / "shop.inter").write_text("\n".join(lines) + "\n")
    return tmp_path


def make(prepare, shop, **settings):
    return prepare(
        "WhisperLite",
        shop,
        dataset="shop",
        load_col={
            "inter": ["user_id", "item_id", "request", "timestamp"],
            "item": ["item_id", "title", "kind"],
        },
        eval_args={
            "split": {"LS": "valid_and_test"},
            "order": "TO",
            "group_by": "user",
            "mode": "full",
        },
        encoder_dim=8,
        embedding_size=8,
        mlp_hidden_size=[16],
        epochs=30,
        learning_rate=0.01,
        **settings,
    )


def test_it_is_a_dataset_of_recbole_with_texts_and_vectors(shop, prepare):
    _, data, _ = make(prepare, shop)
    assert type(data) is WhisperLiteDataset
    assert not isinstance(data, RequestDatasetMixin)
    item = data.token2id("item_id", "i5")
    assert data.item_texts[item] == "blue boot boot" and data.item_texts[0] == ""
    assert "a blue boot please" in data.request_texts and len(data.request_texts) == 13
    requests, items = data.request_vectors(), data.item_vectors()
    assert requests.dtype == items.dtype == np.float32
    assert len(requests) == 13 and len(items) == 13
    assert not requests[0].any() and not items[0].any()
    request = requests[data.request_texts.index("a blue boot please")]
    cosine = items[1:] @ request / np.linalg.norm(items[1:], axis=1)
    assert cosine.argmax() + 1 == item


def test_users_are_ranked_by_the_request_of_the_phase(shop, prepare):
    _, data, (_, _, test) = make(prepare, shop)
    user_feat = test._dataset.user_feat
    for user in range(1, data.user_num):
        rows = test._dataset.inter_feat["user_id"] == user
        (asked,) = test._dataset.inter_feat["request"][rows].tolist()
        assert user_feat["request"][user] == asked


def test_whisperlite_learns_to_find_what_is_asked_for(shop, prepare):
    config, _, (train, valid, test) = make(prepare, shop)
    model = get_model("WhisperLite")(config, train._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], "WhisperLite")(config, model)
    trainer.fit(train, valid, saved=False, show_progress=False)
    assert trainer.evaluate(test, load_best_model=False)["ndcg@3"] > 0.9


def test_a_checkpoint_keeps_the_texts_that_words_were_fitted_on(shop, prepare):
    config, _, (train, valid, _) = make(prepare, shop)
    model = get_model("WhisperLite")(config, train._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], "WhisperLite")(config, model)
    trainer.fit(train, valid, show_progress=False)
    with open(shop / "shop" / "shop.item", "a") as file:
        file.writelines(f"new{n}\tyellow vase\tvase\n" for n in range(9))
    model = load_data_and_model(trainer.saved_model_file)[1]
    assert model.n_items == 1 + 12 + 9
    for side, n in (("requests", None), ("items", 13)):
        vectors = getattr(trainer.model, side).vectors
        found = getattr(model, side).vectors[:n]
        np.testing.assert_allclose(found, vectors, atol=1e-6)
