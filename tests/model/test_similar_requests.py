"""What was chosen for requests in other words, beside a plain loop."""

import numpy as np
import pytest
import torch
from close import assert_close_relative
from test_terms import ALL, ITEM, N_ITEMS, N_REQUESTS, REQUEST, as_prior

from recbole_whisperlite.model import similar_requests
from recbole_whisperlite.model.similar_requests import SimilarRequests
from recbole_whisperlite.model.whitening import HalfWhitening

VECTORS = torch.from_numpy(
    np.vstack([np.zeros(4), np.random.default_rng(3).normal(size=(4, 4))])
).float()


LOG_PRIOR = torch.log_softmax(torch.linspace(-1, 2, N_REQUESTS * N_ITEMS), dim=0)
LOG_PRIOR = LOG_PRIOR.view(N_REQUESTS, N_ITEMS)
NEVER = torch.zeros(N_ITEMS, dtype=torch.bool)


def scores(term, is_new=NEVER):
    prior = as_prior(LOG_PRIOR, is_new)
    return term(torch.arange(N_REQUESTS), ALL, prior).dense(LOG_PRIOR.shape)


def plain(vectors, n_neighbors):
    """The formula in loops; request 4 was never asked in training."""
    count = np.zeros((N_REQUESTS, N_ITEMS))
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
                count[request, item] += cosine[other] ** 2
    return smooth(count)


def smooth(count):
    share = (count + LOG_PRIOR.exp().numpy()) / (count.sum(axis=1, keepdims=True) + 1)
    return torch.from_numpy(np.log(share))


@pytest.mark.parametrize("n_neighbors", [1, 2, 3, 50])
def test_choices_count_by_how_similar_their_requests_are(n_neighbors):
    term = SimilarRequests(VECTORS, REQUEST, ITEM, N_ITEMS, n_neighbors)
    expected = plain(VECTORS, n_neighbors)
    assert not torch.allclose(expected, LOG_PRIOR.double(), atol=0.1)
    assert_close_relative(scores(term), expected)
    some = torch.tensor([3, 1])
    found = term(some, ALL, as_prior(LOG_PRIOR[some], NEVER)).dense((2, N_ITEMS))
    assert_close_relative(found, expected[some])
    item = torch.tensor([2, 4])
    found = term.at(some, item, LOG_PRIOR[some, item])
    assert_close_relative(found, expected[some, item])


def test_the_same_wish_in_two_texts_counts_in_full_and_not_for_itself():
    vectors = VECTORS.clone()
    vectors[4] = vectors[1]  # was never asked itself
    found = scores(SimilarRequests(vectors, REQUEST, ITEM, N_ITEMS, 1))
    # request 1: item 1 three times, item 4 once
    expected = smooth(np.array([[0, 3, 0, 0, 1, 0]] * N_REQUESTS))
    assert_close_relative(found[4], expected[4])
    assert not torch.allclose(found[1].double(), expected[1], atol=1)


def test_what_is_new_has_the_prior():
    is_new = torch.arange(N_ITEMS) == 1
    term = SimilarRequests(VECTORS, REQUEST, ITEM, N_ITEMS, 3)
    found, known = scores(term, is_new), scores(term)
    assert_close_relative(found[:, 1], LOG_PRIOR[:, 1])
    assert torch.equal(found[:, 2:], known[:, 2:])


def test_all_that_are_as_similar_as_the_last_one_count():
    vectors = VECTORS.clone()
    vectors[2] = vectors[3]
    found = scores(SimilarRequests(vectors, REQUEST, ITEM, N_ITEMS, 1))
    both = scores(SimilarRequests(vectors, REQUEST, ITEM, N_ITEMS, 2))
    assert_close_relative(found[4], both[4])
    # seven, of which six are alike: more than are looked for at first
    vectors = VECTORS[[0, 1, 2, 2, 2, 2, 2, 2]]
    rows = vectors, np.arange(1, 8), np.array([1, 2, 3, 4, 5, 1, 2]), N_ITEMS
    few, many = (SimilarRequests(*rows, n).count for n in (1, 5))
    assert len(few.value) > 20 and torch.equal(few.item, many.item)
    assert_close_relative(few.value, many.value)


@pytest.mark.parametrize("request_", [REQUEST * 0, REQUEST.clip(max=1)])
def test_without_another_request_there_is_the_prior(request_):
    found = scores(SimilarRequests(VECTORS, request_, ITEM, N_ITEMS, 5))
    assert_close_relative(found[:2], LOG_PRIOR[:2])
    assert found.isfinite().all()


def test_a_request_without_a_vector_is_like_no_other():
    vectors = VECTORS.clone()
    vectors[[2, 4]] = 0
    found = scores(SimilarRequests(vectors, REQUEST, ITEM, N_ITEMS, 5))
    assert_close_relative(found[[0, 2, 4]], LOG_PRIOR[[0, 2, 4]])


def test_of_many_requests_the_largest_sums_are_kept(monkeypatch):
    rng = np.random.default_rng(5)
    vectors = torch.from_numpy(rng.normal(size=(20, 4))).float()
    choices = rng.integers(1, 20, 200), rng.integers(1, N_ITEMS, 200)

    def sums():
        term = SimilarRequests(vectors, *choices, N_ITEMS, 3)
        row = torch.arange(20).repeat_interleave(N_ITEMS)
        item = torch.arange(N_ITEMS).repeat(20)
        return term.count.at(row, item).view(20, N_ITEMS).numpy()

    whole = sums()
    monkeypatch.setattr(similar_requests, "_AT_ONCE", 3)
    np.testing.assert_array_equal(sums(), whole)
    monkeypatch.setattr(similar_requests, "MOST_SUMS", 2 * len(vectors))
    second = np.sort(whole, axis=1)[:, [-2]]
    assert (whole > 0).sum(axis=1).max() > 2
    np.testing.assert_array_equal(sums(), np.where(whole >= second, whole, 0))
