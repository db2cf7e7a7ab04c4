"""Products of histories with items from those of single items, beside the products."""

import pytest
import torch
from close import assert_close_relative

from recbole_whisperlite.model import item_products
from recbole_whisperlite.model.item_products import ItemProducts
from recbole_whisperlite.model.score import Score

HISTORY = torch.tensor([[1, 2, 5], [3, 4, 0], [0, 0, 0], [2, 0, 2]])


@pytest.fixture
def vectors():
    torch.manual_seed(0)
    return torch.randn(6, 64)


def summed(vectors, history=HISTORY, products=None):
    weight = torch.rand(history.shape) * (history > 0)
    with torch.no_grad():
        found = (products or ItemProducts()).summed(history, weight, vectors)
    return found, (weight.unsqueeze(2) * vectors[history]).sum(dim=1) @ vectors.T


@pytest.mark.parametrize("weight", [1.0, torch.tensor(-2.0), torch.arange(6.0)])
def test_sums_of_products_are_products_of_sums(vectors, weight):
    found, expected = summed(vectors)
    found = (weight * Score(found)).dense(expected.shape)
    assert_close_relative(found, weight * expected)
    assert not found[2].any()


def test_products_are_those_of_the_vectors_as_they_are_now(vectors):
    products = ItemProducts()
    for _ in range(2):
        found, expected = summed(vectors, products=products)
        assert_close_relative(Score(found).dense(expected.shape), expected)
        vectors += 1


def test_no_rows_make_an_empty_matrix(vectors):
    found, _ = summed(vectors, HISTORY[:0])
    assert Score(found).dense((0, 6)).shape == (0, 6)


def test_where_it_costs_more_it_is_left(vectors, monkeypatch):
    assert summed(vectors)[0] is not None
    long = torch.ones(2, 5, dtype=torch.long)
    assert summed(vectors, long)[0] is None
    assert ItemProducts().summed(HISTORY, HISTORY.float(), vectors) is None  # gradients
    monkeypatch.setattr(item_products, "MOST_KEPT", 35)
    assert summed(vectors)[0] is None
