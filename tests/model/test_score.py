"""Sums of matrices that are kept in parts, beside the sum of the matrices written out."""

import pytest
import torch
from close import assert_close_relative

from recbole_whisperlite.model.score import Product, Score, Sparse

SHAPE = 3, 5


def parts():
    torch.manual_seed(0)
    shared = torch.randn(SHAPE, requires_grad=True)
    row, position = torch.tensor([0, 2, 2]), torch.tensor([4, 0, 3])
    return {
        "matrix": shared,
        "the same again": shared,
        "row vector": torch.randn(1, 5, requires_grad=True),
        "column vector": torch.randn(3, 1, requires_grad=True),
        "product": Product(
            torch.randn(3, 2, requires_grad=True), torch.randn(5, 2, requires_grad=True)
        ),
        "wide product": Product(torch.randn(3, 9), torch.randn(5, 9)),
        "cells": Sparse(row, position, torch.randn(3, requires_grad=True), SHAPE),
    }


def written_out(part):
    if isinstance(part, Product):
        return part.query @ part.key.T
    if isinstance(part, Sparse):
        return torch.zeros(SHAPE).index_put((part.row, part.position), part.value)
    return part.expand(SHAPE)


def leaves(part):
    tensors = part if isinstance(part, tuple) else [part]
    return [each for each in tensors if getattr(each, "requires_grad", False)]


@pytest.mark.parametrize("name", parts())
@pytest.mark.parametrize("weight", [2.5, torch.tensor(-1.5), torch.arange(5.0) - 2])
def test_a_weighted_part_is_the_weighted_matrix(name, weight):
    part = parts()[name]
    found = (weight * (Score(part) + Score(part))).dense(SHAPE)
    assert_close_relative(found, 2 * weight * written_out(part))


@pytest.mark.parametrize("begins", [True, False])
def test_a_sum_and_its_gradients_are_those_of_the_matrices(begins):
    each, score, expected = parts(), Score(), torch.zeros(SHAPE)
    begin = torch.randn(SHAPE)
    weights = torch.randn(len(each), requires_grad=True)
    by_column = torch.randn(5, requires_grad=True)
    for number, (name, part) in enumerate(each.items()):
        weight = by_column if name == "wide product" else weights[number]
        score = score + weight * Score(part)
        expected = expected + weight * written_out(part)
    found = score.added_to(begin.clone(), SHAPE) if begins else score.dense(SHAPE)
    expected = expected + begin if begins else expected
    assert_close_relative(found, expected)
    upstream = torch.randn(SHAPE)
    tensors = [weights, by_column, *sum(map(leaves, each.values()), [])]
    ours, theirs = (
        torch.autograd.grad((total * upstream).sum(), tensors, retain_graph=True)
        for total in (found, expected)
    )
    for gradient, right in zip(ours, theirs):
        assert_close_relative(gradient, right)


def test_what_is_replaced_has_its_new_value_and_the_others_theirs():
    cells = parts()["cells"]
    row, position = torch.tensor([1, 2]), torch.tensor([2, 3])
    changed = cells.replaced(row, position, torch.tensor([7.0, 8.0]))
    expected = written_out(cells).index_put((row, position), torch.tensor([7.0, 8.0]))
    assert torch.equal(Score(changed).dense(SHAPE), expected)
    assert len(changed.cell) == 4  # of row 2 one is replaced, in row 1 there was none
