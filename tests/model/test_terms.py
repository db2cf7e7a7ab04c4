"""What training choices say beside texts, each beside a plain loop."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from close import assert_close_relative
from scipy.sparse import random as random_sparse

from recbole_whisperlite.model.nearest import NearestItem
from recbole_whisperlite.model.score import Score
from recbole_whisperlite.model.terms import (
    Candidates,
    LikeHistory,
    Neighbors,
    Popularity,
    Prior,
    RequestMemory,
    SparseRows,
    Transitions,
    shared_users,
)

# Eight choices of four users among five items; nobody chose item 5. User 1 took item
# 1 twice, and request 1 was asked four times. Id 0 is padding.
USER = np.array([1, 1, 1, 2, 2, 3, 3, 4])
REQUEST = np.array([1, 1, 2, 1, 3, 2, 3, 1])
ITEM = np.array([1, 1, 2, 1, 2, 2, 3, 4])
N_USERS, N_REQUESTS, N_ITEMS = 5, 5, 6
ALL = Candidates(torch.arange(N_ITEMS), N_ITEMS)


def dense(part):
    """A sparse matrix written out; each of its cells is there once."""
    assert len(part.cell.unique()) == len(part.cell)
    return Score(part).dense(part.shape)


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
    found = dense(SparseRows(matrix)(torch.tensor(row), candidates))
    np.testing.assert_allclose(found, matrix.toarray()[row][:, list(item)])


def test_several_rows_are_added_up_and_a_repeated_one_counts_twice(matrix):
    row = np.array([[1, 2, 3], [5, 5, 0], [4, 4, 4]])
    item = [8, 2, 5, 1]
    found = dense(
        SparseRows(matrix)(torch.tensor(row), Candidates(torch.tensor(item), 9))
    )
    expected = matrix.toarray()[row].sum(axis=1)[:, item]
    assert_close_relative(found, expected)


def test_an_empty_row_adds_nothing(matrix):
    full = matrix.toarray()
    full[0] = 0
    rows = SparseRows(full)
    found = dense(rows(torch.tensor([[0, 0], [0, 2]]), Candidates(ALL.item, 9)))
    np.testing.assert_allclose(found, np.stack([0 * full[2], full[2]])[:, :N_ITEMS])


def test_no_rows_make_an_empty_result(matrix):
    found = SparseRows(matrix)(
        torch.zeros(0, dtype=torch.long), Candidates(ALL.item, 9)
    )
    assert dense(found).shape == (0, N_ITEMS)


@pytest.mark.parametrize("item", [range(9), [4, 0, 7], [3]])
def test_the_largest_of_several_rows_is_taken_and_0_where_there_is_none(matrix, item):
    row = np.array([[1, 2, 3], [5, 5, 0], [4, 4, 4]])
    candidates = Candidates(torch.tensor(list(item)), 9)
    found = dense(SparseRows(matrix)(torch.tensor(row), candidates, largest=True))
    expected = matrix.toarray()[row].max(axis=1)[:, list(item)]
    assert expected.min() == 0 or len(item) < 9
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("largest", [False, True])
def test_written_out_by_rows_it_is_the_same_matrix(matrix, largest):
    row = torch.tensor([[1, 2, 3], [5, 5, 0], [4, 4, 4]])
    every = Candidates(torch.arange(9), 9)
    rows, weight = SparseRows(matrix), torch.rand(9)
    with torch.no_grad():
        found = rows.by_rows(row, every, largest, then=torch.log1p_)
    expected = rows(row, every, largest)
    expected = expected._replace(value=expected.value.log1p())
    found, expected = (
        (weight * Score(each)).dense((3, 9)) for each in (found, expected)
    )
    assert_close_relative(found, expected)


def test_few_cells_and_those_that_have_a_gradient_are_not_written_out(matrix):
    row, every = torch.tensor([[1, 2]]), Candidates(torch.arange(9), 9)
    assert SparseRows(matrix).by_rows(row, every) is None
    with torch.no_grad():
        assert SparseRows(matrix).by_rows(row, every) is not None
        some = Candidates(torch.arange(8), 9)
        assert SparseRows(matrix).by_rows(row, some) is None
        every = Candidates(torch.arange(900), 900)
        matrix.resize(7, 900)
        assert SparseRows(matrix).by_rows(row, every) is None


# -------------------------------------------------------------------- popularity


def popularity(**kwargs):
    """Items 1 to 5 were chosen 3 3 1 1 0 times: the four that were chosen, 2 on average."""
    model = Popularity(ITEM, N_ITEMS, **kwargs)
    with torch.no_grad():
        model.new_log_factor.fill_(math.log(0.5))
    return model


def test_popularity_is_the_log_count_and_that_of_a_new_item_a_share_of_the_average():
    score, is_new = popularity()(ALL)
    assert score.exp()[0].tolist()[1:] == pytest.approx([3.1, 3.1, 1.1, 1.1, 0.5 * 2.1])
    assert is_new.tolist()[1:] == [False, False, False, False, True]


def test_popularity_knows_what_was_not_in_the_catalogue():
    known = popularity(known_items=np.array([0, 1, 2, 3, 4])).in_catalogue
    assert known.tolist() == [False, True, True, True, True, False]
    assert popularity().in_catalogue.tolist() == [False] + [True] * 5


def test_a_target_has_one_choice_less():
    found = popularity().of_targets(torch.tensor([1, 3])).exp()
    assert found.tolist() == pytest.approx([2.1, 0.1])


def test_what_is_made_new_is_as_popular_as_a_new_item():
    some = Candidates(torch.tensor([4, 1, 2]), N_ITEMS)
    made_new = torch.tensor([False, True, False])
    score, is_new = popularity()(some, made_new)
    assert is_new.tolist() == made_new.tolist()
    assert score.exp()[0].tolist() == pytest.approx([1.1, 1.05, 3.1])


def test_only_new_items_teach_how_popular_new_items_are():
    model = popularity()
    for items, gradient in (([1, 2], 0), ([1, 5], 1)):
        model.zero_grad()
        model(Candidates(torch.tensor(items), N_ITEMS))[0].sum().backward()
        assert model.new_log_factor.grad.item() == gradient


# ---------------------------------------------------------------- request memory

NONE_NEW = torch.zeros(N_ITEMS, dtype=torch.bool)
#: What the towers expect: a fifth each of five items.
FIFTHS = torch.full((N_REQUESTS, N_ITEMS), 1 / 5).log()


def memory(user=USER, request=REQUEST, item=ITEM):
    term = RequestMemory(request, item, N_REQUESTS, N_ITEMS)

    def score(request, candidates, log_prior, is_new):
        prior = as_prior(log_prior, is_new)
        return term(request, candidates, prior).dense(log_prior.shape)

    return score


def as_prior(log_prior, is_new):
    """All of it said by the towers."""
    nothing = torch.zeros(1, log_prior.shape[1])
    return Prior(log_prior, nothing, torch.zeros(len(log_prior), 1), is_new)


def test_memory_is_the_smoothed_share_of_the_request():
    # request 1 has 4 choices, 3 of them of item 1 and 1 of item 4; 20 come from the prior
    score = memory()(torch.tensor([1]), ALL, FIFTHS[:1], NONE_NEW)
    expected = [7 / 24, 4 / 24, 4 / 24, 5 / 24, 4 / 24]
    assert score.exp()[0].tolist()[1:] == pytest.approx(expected)


def test_a_new_item_is_not_held_against_what_was_chosen_without_it():
    is_new = torch.tensor([False, False, False, False, False, True])
    score = memory()(torch.tensor([1]), ALL, FIFTHS[:1], is_new)
    # of the 20 of the prior alone
    expected = [7 / 24, 4 / 24, 4 / 24, 5 / 24, 4 / 20]
    assert score.exp()[0].tolist()[1:] == pytest.approx(expected)


def test_what_was_chosen_of_an_item_that_is_made_new_is_forgotten():
    is_new = torch.tensor([False, True, False, False, False, False])
    score = memory()(torch.tensor([1]), ALL, FIFTHS[:1], is_new)
    assert score.exp()[0, 1].item() == pytest.approx(4 / 20)


@pytest.mark.parametrize("spread", [0, 1, 8])
def test_memory_is_the_logarithm_of_a_distribution_if_the_prior_is(spread):
    prior = torch.log_softmax(spread * torch.randn(N_REQUESTS, N_ITEMS), dim=1)
    score = memory()(torch.arange(N_REQUESTS), ALL, prior, NONE_NEW)
    size = max(1, prior.abs().max())
    assert_close_relative(score.exp().sum(dim=1), torch.ones(N_REQUESTS), size=size)


def test_a_text_that_was_never_asked_is_ranked_by_the_prior():
    prior = torch.log_softmax(torch.randn(1, N_ITEMS), dim=1)
    score = memory()(torch.tensor([4]), ALL, prior, NONE_NEW)
    assert_close_relative(score, prior)


def test_choices_without_a_request_are_not_those_of_a_text():
    model = memory(request=np.zeros_like(REQUEST))
    score = model(torch.tensor([0, 1]), ALL, FIFTHS[:2], NONE_NEW)
    assert_close_relative(score, FIFTHS[:2])


def test_the_candidates_do_not_change_what_memory_says_of_an_item():
    some = Candidates(torch.tensor([4, 1]), N_ITEMS)
    request, prior = torch.tensor([1, 2, 1]), torch.randn(3, N_ITEMS)
    whole = memory()(request, ALL, prior, NONE_NEW)[:, some.item]
    found = memory()(request, some, prior[:, some.item], NONE_NEW[some.item])
    assert_close_relative(found, whole)


@pytest.mark.parametrize("choice", range(len(ITEM)))
def test_memory_without_the_own_choice_never_had_it(choice):
    request, item = torch.tensor([REQUEST[choice]]), torch.tensor([ITEM[choice]])
    prior = torch.log_softmax(torch.randn(1, N_ITEMS), dim=1)
    left = memory(*without(choice, USER, REQUEST, ITEM))
    expected = left(request, ALL, prior, NONE_NEW)[0]
    term = RequestMemory(REQUEST, ITEM, N_REQUESTS, N_ITEMS)
    found = memory()(request, ALL, prior, NONE_NEW)[0] + term.without_choice(request)
    found[item] = term.at(request, item, prior[0, item], left_out=1)
    assert_close_relative(found, expected)
    again = term.at(request, item, prior[0, item])  # memory itself is unchanged
    assert_close_relative(again, memory()(request, ALL, prior, NONE_NEW)[0, item])


def test_what_was_never_chosen_leaves_gradients_finite():
    prior = torch.randn(2, N_ITEMS, requires_grad=True)
    memory()(torch.tensor([1, 4]), ALL, prior, NONE_NEW).sum().backward()
    assert prior.grad.isfinite().all() and prior.grad.abs().min() > 0


# --------------------------------------------------------------------- neighbors


def neighbors(user=USER, item=ITEM, max_neighbors=100):
    model = Neighbors(user, item, N_USERS, N_ITEMS, max_neighbors)
    return lambda *args: dense(model(*args))


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
    expected, found = dense(full(history, every)), dense(few(history, every))
    for row in range(1, 12):
        kept = found[row] > 0
        assert kept.sum() == 3
        assert torch.equal(found[row, kept], expected[row, kept])
        assert expected[row, kept].min() >= expected[row, ~kept].max()


@pytest.mark.parametrize("most", [1, 50])
def test_many_pairs_of_items_are_counted_in_parts(most, monkeypatch):
    rng = np.random.default_rng(0)
    user, item = rng.integers(1, 30, 200), rng.integers(1, 12, 200)
    item[item == 5] = 6  # nobody chose 5
    whole = Neighbors(user, item, 30, 12, 3).scaled_cosine
    shared = shared_users(user, item, 30, 12, 3)
    monkeypatch.setattr("recbole_whisperlite.model.terms._MOST_PAIRS", most)
    parts = Neighbors(user, item, 30, 12, 3).scaled_cosine
    for name in ("begin", "item", "value"):
        assert torch.equal(getattr(parts, name), getattr(whole, name))
    assert (shared_users(user, item, 30, 12, 3) != shared).nnz == 0


def test_of_many_items_fewer_neighbors_are_kept_for_sums(monkeypatch):
    rng = np.random.default_rng(0)
    user, item = rng.integers(1, 30, 200), rng.integers(1, 12, 200)
    monkeypatch.setattr("recbole_whisperlite.model.terms._MOST_SHARED", 12 * 3 + 11)
    found = shared_users(user, item, 30, 12, 5)
    assert (np.diff(found.indptr)[1:] == 3).all()
    assert (found != shared_users(user, item, 30, 12, 3)).nnz == 0


@pytest.mark.parametrize("candidate", [[1, 2, 3, 4, 5], [3, 2]])
def test_the_own_choice_is_taken_out_of_the_number_of_users(candidate):
    """The denominators keep it: they belong to the items, not to the row."""
    candidates = Candidates(torch.tensor(candidate), N_ITEMS)
    # user 3 chose item 3 and had item 2; user 2 chose item 2 and had item 1
    user, target = [3, 2], [3, 2]
    history = torch.tensor([[2, 0], [1, 0]])
    positives = torch.arange(2), candidates.position[torch.tensor(target)]
    found = neighbors()(history, candidates, positives, torch.tensor(user))
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
    """Of random choices of five items each, which so count 1 / sqrt(4) for each pair."""
    rng = np.random.default_rng(1)
    had = {user: rng.permutation(np.arange(1, 12))[:5] for user in range(1, 30)}
    user = np.repeat(list(had), 5)
    model = Neighbors(user, np.concatenate(list(had.values())), 30, 12, 100)
    users = {i: {u for u in had if i in had[u]} for i in range(1, 12)}
    history = torch.tensor(np.stack([items[:4] for items in had.values()]))
    target = torch.tensor([items[4] for items in had.values()])
    candidates = Candidates(torch.arange(12), 12)
    positives = torch.arange(29), target
    found = dense(model(history, candidates, positives, torch.tensor([*had])))
    for row, (user, (*earlier, item)) in enumerate(had.items()):
        cosines = [
            0.5
            * len(users[item] & users[j] - {user})
            / math.sqrt(len(users[item]) * len(users[j]))
            for j in earlier
        ]
        expected = math.log1p(30 * sum(cosines))
        assert found[row, item].item() == pytest.approx(expected, abs=1e-4)


def test_an_item_that_is_chosen_again_loses_the_own_user_and_no_more():
    # user 1 had item 1 and item 2 and chooses item 1 again; user 2 chose both, too
    positives = torch.tensor([0]), torch.tensor([1])
    found = neighbors()(torch.tensor([[1, 2]]), ALL, positives, torch.tensor([1]))[0, 1]
    both = chosen_by(1) & chosen_by(2)
    assert both == {1, 2}
    size = math.sqrt(len(chosen_by(1)) * len(chosen_by(2)))
    expected = math.log1p(30 * len(both - {1}) / size)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_a_neighbor_that_is_not_kept_is_not_taken_out():
    chosen = {1: (1, 2, 4), 2: (2, 3), 3: (1, 4), 4: (2, 3)}
    user = np.repeat(list(chosen), [len(items) for items in chosen.values()])
    model = neighbors(user, np.concatenate(list(chosen.values())), max_neighbors=1)
    # item 2 keeps item 3 and item 4 keeps item 1, which users 1 and 3 chose with it; user
    # 1 has two other items beside each
    history, target = torch.tensor([[2, 4]]), torch.tensor([1])
    seen = model(history, ALL)[0, 1]
    both = 1 / math.sqrt(2) + 1
    assert seen.item() == pytest.approx(math.log1p(30 * both / 2), rel=1e-5)
    found = model(history, ALL, (torch.tensor([0]), target), torch.tensor([1]))[0, 1]
    assert found.item() == pytest.approx(math.log1p(30 * 1 / 2), rel=1e-5)


# ------------------------------------------------------------------ shared users


def test_items_share_users_as_lightgcn_normalises():
    chosen = {1: (1, 2), 2: (1, 2, 3), 3: (4,)}
    user = np.repeat(list(chosen), [len(items) for items in chosen.values()])
    item = np.concatenate(list(chosen.values()))
    found = shared_users(user, item, 4, 5, max_neighbors=10).toarray()
    # user 1 joins 1 and 2 with weight 1, user 2 three pairs with a half each: the degrees
    # are 2, 2 and 1
    expected = np.zeros((5, 5))
    expected[1, 2] = 1.5 / 2
    expected[1, 3] = expected[2, 3] = 0.5 / math.sqrt(2)
    np.testing.assert_allclose(found, expected + expected.T, rtol=1e-6)
    few = shared_users(user, item, 4, 5, max_neighbors=1).toarray()
    assert (few[1] > 0).tolist() == [False, False, True, False, False]


def test_a_weighted_sum_is_a_product_with_the_dense_matrix(matrix):
    table, row = torch.randn(9, 3, requires_grad=True), torch.tensor([3, 0, 3])
    found = SparseRows(matrix).weighted_sum(row, table)
    expected = torch.tensor(matrix.toarray())[row] @ table
    assert_close_relative(found, expected)
    found.sum().backward()
    assert_close_relative(table.grad[:, 0], matrix.toarray()[[3, 0, 3]].sum(axis=0))
    nothing = SparseRows(0 * matrix.toarray()).weighted_sum(row, table)
    assert torch.equal(nothing, torch.zeros(3, 3))


# ------------------------------------------------------------------- transitions

# user 1 chose the items 1 2 3, user 2 the items 1 2, user 3 the items 2 1; 4 5 stand alone
STEPS = np.array([(1, 2), (2, 3), (1, 2), (2, 1)]).T
CHOSEN = np.array([1, 2, 3, 1, 2, 2, 1, 4, 5])


def transitions():
    model = Transitions(*STEPS, CHOSEN, N_ITEMS)
    return lambda *args: dense(model(*args))


def test_transitions_count_what_followed_the_latest_item():
    found = transitions()(torch.tensor([1, 2, 3, 0]), ALL)
    expected = torch.zeros(4, N_ITEMS)
    # the items 1 and 2 were chosen three times each, item 3 once
    expected[0, 2] = math.log(1 + 30 * 2 / 3)
    expected[1, 1] = math.log(1 + 30 * 1 / 3)
    expected[1, 3] = math.log(1 + 30 * 1 / math.sqrt(3))
    assert_close_relative(found, expected)


def test_the_own_step_is_taken_out_of_transitions():
    some = Candidates(torch.tensor([3, 2, 1]), N_ITEMS)
    latest = torch.tensor([1, 2, 1])
    positives = torch.tensor([0, 1]), torch.tensor([1, 0])  # 1 then 2, and 2 then 3
    found = transitions()(latest, some, positives)
    assert found[0].tolist() == pytest.approx([0, math.log(1 + 30 * 1 / 3), 0])
    left = [0, 0, math.log(1 + 30 * 1 / 3)]  # nobody else went from 2 to 3
    assert found[1].tolist() == pytest.approx(left, abs=1e-5)
    assert found[2].tolist() == pytest.approx([0, math.log(1 + 30 * 2 / 3), 0])


def test_a_target_without_history_follows_nothing():
    found = transitions()(
        torch.tensor([0]), ALL, (torch.tensor([0]), torch.tensor([1]))
    )
    assert torch.equal(found, torch.zeros(1, N_ITEMS))


# ------------------------------------------------------------------ nearest item


def on_circle(*degrees):
    """Vectors at these angles, and one of padding before them."""
    angle = torch.tensor(degrees).deg2rad()
    vectors = torch.stack([angle.cos(), angle.sin()], dim=1)
    return torch.cat([torch.zeros(1, 2), vectors])


def nearest(vectors, history, k, **kwargs):
    model = NearestItem(vectors, k, **kwargs)
    every = Candidates(torch.arange(len(vectors)), len(vectors))
    return dense(model(torch.tensor(history), every))


def cos(degrees):
    return math.cos(math.radians(degrees))


def test_an_item_is_as_near_as_the_nearest_of_the_history():
    vectors = on_circle(0.0, 20.0, 50.0, 70.0)
    found = nearest(vectors, [[1, 4], [1, 0], [0, 0]], k=10)
    # an item is not near itself
    both = [0, cos(70), cos(20), cos(20), cos(70)]
    assert found[0].tolist() == pytest.approx(both, abs=1e-6)
    assert found[1].tolist() == pytest.approx([0, 0, cos(20), cos(50), cos(70)])
    assert not found[2].any()


def test_only_the_nearest_of_each_item_of_the_history_count():
    vectors = on_circle(0.0, 20.0, 50.0, 70.0)
    found = nearest(vectors, [[1], [4]], k=1)
    assert found[0].tolist() == pytest.approx([0, 0, cos(20), 0, 0])
    assert found[1].tolist() == pytest.approx([0, 0, 0, cos(20), 0])


def test_what_points_away_is_not_near():
    assert not nearest(on_circle(0.0, 120.0), [[1], [2]], k=10).any()


def test_new_items_take_no_place_among_the_nearest():
    """Item 5 comes after training, between the others; item 6 is further away than kept."""
    known = np.array([0, 1, 2, 3, 4])
    vectors = on_circle(0.0, 20.0, 50.0, 70.0, 10.0, 85.0)
    found = nearest(vectors, [[1], [4], [5]], k=2, known_items=known)
    before = nearest(vectors[:5], [[1], [4]], k=2)
    assert_close_relative(found[:2, :5], before)
    # of item 1 the items 2 and 3 are kept, and the new one, which is nearer
    assert found[0, 5:].tolist() == pytest.approx([cos(10), 0])
    # of item 4 the items 3 and 2 are kept, and the one at 85 degrees
    assert found[1, 5:].tolist() == pytest.approx([0, cos(15)])
    # a new item in the history has the known ones for its nearest
    assert found[2].tolist() == pytest.approx(
        [0, cos(10), cos(10), 0, 0, 0, 0], abs=1e-6
    )


def test_many_items_are_compared_in_parts(monkeypatch):
    vectors = F.normalize(torch.randn(50, 8), dim=1)
    vectors[0] = 0
    history = [[n, 50 - n] for n in range(1, 50)]
    whole = nearest(vectors, history, k=5)
    monkeypatch.setattr("recbole_whisperlite.model.nearest.MOST_COSINES", 350)
    assert_close_relative(nearest(vectors, history, k=5), whole)
    assert ((whole > 0).sum(dim=1) <= 10).all()


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
