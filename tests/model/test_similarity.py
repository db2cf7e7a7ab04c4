"""The learned similarity of histories and items, beside its formula in loops."""

import math

import numpy as np
import pytest
import torch
from close import assert_close_relative
from scipy.sparse import csr_matrix

from recbole_whisperlite.model.similarity import LearnedSimilarity

N_ITEMS, DIM, SIZE = 7, 4, 3
NONE_NEW = torch.zeros(N_ITEMS, dtype=torch.bool)
#: Five items of which the second was chosen twice, two, and none; padded by 0.
HISTORY = torch.tensor([[1, 2, 3, 2, 5], [6, 4, 0, 0, 0], [0, 0, 0, 0, 0]])


#: Item 1 shares its offsets with the items 2 and 3, item 3 with item 1; the others with none.
SHARED = np.zeros((N_ITEMS, N_ITEMS), dtype="f4")
SHARED[[1, 1, 3], [2, 3, 1]] = [0.5, 0.25, 0.125]


def made(dropout_prob=0.0, item_then=None, n_then=N_ITEMS):
    torch.manual_seed(0)
    vectors = torch.randn(N_ITEMS, DIM)
    item_then = np.arange(N_ITEMS) if item_then is None else np.array(item_then)
    shared = csr_matrix(SHARED[:n_then, :n_then])
    model = LearnedSimilarity(vectors, SIZE, dropout_prob, shared, item_then, n_then)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
        model.position.copy_(torch.tensor([1.0, -0.5, 0.3, 0.0]))
    return model.eval()


def from_end(history):
    """How many items lie between each and the request."""
    length = (history > 0).sum(dim=1, keepdim=True)
    return length - 1 - torch.arange(history.shape[1])


def scores(model, history=HISTORY, is_new=NONE_NEW, distance=None):
    """Of all items, shape [rows of history, items]."""
    key, bias = model.keys(torch.arange(N_ITEMS), is_new)
    distance = from_end(history) if distance is None else distance
    return model.summarize(history, distance, is_new) @ key.T + bias


def offset(table, item):
    """That of the item, and twice those of its neighbors."""
    neighbors = sum(SHARED[item, n] * table[n] for n in range(len(table)))
    return table[item] + 2 * neighbors


def by_loops(model, history, is_new=NONE_NEW):
    """The formula, with w by the distance from the end: e, e^-0.5, e^0.3, then 1."""
    found = torch.zeros(len(history), N_ITEMS)
    weights = [math.exp(w) for w in model.position.tolist()]
    for row, items in enumerate(history.tolist()):
        items = [item for item in items if item]
        for item in range(N_ITEMS):
            key = model.key.weight @ model.vectors[item]
            if not is_new[item]:
                found[row, item] += model.bias.weight[item, 0]
                key = key + offset(model.key_offset.weight, item)
            total = weight_sum = 0.0
            for distance, other in enumerate(reversed(items)):
                query = model.query.weight @ model.vectors[other]
                if not is_new[other]:
                    query = query + offset(model.query_offset.weight, other)
                weight = weights[min(distance, 3)]
                total, weight_sum = total + weight * (query @ key), weight_sum + weight
            if items:
                found[row, item] += math.sqrt(len(items)) * total / weight_sum
    return found


@torch.no_grad()
def test_the_score_is_the_formula():
    model = made()
    found = scores(model)
    assert_close_relative(found, by_loops(model, HISTORY))
    # without a history there is what the item has by itself
    assert_close_relative(found[2], model.bias.weight[:, 0])


@torch.no_grad()
def test_new_items_have_their_vectors_only():
    model, is_new = made(), NONE_NEW.clone()
    is_new[[2, 5]] = True
    found = scores(model, is_new=is_new)
    assert_close_relative(found, by_loops(model, HISTORY, is_new))
    for table in model.offsets():
        table[5] += 10  # item 2 is a neighbor of another
    assert torch.equal(scores(model, is_new=is_new), found)
    assert not torch.allclose(scores(model), found, atol=1)


@torch.no_grad()
def test_what_is_equally_far_from_the_end_has_the_same_weight_whatever_the_padding():
    model = made()
    history = torch.tensor([[6, 4]])
    longer = torch.tensor([[6, 4, 0, 0]])
    assert_close_relative(scores(model, history), scores(model, longer))
    assert not torch.allclose(scores(model, history), scores(model, history.flip(1)))
    # as with the items before and after a request, in training
    holes, distance = torch.tensor([[0, 4, 0, 6]]), torch.tensor([[3, 0, 0, 1]])
    assert_close_relative(
        scores(model, holes, distance=distance), scores(model, history)
    )


@torch.no_grad()
def test_after_loading_items_have_the_offsets_that_they_had_in_training():
    """Of items 1 to 3 of training, item 2 is item 1 now; items 4 to 6 are new."""
    now, then = made(item_then=[0, 2, 3, 1, 0, 0, 0], n_then=4), [0, 2, 3, 1]
    key, bias = now.keys(torch.arange(4), NONE_NEW[:4])
    offsets = torch.stack([offset(now.key_offset.weight, n) for n in range(4)])
    expected = now.vectors[:4] @ now.key.weight.T + offsets[then]
    assert_close_relative(key, expected)
    assert torch.equal(bias, now.bias.weight[then, 0])


def test_training_leaves_out_a_share_of_the_history():
    model = made(dropout_prob=0.5).train()
    history = torch.tensor([[1, 2]]).expand(400, 2)
    found = model.summarize(model.thinned(history), from_end(history), NONE_NEW)
    model.eval()
    kept = [[1, 2], [1, 0], [2, 0], [0, 0]]
    kept = torch.tensor(kept)
    expected = model.summarize(kept, from_end(kept), NONE_NEW)
    # alone, an item has the weight 1 wherever it stands
    distance = torch.cdist(found, expected)
    assert distance.min(dim=1)[0].max() < 1e-2
    share = torch.bincount(distance.argmin(dim=1), minlength=4) / 400
    assert share.tolist() == pytest.approx([0.25] * 4, abs=0.1)


def test_gradients_are_finite_where_there_is_no_history():
    model = made(dropout_prob=0.9).train()
    scores(model).sum().backward()
    assert all(each.grad.isfinite().all() for each in model.parameters())


def test_training_begins_with_next_to_nothing():
    model = made()
    model.reset_parameters()
    assert scores(model).abs().max() < 0.5 and scores(model).abs().max() > 0
