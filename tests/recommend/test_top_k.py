"""The exact top k against sorting everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

import shops
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend.top_k import DenseSearch, exact_top_k

# Few distinct values, so that there are many ties, and exact in float32.
VALUES = st.sampled_from([-4.0, -1.5, -0.25, 0.0, 0.25, 1.0, 3.5])
PROPERTY = settings(derandomize=True, deadline=None, max_examples=100)


@st.composite
def problems(draw):
    n, n_items = draw(st.integers(0, 4)), draw(st.integers(0, 12))
    cells = n * n_items
    inner = draw(st.lists(VALUES, min_size=cells, max_size=cells))
    inner = np.array(inner, dtype=np.float32).reshape(n, n_items)
    allowed = draw(st.lists(st.booleans(), min_size=cells, max_size=cells))
    inner[~np.array(allowed, dtype=bool).reshape(n, n_items)] = -np.inf
    corrections = np.zeros((n, n_items), dtype=np.float32)
    if cells:
        cell = st.tuples(st.integers(0, n - 1), st.integers(0, n_items - 1))
        for at, value in draw(st.dictionaries(cell, VALUES)).items():
            corrections[at] = value
    return inner, corrections, draw(st.integers(1, 15))


def sorted_by_hand(scores, k):
    """Items and scores, the best first, among equals the first item."""
    items, found = [], []
    for row in scores:
        order = sorted(range(len(row)), key=lambda item: (-row[item], item))
        order = [item for item in order if row[item] > -np.inf][:k]
        missing = k - len(order)
        items.append(order + [-1] * missing)
        found.append([row[item] for item in order] + [-np.inf] * missing)
    shape = len(scores), k
    return np.reshape(items, shape), np.reshape(found, shape)


@PROPERTY
@given(problems())
def test_the_exact_top_k_is_that_of_sorting_everything(problem):
    inner, corrections, k = problem
    expected_items, expected_scores = sorted_by_hand(inner + corrections, k)
    items, scores = exact_top_k(DenseSearch(inner), csr_matrix(corrections), k)
    assert items.tolist() == expected_items.tolist()
    assert scores.tolist() == expected_scores.tolist()


class FewAtATime(DenseSearch):
    """Notes how many items it was asked for."""

    def best(self, k):
        self.asked = k
        return super().best(k)


def test_only_lowered_items_make_the_search_longer():
    inner = np.arange(10, dtype=np.float32)[None]
    corrections = np.zeros_like(inner)
    corrections[0, [9, 8, 0]] = [-20, -5, 30]
    search = FewAtATime(inner)
    items, scores = exact_top_k(search, csr_matrix(corrections), 3)
    assert search.asked == 5
    assert items.tolist() == [[0, 7, 6]]
    assert scores.tolist() == [[30, 7, 6]]


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(UserError, match="not numbers"):
        DenseSearch(np.array([[1, np.nan]], dtype=np.float32))


@PROPERTY
@given(
    kind=st.sampled_from(shops.KINDS),
    seed=st.integers(0, 3),
    user=st.sampled_from([[], [0, 3, 4], [7, 8, 0, 1, 2, 3, 8]]),
    request=st.sampled_from([*shops.REQUESTS, "blue shirt", "no red", ""]),
    allowed=st.lists(st.booleans(), min_size=12, max_size=12),
    k=st.integers(1, 14),
    weight=st.sampled_from([1.3, -2.0]),
)
def test_every_model_finds_what_sorting_all_its_scores_finds(
    kind, seed, user, request, allowed, k, weight
):
    scorer = scorers(kind, seed, weight)
    histories = [np.array(user, dtype=np.int64)]
    batch = scorer.encode(shops.Asked([request], histories))
    allowed = np.array([allowed])
    scores = np.where(allowed, scorer.scores(batch), -np.inf)
    expected_items, expected_scores = sorted_by_hand(scores, k)
    items, found = scorer.top(batch, k, allowed)
    assert items.tolist() == expected_items.tolist()
    assert found.tolist() == expected_scores.tolist()


MADE = {}


def scorers(kind, seed, weight):
    key = kind, seed, weight
    if key not in MADE:
        terms = ("memory", "neighbors", "transitions", "nearest")
        options = dict.fromkeys(terms, weight) if kind == "WhisperLitePlus" else {}
        MADE[key] = shops.scorer(kind, seed, **options)
    return MADE[key]
