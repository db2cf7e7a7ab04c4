"""ZAM on the dozen requests, beside its equations for one item at a time."""

import numpy as np
import pytest
import torch
from close import assert_close_relative
from recbole.utils import get_model

from recbole_whisperlite.model.bm25 import words


@pytest.fixture
def built(tiny, prepare):
    settings = {"embedding_size": 4, "n_heads": 3, "query_weight": 0.3}
    _, _, loaders = made = prepare("ZAM", tiny, **settings)
    model = get_model("ZAM")(made[0], loaders[0]._dataset).eval()
    torch.nn.init.normal_(model.item_bias)
    return loaders[0]._dataset, model


def numbers(model):
    return {name: value.detach().numpy() for name, value in model.named_parameters()}


def by_hand(model, request_text, history):
    """The scores of all items: loops over words, heads and the items of the history."""
    p = numbers(model)
    said = [model.words.vocabulary.index(word) for word in words([request_text])[0]]
    mean = sum(p["words.embedding.weight"][word] for word in said) / len(said)
    query = np.tanh(p["query_layer.weight"] @ mean + p["query_layer.bias"])
    heads = np.tanh(p["attention_layer.weight"] @ query + p["attention_layer.bias"])
    heads = heads.reshape(4, 3)
    user, total = np.zeros(4), 1.0  # exp(0): the zero vector
    for item in history:
        item_e = p["item_embedding.weight"][item]
        logit = sum(w * (item_e @ heads[:, h]) for h, w in enumerate(p[HEAD][0]))
        user, total = user + np.exp(logit) * item_e, total + np.exp(logit)
    looked_for = 0.3 * query + 0.7 * user / total
    return p["item_embedding.weight"] @ looked_for + p["item_bias"]


HEAD = "head_weight.weight"


def test_scores_are_those_of_the_equations(built):
    data, model = built
    feat = data.inter_feat
    scores = model.full_sort_predict(feat).view(len(feat), -1)
    for row in range(len(feat)):
        text = data.request_texts[feat["request"][row]]
        begin, length = int(feat["history_begin"][row]), int(
            feat["history_length"][row]
        )
        history = data.history_items[begin : begin + length].tolist()
        assert_close_relative(scores[row], by_hand(model, text, history))
    assert feat["history_length"].unique().tolist() == [0, 1]


def test_an_item_that_says_nothing_gets_as_much_as_the_zero_vector(built):
    _, model = built
    query = torch.randn(1, 4)
    nothing = torch.zeros(1, 3, 4)
    mask = torch.tensor([[True, True, False]])
    weight = model.attention(query, nothing, mask)
    # two items and the zero vector, all with the logit 0; the padding gets none
    torch.testing.assert_close(weight, torch.tensor([[1 / 3, 1 / 3, 0.0]]))


def test_without_a_history_the_request_decides_alone(built):
    _, model = built
    request, nothing = torch.tensor([1, 2]), torch.zeros(2, 5, dtype=torch.long)
    found = model.intent(request, nothing, nothing)
    torch.testing.assert_close(found, 0.3 * model.query(request))


def test_a_history_that_fits_takes_the_weight_from_the_zero_vector(built):
    _, model = built
    with torch.no_grad():
        model.attention_layer.weight.zero_()
        model.attention_layer.bias.fill_(10.0)  # tanh: 1
        model.head_weight.weight.fill_(1 / 3)
    item_e = torch.tensor([[[1.0, 1.0, 0.0, 0.0], [-1.0, -1.0, 0.0, 0.0]]])
    weight = model.attention(torch.zeros(1, 4), item_e, torch.ones(1, 2) > 0)
    total = 1 + np.exp(2) + np.exp(-2)
    expected = torch.tensor([[np.exp(2) / total, np.exp(-2) / total]]).float()
    torch.testing.assert_close(weight, expected)
