"""TEM on the dozen requests, beside its transformer for one position at a time."""

import numpy as np
import pytest
import torch
from close import assert_close_relative
from handmade_transformer import encode
from recbole.utils import get_model

from recbole_whisperlite.model.bm25 import words


def build(tiny, prepare, **settings):
    given = {"embedding_size": 4, "n_heads": 2, "n_layers": 2, **settings}
    config, _, loaders = prepare("TEM", tiny, **given)
    model = get_model("TEM")(config, loaders[0]._dataset).eval()
    torch.nn.init.normal_(model.item_bias)
    return loaders[0]._dataset, model


def by_hand(model, text, history):
    p = {name: value.detach().numpy() for name, value in model.named_parameters()}
    said = [model.words.vocabulary.index(word) for word in words([text])[0]]
    mean = sum(p["words.embedding.weight"][word] for word in said) / len(said)
    query = np.tanh(p["query_layer.weight"] @ mean + p["query_layer.bias"])
    rows = [query, *(p["item_embedding.weight"][item] for item in history)]
    if model.use_positions:
        position = [0, *range(len(history), 0, -1)]  # the latest item is at 1
        rows = [
            row + p["position_embedding.weight"][at] for row, at in zip(rows, position)
        ]
    everything = [list(range(len(rows)))] * len(rows)
    looked_for = encode(model.encoder, rows, everything)[0]
    return p["item_embedding.weight"] @ looked_for + p["item_bias"]


@pytest.mark.parametrize("use_positions", [True, False])
@torch.no_grad()
def test_scores_are_those_of_one_position_at_a_time(tiny, prepare, use_positions):
    data, model = build(tiny, prepare, use_positions=use_positions)
    history = torch.tensor([[1, 2, 3], [4, 0, 0], [0, 0, 0], [5, 2, 0]])
    request = torch.tensor([data.request_texts.index("a red dress"), 2, 1, 2])
    intent = model.intent(request, history, torch.zeros_like(history))
    scores = intent @ model.item_embedding.weight.T + model.item_bias
    for row in range(4):
        items = [item for item in history[row].tolist() if item]
        text = data.request_texts[request[row]]
        assert_close_relative(scores[row], by_hand(model, text, items))


@torch.no_grad()
def test_without_positions_the_order_of_the_history_does_not_matter(tiny, prepare):
    for use_positions in (False, True):
        _, model = build(tiny, prepare, use_positions=use_positions)
        one = torch.tensor([[1, 2, 3]])
        found = [model.intent(torch.tensor([1]), h, h) for h in (one, one.flip(1))]
        assert torch.allclose(*found, atol=1e-5) != use_positions
