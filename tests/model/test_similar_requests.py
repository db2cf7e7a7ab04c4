"""What was chosen for requests in other words, beside a plain loop."""

import math

import numpy as np
import pytest
import torch
from close import assert_close_relative
from test_terms import ALL, ITEM, N_ITEMS, N_REQUESTS, REQUEST

from recbole_whisperlite.model.similar_requests import SimilarRequests
from recbole_whisperlite.model.whitening import HalfWhitening

VECTORS = torch.from_numpy(
    np.vstack([np.zeros(4), np.random.default_rng(3).normal(size=(4, 4))])
).float()


def scores(term):
    return term(torch.arange(N_REQUESTS), ALL)


def plain(vectors, n_neighbors):
    """The formula in loops; request 4 was never asked in training."""
    result = np.zeros((N_REQUESTS, N_ITEMS))
    whitened = HalfWhitening(vectors, np.array([1, 2, 3]))(vectors).numpy()
    for request in range(1, N_REQUESTS):
        cosine = {
            other: float(whitened[request] @ whitened[other])
            for other in (1, 2, 3)
            if other != request
        }
        nearest = sorted(cosine, key=lambda other: -cosine[other])[:n_neighbors]
        for other, item in zip(REQUEST, ITEM):
            if other in nearest and cosine[other] > 0:
                result[request, item] += cosine[other] ** 2
    return np.log1p(30 * result)


@pytest.mark.parametrize("n_neighbors", [1, 2, 3, 50])
def test_choices_count_by_how_similar_their_requests_are(n_neighbors):
    term = SimilarRequests(VECTORS, REQUEST, ITEM, N_ITEMS, n_neighbors)
    expected = plain(VECTORS, n_neighbors)
    assert (expected[1:].sum(axis=1) > 0).any()
    assert_close_relative(scores(term), torch.from_numpy(expected))
    some = torch.tensor([3, 1])
    found = term(some, ALL)
    assert_close_relative(found, torch.from_numpy(expected)[some])


def test_the_same_wish_in_two_texts_counts_in_full_and_not_for_itself():
    vectors = VECTORS.clone()
    vectors[4] = vectors[1]  # was never asked itself
    found = scores(SimilarRequests(vectors, REQUEST, ITEM, N_ITEMS, 1))
    # request 1: item 1 three times, item 4 once
    expected = [0, math.log1p(90), 0, 0, math.log1p(30), 0]
    assert_close_relative(found[4], torch.tensor(expected))
    assert not torch.allclose(found[1], found[4], atol=1)


def test_all_that_are_as_similar_as_the_last_one_count():
    vectors = VECTORS.clone()
    vectors[2] = vectors[3]
    found = scores(SimilarRequests(vectors, REQUEST, ITEM, N_ITEMS, 1))
    both = scores(SimilarRequests(vectors, REQUEST, ITEM, N_ITEMS, 2))
    assert_close_relative(found[4], both[4])


@pytest.mark.parametrize("request_", [REQUEST * 0, REQUEST.clip(max=1)])
def test_without_another_request_nothing_is_similar(request_):
    term = SimilarRequests(VECTORS, request_, ITEM, N_ITEMS, 5)
    found = scores(term)
    assert not found[:2].any() and found.isfinite().all()


def test_a_request_without_a_vector_is_like_no_other():
    vectors = VECTORS.clone()
    vectors[[2, 4]] = 0
    found = scores(SimilarRequests(vectors, REQUEST, ITEM, N_ITEMS, 5))
    assert not found[[0, 2, 4]].any()
