"""QuerySeqRec on the dozen requests, beside its transformer for one position at a time."""

import numpy as np
import pytest
import torch
from close import assert_close_relative
from handmade_transformer import encode, layer_norm
from recbole.utils import get_model
from tiny import CHOICES, write_tiny

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.bm25 import words
from recbole_whisperlite.model.queryseqrec import Links


@pytest.fixture
def built(tiny, prepare):
    given = {"embedding_size": 4, "n_heads": 2, "n_layers": 2}
    config, _, loaders = prepare("QuerySeqRec", tiny, **given)
    model = get_model("QuerySeqRec")(config, loaders[0]._dataset).eval()
    return loaders[0]._dataset, model


def by_hand(data, model, request, pairs):
    """The output at the last request, after (request, item) pairs, oldest first."""
    p = {name: value.detach().numpy() for name, value in model.named_parameters()}
    of_request, of_item = p["type_embedding.weight"]

    def said(text):
        known = [w for w in words([data.request_texts[text]])[0] if w in vocabulary]
        rows = [p["words.embedding.weight"][vocabulary.index(word)] for word in known]
        return sum(rows) / len(rows) if rows else np.zeros(4)

    vocabulary, rows = model.words.vocabulary, []
    for age, (text, item) in zip(range(len(pairs), 0, -1), pairs):
        at = p["position_embedding.weight"][age]
        if text:
            rows.append(said(text) + of_request + at)
        rows.append(p["item_embedding.weight"][item] + of_item + at)
    rows.append(said(request) + of_request + p["position_embedding.weight"][0])
    rows = [layer_norm(model.layer_norm, row) for row in rows]
    earlier = [list(range(at + 1)) for at in range(len(rows))]
    return encode(model.encoder, rows, earlier)[-1]


@torch.no_grad()
def test_the_output_is_that_of_one_position_at_a_time(built):
    data, model = built
    items = torch.tensor([[1, 2, 3], [4, 0, 0], [0, 0, 0], [5, 2, 0]])
    # the second item of the last history was chosen without a request
    requests = torch.tensor([[1, 2, 2], [3, 0, 0], [0, 0, 0], [4, 0, 0]])
    request = torch.tensor([1, 2, 3, 1])
    found = model.intent(request, items, requests)
    for row in range(4):
        pairs = zip(requests[row].tolist(), items[row].tolist())
        pairs = [pair for pair in pairs if pair[1]]
        expected = by_hand(data, model, int(request[row]), pairs)
        assert_close_relative(found[row], expected)


def test_each_item_of_a_history_comes_with_its_own_request(tmp_path, prepare):
    choices = [*CHOICES, ("u1", "i9", "", 2.5)]
    write_tiny(tmp_path, choices=choices)
    _, data, (_, _, test) = prepare("QuerySeqRec", tmp_path)
    model = get_model("QuerySeqRec")(test.config, data).eval()
    token = data.field2token_id
    row = test.query_feat["user_id"].tolist().index(token["user_id"]["u1"])
    items, requests = model._history(test.query_feat[[row]])
    told = [
        (data.id2token("item_id", item), data.request_texts[request])
        for item, request in zip(items[0].tolist(), requests[0].tolist())
        if item
    ]
    assert told == [
        ("i1", "a red dress"),
        ("i2", "blue shoes, no heels"),
        ("i3", "blue shoes, no heels"),
        ("i9", ""),
        ("i4", "a red dress"),
    ]


def test_links_are_drawn_as_often_as_they_occur():
    torch.manual_seed(0)
    links = Links(torch.tensor([2, 1, 2, 2]), torch.tensor([7, 5, 8, 7]), 4)
    drawn = links.draw(torch.tensor([[2, 1, 3, 0]]).expand(6000, 4))
    assert drawn[:, 1].unique().tolist() == [5]
    assert drawn[:, 2:].unique().tolist() == [0]  # nothing occurs with these
    assert set(drawn[:, 0].tolist()) == {7, 8}
    assert abs((drawn[:, 0] == 7).float().mean() - 2 / 3) < 0.02


def test_a_share_of_the_history_is_replaced_in_training_only(built):
    data, model = built
    torch.manual_seed(0)
    feat = data.inter_feat
    feat = feat[feat["history_length"] == 1][torch.zeros(4000, dtype=torch.long)]
    model.eval()
    items, requests = model._history(feat)
    assert len(items.unique(dim=0)) == 1
    model.replace_prob, model.graph_prob = 0.5, 1.0
    model.train()
    new_items, new_requests = model._history(feat)
    # by an item of the same request; of these, some are the same item again
    pairs = set(
        zip(data.inter_feat["request"].tolist(), data.inter_feat["item_id"].tolist())
    )
    linked = {item for text, item in pairs if text == requests[0, 0]}
    assert set(new_items[:, 0].tolist()) == linked | {int(items[0, 0])}
    model.graph_prob = 0.0
    new_items, new_requests = model._history(feat)
    changed = (new_items != items).float().mean()
    assert abs(changed - 0.5 * (1 - 1 / 9)) < 0.04  # one of nine is the same again
    assert (new_items > 0).all() and (new_requests > 0).all()
