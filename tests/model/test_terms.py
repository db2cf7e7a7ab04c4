"""What training choices say beside texts, each beside a plain loop."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from close import assert_close_relative
from scipy.sparse import random as random_sparse

from recbole_whisperlite.model.terms import (
    Candidates,
    LikeHistory,
    Neighbors,
    RequestMemory,
    SparseRows,
)

# Eight choices of four users among five items; nobody chose item 5. User 1 took item
# 1 twice, and request 1 was asked four times. Id 0 is padding.
USER = np.array([1, 1, 1, 2, 2, 3, 3, 4])
REQUEST = np.array([1, 1, 2, 1, 3, 2, 3, 1])
ITEM = np.array([1, 1, 2, 1, 2, 2, 3, 4])
N_USERS, N_REQUESTS, N_ITEMS = 5, 5, 6
ALL = Candidates(torch.arange(N_ITEMS), N_ITEMS)


def without(choice, *columns):
    return [np.delete(column, choice) for column in columns]


# ------------------------------------------------------------------- sparse rows


@pytest.fixture
def matrix():
    return random_sparse(7, 9, density=0.4, format="csr", dtype="f4", random_state=0)


@pytest.mark.parametrize("item", [range(9), [4, 0, 7], [3]])
def test_rows_are_those_of_the_dense_matrix(matrix, item):
    candidates = Candidates(torch.tensor(list(item)), 9)
    row = [3, 0, 3, 6]  # a row may be asked for twice
    found = SparseRows(matrix)(torch.tensor(row), candidates)
    np.testing.assert_allclose(found, matrix.toarray()[row][:, list(item)])


def test_several_rows_are_added_up_and_a_repeated_one_counts_twice(matrix):
    row = np.array([[1, 2, 3], [5, 5, 0], [4, 4, 4]])
    item = [8, 2, 5, 1]
    found = SparseRows(matrix)(torch.tensor(row), Candidates(torch.tensor(item), 9))
    expected = matrix.toarray()[row].sum(axis=1)[:, item]
    assert_close_relative(found, expected)


def test_an_empty_row_adds_nothing(matrix):
    dense = matrix.toarray()
    dense[0] = 0
    found = SparseRows(dense)(torch.tensor([[0, 0], [0, 2]]), Candidates(ALL.item, 9))
    np.testing.assert_allclose(found, np.stack([0 * dense[2], dense[2]])[:, :N_ITEMS])


def test_no_rows_make_an_empty_result(matrix):
    found = SparseRows(matrix)(
        torch.zeros(0, dtype=torch.long), Candidates(ALL.item, 9)
    )
    assert found.shape == (0, N_ITEMS)


# ---------------------------------------------------------------- request memory


def memory(user=USER, request=REQUEST, item=ITEM):
    return RequestMemory(request, item, N_REQUESTS, N_ITEMS)


def remembered(memory, request, candidates=ALL, logits=None, positives=None):
    """What memory says where the towers say ``logits``; by default, nothing."""
    if logits is None:
        logits = torch.zeros(len(request), N_ITEMS)
    normalizer = memory.log_normalizer(logits)
    return memory(
        request, candidates, logits[:, candidates.item], normalizer, positives
    )


def test_memory_is_the_smoothed_share_of_the_request():
    # Item popularities are 3 3 1 1 0 (items 1 to 5) and 0 (padding), 0.1 more each:
    # together 8 + 6 * 0.1 = 8.6. Request 1 has 4 choices, 3 of them of item 1.
    score = remembered(memory(), torch.tensor([1]))[0]
    assert score[1].item() == pytest.approx(
        math.log((3 + 20 * 3.1 / 8.6) / (4 + 20)), rel=1e-5
    )
    assert score[5].item() == pytest.approx(
        math.log((0 + 20 * 0.1 / 8.6) / (4 + 20)), rel=1e-5
    )


def test_what_the_towers_expect_stands_behind_the_choices():
    # twice as likely as popularity has it: 2 * 3.1 and the others' 5.5 of 11.7
    logits = torch.zeros(1, N_ITEMS)
    logits[0, 1] = math.log(2)
    score = remembered(memory(), torch.tensor([1]), logits=logits)[0]
    expected = [(3 + 20 * 6.2 / 11.7) / 24, (0 + 20 * 3.1 / 11.7) / 24]
    assert score[1:3].exp().tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("spread", [0, 1, 8])
def test_memory_is_the_logarithm_of_a_distribution(spread):
    logits = spread * torch.randn(N_REQUESTS, N_ITEMS)
    score = remembered(memory(), torch.arange(N_REQUESTS), logits=logits)
    # what rounds is the logarithm, and as the logits that it is made of
    size = max(1, logits.abs().max())
    assert_close_relative(score.exp().sum(dim=1), torch.ones(N_REQUESTS), size=size)


def test_a_text_that_was_never_asked_ranks_by_popularity_and_towers():
    popularity = torch.tensor([0.1, 3.1, 3.1, 1.1, 1.1, 0.1])
    score = remembered(memory(), torch.tensor([4]))[0]
    assert_close_relative(score, (popularity / 8.6).log())
    logits = torch.randn(1, N_ITEMS)
    score = remembered(memory(), torch.tensor([4]), logits=logits)[0]
    weight = popularity * logits[0].exp()
    assert_close_relative(score, (weight / weight.sum()).log())


def test_the_candidates_do_not_change_what_memory_says_of_an_item():
    some = Candidates(torch.tensor([4, 1]), N_ITEMS)
    request = torch.tensor([1, 2, 1])
    logits = torch.randn(3, N_ITEMS)
    whole = remembered(memory(), request, logits=logits)
    assert_close_relative(remembered(memory(), request, some, logits), whole[:, [4, 1]])


def test_a_batch_estimates_what_divides():
    """Of a batch in which items come as often as they are popular, exactly."""
    logits, items = torch.randn(2, N_ITEMS), torch.tensor([1, 31, 31, 11, 11, 1])
    found = memory().log_normalizer(logits, items)
    # logarithms near 0 of sums of size 1
    assert_close_relative(found.exp(), memory().log_normalizer(logits).exp())
    some = memory().log_normalizer(logits[:, [1, 4]], torch.tensor([3, 1]))
    expected = (3 * logits[:, 1].exp() + logits[:, 4].exp()) / 4
    assert_close_relative(some[:, 0].exp(), expected)


def test_what_was_never_chosen_or_drawn_leaves_gradients_finite():
    logits = torch.randn(2, N_ITEMS, requires_grad=True)
    drawn = torch.tensor([0, 2, 1, 0, 0, 0])
    normalizer = memory().log_normalizer(logits, drawn)
    memory()(torch.tensor([1, 4]), ALL, logits, normalizer).sum().backward()
    assert logits.grad.isfinite().all() and logits.grad.abs().max() > 0


@pytest.mark.parametrize("choice", range(len(ITEM)))
def test_memory_without_the_own_choice_never_had_it(choice):
    """But for the sum that divides popularity: here 8.6, without the choice 7.6."""
    request = torch.tensor([REQUEST[choice]])
    positives = torch.tensor([0]), torch.tensor([ITEM[choice]])
    left = memory(*without(choice, USER, REQUEST, ITEM))
    count, total = left.count(request, ALL)[0], left.total[request]

    def popularity(score, divisor):
        return (score[0].exp() * (total + 20) - count) * divisor / 20

    found = popularity(remembered(memory(), request, positives=positives), 8.6)
    expected = popularity(remembered(left, request), 7.6)
    assert_close_relative(found, expected)
    assert_close_relative(found, left.popularity)


def test_each_row_is_spared_its_own_choice_only():
    request = torch.tensor([1, 2, 1])
    positives = torch.tensor([0, 2]), torch.tensor([1, 4])
    found, seen = remembered(memory(), request, positives=positives), remembered(
        memory(), request
    )
    assert torch.equal(found[1], seen[1])
    # the row's other items stand in a shorter list: 4 choices become 3
    longer = torch.full((4,), math.log(24 / 23))
    assert_close_relative(found[0, 2:], seen[0, 2:] + longer)
    assert found[0, 1] < seen[0, 1] and found[2, 4] < seen[2, 4]
    again = memory()
    remembered(again, request, positives=positives)
    assert torch.equal(remembered(again, request), seen)  # memory itself is unchanged


# --------------------------------------------------------------------- neighbors


def neighbors(user=USER, item=ITEM, max_neighbors=100):
    return Neighbors(user, item, N_USERS, N_ITEMS, max_neighbors)


def chosen_by(item, user=USER, of=ITEM):
    return set(user[of == item])


def cosine(i, j):
    if i == j or not chosen_by(i) or not chosen_by(j):
        return 0.0
    together = len(chosen_by(i) & chosen_by(j))
    return together / math.sqrt(len(chosen_by(i)) * len(chosen_by(j)))


HISTORY = torch.tensor([[1, 2, 3], [3, 0, 0], [2, 2, 0], [5, 4, 0]])


def test_neighbors_is_the_flattened_sum_of_the_cosines_of_itemknn():
    found = neighbors()(HISTORY, ALL)
    for row, history in enumerate(HISTORY.tolist()):
        for item in range(N_ITEMS):
            expected = math.log1p(30 * sum(cosine(item, j) for j in history if j))
            assert found[row, item].item() == pytest.approx(expected, rel=1e-5)
    assert found.max() > 1


def test_who_had_nothing_has_no_neighbors():
    found = neighbors()(torch.zeros(2, 3, dtype=torch.long), ALL)
    assert torch.equal(found, torch.zeros(2, N_ITEMS))


def test_only_the_largest_neighbors_of_each_item_are_kept():
    rng = np.random.default_rng(0)
    user, item = rng.integers(1, 30, 200), rng.integers(1, 12, 200)
    full = Neighbors(user, item, 30, 12, 100)
    few = Neighbors(user, item, 30, 12, 3)
    every = Candidates(torch.arange(12), 12)
    history = torch.arange(12).unsqueeze(1)
    expected, found = full(history, every), few(history, every)
    for row in range(1, 12):
        kept = found[row] > 0
        assert kept.sum() == 3
        assert torch.equal(found[row, kept], expected[row, kept])
        assert expected[row, kept].min() >= expected[row, ~kept].max()


@pytest.mark.parametrize("candidate", [[1, 2, 3, 4, 5], [3, 2]])
def test_the_own_choice_is_taken_out_of_the_number_of_users(candidate):
    """The denominators keep it: they belong to the items, not to the row."""
    candidates = Candidates(torch.tensor(candidate), N_ITEMS)
    # user 3 chose item 3 and had item 2; user 2 chose item 2 and had item 1
    user, target = [3, 2], [3, 2]
    history = torch.tensor([[2, 0], [1, 0]])
    positives = torch.arange(2), candidates.position[torch.tensor(target)]
    found = neighbors()(history, candidates, positives)
    seen = neighbors()(history, candidates)
    for row in range(2):
        for position, item in enumerate(candidate):
            if item != target[row]:
                assert found[row, position] == seen[row, position]
                continue
            numerators = 0
            for j in filter(None, history[row].tolist()):
                both = (chosen_by(item) & chosen_by(j)) - {user[row]}
                size = len(chosen_by(item)) * len(chosen_by(j))
                numerators += len(both) / math.sqrt(size)
            expected = math.log1p(30 * numerators)
            assert found[row, position].item() == pytest.approx(expected, abs=1e-4)
            assert found[row, position] < seen[row, position]


def test_the_own_choice_is_taken_out_of_every_item_of_the_history():
    """Of random choices without repeats, with histories of several items."""
    rng = np.random.default_rng(1)
    had = {user: rng.permutation(np.arange(1, 12))[:5] for user in range(1, 30)}
    user = np.repeat(list(had), 5)
    model = Neighbors(user, np.concatenate(list(had.values())), 30, 12, 100)
    users = {i: {u for u in had if i in had[u]} for i in range(1, 12)}
    history = torch.tensor(np.stack([items[:4] for items in had.values()]))
    target = torch.tensor([items[4] for items in had.values()])
    candidates = Candidates(torch.arange(12), 12)
    found = model(history, candidates, (torch.arange(29), target))
    for row, (user, (*earlier, item)) in enumerate(had.items()):
        cosines = [
            len(users[item] & users[j] - {user})
            / math.sqrt(len(users[item]) * len(users[j]))
            for j in earlier
        ]
        expected = math.log1p(30 * sum(cosines))
        assert found[row, item].item() == pytest.approx(expected, abs=1e-4)


def test_an_item_that_is_chosen_again_loses_the_own_user_and_no_more():
    # user 1 had item 1 and item 2 and chooses item 1 again; user 2 chose both, too
    positives = torch.tensor([0]), torch.tensor([1])
    found = neighbors()(torch.tensor([[1, 2]]), ALL, positives)[0, 1]
    both = chosen_by(1) & chosen_by(2)
    assert both == {1, 2}
    size = math.sqrt(len(chosen_by(1)) * len(chosen_by(2)))
    expected = math.log1p(30 * len(both - {1}) / size)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_history_that_is_not_training_is_not_taken_out():
    # user 4 had item 3 before, in a row that the counts do not have, and chooses item 2
    positives = torch.tensor([0]), torch.tensor([2])
    assert 4 not in chosen_by(3)
    history = torch.tensor([[3]])
    found = neighbors()(history, ALL, positives, torch.tensor([[False]]))
    seen = neighbors()(history, ALL)
    assert_close_relative(found, seen)


def test_a_neighbor_that_is_not_kept_is_not_taken_out():
    chosen = {1: (1, 2, 4), 2: (2, 3), 3: (1, 4), 4: (2, 3)}
    user = np.repeat(list(chosen), [len(items) for items in chosen.values()])
    model = neighbors(user, np.concatenate(list(chosen.values())), max_neighbors=1)
    # item 2 keeps item 3 and item 4 keeps item 1, which users 1 and 3 chose with it
    history, target = torch.tensor([[2, 4]]), torch.tensor([1])
    seen = model(history, ALL)[0, 1]
    assert seen.item() == pytest.approx(math.log1p(30 * 2 / 2), rel=1e-5)
    found = model(history, ALL, (torch.tensor([0]), target))[0, 1]
    assert found.item() == pytest.approx(math.log1p(30 * 1 / 2), rel=1e-5)


# ------------------------------------------------------------------ like history


def vectors(n_items=N_ITEMS, dim=4, rank=None, seed=0):
    rng = np.random.default_rng(seed)
    made = rng.normal(size=(n_items, rank or dim))
    if rank:
        made = made @ rng.normal(size=(rank, dim))
    made[0] = 0  # padding
    return torch.tensor(made, dtype=torch.float32)


def test_the_history_is_the_weighted_mean_of_normalised_vectors():
    texts, history = vectors(), torch.tensor([[1, 2, 5], [3, 4, 0], [2, 2, 0]])
    attention = torch.tensor([[1.0, -2.0, 0.5], [3.0, 1.0, 9.0], [0.0, 0.0, 0.0]])
    like = LikeHistory(texts)
    found = like(history, attention)
    for row in range(3):
        there = history[row] > 0
        weight = attention[row][there].exp()
        items = like.vectors[history[row][there]]
        expected = (weight[:, None] * items).sum(dim=0) / weight.sum()
        assert_close_relative(found[row], expected)


def test_no_history_is_like_nothing_and_has_no_gradient():
    attention = torch.randn(2, 3, requires_grad=True)
    history = torch.tensor([[0, 0, 0], [1, 2, 0]])
    about = LikeHistory(vectors())(history, attention)
    assert torch.equal(about[0], torch.zeros(4))
    about.sum().backward()
    assert torch.equal(attention.grad[0], torch.zeros(3))
    assert attention.grad[1, :2].abs().min() > 0 and attention.grad[1, 2] == 0


def half_whitened(texts):
    """Cosines after half a whitening, by the singular values of the centred vectors."""
    texts = texts.numpy().astype(np.float64)
    known = texts.any(axis=1)
    centred = np.where(known[:, None], texts - texts[known].mean(axis=0), 0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    left, values = left[:, values > 1e-6], values[values > 1e-6]
    found = np.where(known[:, None], left * np.sqrt(values), 0)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)


def test_vectors_are_compared_after_half_a_whitening():
    texts = vectors(n_items=60, dim=8)
    texts[:, 0] += 5.0  # what all items share says nothing of them
    found = LikeHistory(texts).vectors
    expected = half_whitened(texts)
    assert_close_relative(found @ found.T, expected @ expected.T, rtol=1e-4)
    plain = F.normalize(texts, dim=1)
    assert (plain @ plain.T)[1:, 1:].mean() > 0.5
    assert (found @ found.T)[1:, 1:].mean().abs() < 0.1


def test_an_item_without_a_vector_is_like_nothing():
    assert not LikeHistory(vectors()).vectors[0].any()


def test_of_many_dimensions_the_largest_components_are_kept():
    texts = vectors(n_items=280, dim=300, rank=40)
    found = LikeHistory(texts).vectors
    assert found.shape == (280, 40)
    expected = half_whitened(texts)
    assert_close_relative(found @ found.T, expected @ expected.T, rtol=1e-3)
    assert LikeHistory(vectors(n_items=400, dim=300)).vectors.shape == (400, 256)


def test_the_components_are_the_same_whenever_they_are_made():
    texts = vectors(n_items=280, dim=300)
    before = torch.get_rng_state()
    assert torch.equal(LikeHistory(texts).vectors, LikeHistory(texts).vectors)
    assert torch.equal(torch.get_rng_state(), before)
