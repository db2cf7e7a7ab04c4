"""Products that nobody chose in training, and choices that answer no request."""

import random

import numpy as np
import pytest
import torch
from recbole.utils import get_model, get_trainer, init_seed
from tiny import CHOICES, write_tiny

COLOURS = "red blue green black white".split()
KINDS = "dress coat skirt boots scarf".split()
STYLES = "striped plain floral".split()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """75 products, of which 15 appear among the last requests; return data_path and those."""
    r = random.Random(0)
    names = [f"{s} {c} {k}" for c in COLOURS for k in KINDS for s in STYLES]
    items = {f"i{n}": name for n, name in enumerate(names)}
    new = set(r.sample(list(items), 15))
    choices, requests = [], {}
    for n in range(700):
        item = r.choice([i for i in items if i not in new or n >= 560])
        style, colour, kind = items[item].split()
        texts = [f"a {style} {kind} in {colour}", f"{colour} {kind}, {style}"]
        choices.append((f"u{n % 70}", item, f"q{n}", n))
        requests[f"q{n}"] = r.choice(texts)
    folder = tmp_path_factory.mktemp("new")
    return write_tiny(folder, "shop", choices, requests, items), new


@pytest.fixture
def ndcg(shop, prepare):
    """Return a function (model, **settings) -> NDCG@10 of the test requests for new and
    for known products."""

    def run(name, **settings):
        data_path, new = shop
        config, _, (train, valid, test) = prepare(
            name,
            data_path,
            "shop",
            encoder="tfidf",
            epochs=12,
            learning_rate=0.005,
            eval_args={
                "split": {"RS": [0.8, 0.1, 0.1]},
                "order": "TO",
                "group_by": "none",
                "mode": "full",
            },
            **settings,
        )
        init_seed(config["seed"], True)
        model = get_model(name)(config, train._dataset)
        trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
        trainer.fit(train, valid, saved=False)
        model.eval()
        index = np.arange(len(test.queries))
        batch, _, row, item = test.collate_fn(index)
        with torch.no_grad():
            scores = model.full_sort_predict(batch).view(len(index), -1)[:, 1:]
        rank = 1 + (scores[row] > scores[row, item - 1][:, None]).sum(dim=1)
        gain = torch.where(rank <= 10, 1 / torch.log2(1 + rank), 0.0)
        tokens = test._dataset.id2token("item_id", item)
        is_new = torch.tensor([token in new for token in tokens])
        assert is_new.sum() > 8 and (~is_new).sum() > 30
        return gain[is_new].mean().item(), gain[~is_new].mean().item()

    return run


@pytest.mark.parametrize("fit_queries", [4000, 0])
def test_new_products_are_found_by_their_words(ndcg, fit_queries):
    """No validation request was for one of them, either."""
    found = ndcg("WhisperLitePlus", fit_queries=fit_queries)
    assert found[0] > 0.9 and found[1] > 0.9
    by_text = ndcg("ZeroShot")
    assert found[0] > by_text[0] - 0.06


def test_choices_without_a_request_are_counted_and_not_trained_on(tmp_path, prepare):
    # user 3 looked at the products 9 and 8 before anything else
    looked = [("u3", "i9", "", 0), ("u3", "i8", "", 0)]
    write_tiny(tmp_path, choices=[*looked, *CHOICES])
    config, data, (train, _, _) = prepare("WhisperLitePlus", tmp_path, encoder="tfidf")
    trained, counted = train._dataset.inter_feat, train._dataset.counted_feat
    assert (trained["request_id"] > 0).all() and len(counted) == len(trained) + 2
    model = get_model("WhisperLitePlus")(config, train._dataset)
    items = data.token2id("item_id", ["i9", "i8", "i3"])
    assert model.popularity.count[items].tolist()[:2] == [1, 1]
    assert model.trained_share[items][:2].tolist() == [0, 0]
    i9, i8, i3 = (torch.tensor([item]) for item in items)
    # what was looked at is history, has neighbours and is followed by what was chosen
    assert model.neighbors.scaled_cosine.at(i9, i3) > 0
    assert model.transitions.scaled_count.at(i8, i3) > 0
    assert model.memory.total.sum() == len(trained)
