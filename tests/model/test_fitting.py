"""Weights fitted on queries, beside an independent fit of the same likelihood."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn as nn
from recbole.data.interaction import Interaction
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from recbole_whisperlite.model.fitting import fit_weights
from recbole_whisperlite.model.score import Score


class Model(nn.Module):
    """Two terms of given values: one by request, which may not be negative, one by user."""

    REQUEST, HISTORY_LENGTH = "request", "history_length"
    reads_history = False
    term_names = ["memory", "towers"]

    def __init__(self, of_request, of_user, start=(1.0, 2.0)):
        super().__init__()
        self.of_request, self.of_user = map(torch.tensor, (of_request, of_user))
        self.n_items = len(of_user[0])
        self.logit_scale = torch.zeros(())
        self.term_weight = nn.Parameter(torch.tensor(start))
        self.register_buffer("fitted_weight", torch.zeros(3, 2))
        self.popularity = SimpleNamespace(frequency=torch.zeros(self.n_items))

    @property
    def weights(self):
        return dict(zip(self.term_names, self.term_weight.unbind()))

    def request_terms(self, request, candidates):
        yield "memory", Score(self.of_request[request][:, candidates.item])

    def user_terms(self, interaction, candidates):
        yield "towers", Score(self.of_user[interaction["user"]][:, candidates.item])


class Queries:
    """Batches as of full ranking: user u asks request u % 3."""

    def __init__(self, positives, excluded=None, step=3):
        self.queries, self.step = positives, step
        self.excluded = excluded or {}

    def collate_fn(self, index):
        def pairs(items):
            found = [(row, i) for row, q in enumerate(index) for i in items(q)]
            return torch.tensor(found, dtype=torch.long).reshape(-1, 2).unbind(dim=1)

        user = torch.tensor(index)
        length = torch.ones_like(user)
        return (
            Interaction({"user": user, "request": user % 3, "history_length": length}),
            pairs(lambda q: self.excluded.get(q, ())),
            *pairs(lambda q: self.queries[q]),
        )


def random_terms(n_queries, n_items, seed=0):
    rng = np.random.default_rng(seed)
    shapes = (3, n_items), (n_queries, n_items)
    return [rng.normal(size=shape).astype("f4") for shape in shapes]


def independent(of_request, of_user, queries, start=(1.0, 2.0)):
    """The most likely weights by a search that knows no gradients."""

    def cost(weight):
        total = ((np.array(weight) - start) ** 2).sum() / 2
        for q, positives in enumerate(queries.queries):
            score = weight[0] * of_request[q % 3] + weight[1] * of_user[q]
            never = {0, *positives, *queries.excluded.get(q, ())}
            others = [score[i] for i in range(len(score)) if i not in never]
            for item in positives:
                total += logsumexp([score[item], *others]) - score[item]
        return total

    bounds = [(0, None), (None, None)]
    return minimize(cost, start, method="Nelder-Mead", bounds=bounds).x


def choices(of_request, of_user, weight, n_positives, seed=0):
    """What users choose by chance with these weights, distinct items."""
    rng, found = np.random.default_rng(seed), []
    for q, row in enumerate(of_user):
        score = weight[0] * of_request[q % 3] + weight[1] * row
        score = score + rng.gumbel(size=len(score))
        score[0] = -np.inf
        found.append(np.argsort(-score)[: n_positives(q)].tolist())
    return found


@pytest.mark.parametrize("n_positives", [lambda q: 1, lambda q: q % 4])
def test_the_fit_is_that_of_an_independent_search(n_positives):
    terms = random_terms(20, 12)
    chosen = choices(*terms, (0.7, -1.5), n_positives)
    queries = Queries(chosen, excluded={2: [3, 4], 5: [1]})
    queries.queries = [
        [item for item in items if item not in queries.excluded.get(q, ())]
        for q, items in enumerate(chosen)
    ]
    model = Model(*terms)
    found = fit_weights(model, queries, 100)
    expected = independent(*terms, queries)
    assert list(found.values()) == pytest.approx(expected, abs=2e-3)
    for row in model.fitted_weight.tolist():
        assert row == pytest.approx(list(found.values()))
    assert model.term_weight.tolist() == [1, 2]
    assert abs(found["towers"] - 2) > 0.5


def test_one_weight_by_hand():
    """Of two items one has a term of 1; it is chosen three times of four."""
    of_user = np.array([[0, 1, 0]] * 4, dtype="f4")
    queries = Queries([[1], [1], [1], [2]])
    model = Model(np.zeros((3, 3), dtype="f4"), of_user)
    weight = fit_weights(model, queries, 10)["towers"]
    # where the likelihood and the prior around 2 pull with the same force
    assert 3 - 4 * expit(weight) == pytest.approx(weight - 2, abs=1e-3)


def test_where_queries_say_nothing_the_trained_weights_stay():
    terms = [np.zeros_like(each) for each in random_terms(4, 5)]
    found = fit_weights(Model(*terms), Queries([[1], [2], [3], [4]]), 10)
    assert list(found.values()) == pytest.approx([1, 2], abs=1e-6)


def test_a_term_of_counts_is_never_a_reason_against_an_item():
    terms = random_terms(60, 12)
    chosen = choices(*terms, (-3.0, -3.0), lambda q: 1)
    found = fit_weights(Model(*terms), Queries(chosen), 100)
    assert found["memory"] == 0 and found["towers"] < -1


@pytest.mark.parametrize("trained", [1.5, -1.0])
def test_the_weight_of_refusals_stays_as_it_was_trained(trained):
    terms = random_terms(60, 12)
    model = Model(*terms, start=(1.0, trained))
    model.term_names = ["memory", "refusals"]
    model.user_terms = lambda interaction, candidates: [
        ("refusals", Score(model.of_user[interaction["user"]]))
    ]
    found = fit_weights(model, Queries(choices(*terms, (3.0, 0.0), lambda q: 1)), 100)
    assert found["refusals"] == max(trained, 0) and found["memory"] > 1.5


def test_a_term_of_pairs_has_a_weight_for_what_is_seldom_and_one_for_what_is_frequent():
    """As two terms, of which one counts as far as an item is frequent."""
    rng = np.random.default_rng(0)
    _, of_user = random_terms(300, 12)
    frequency = rng.random(12).astype("f4")
    model = Model(*random_terms(300, 12), start=(0.0, 1.0))
    model.of_user = torch.tensor(of_user)
    model.term_names = ["memory", "history"]
    model.popularity.frequency = torch.tensor(frequency)
    model.user_terms = lambda interaction, candidates: [
        ("history", Score(model.of_user[interaction["user"]]))
    ]
    model.of_request.zero_()
    weight = 2.5 * (1 - frequency) - 1.5 * frequency
    nothing = np.zeros((3, 12), dtype="f4")
    chosen = choices(nothing, of_user * weight, (0, 1), lambda q: 1)
    found = fit_weights(model, Queries(chosen), 300)
    assert found["history"] == pytest.approx(2.5, abs=0.5)
    assert found["history of the frequent"] == pytest.approx(-1.5, abs=0.5)
    expected = [[0.0, found["history"]], [0.0, found["history of the frequent"]]]
    expected.append(expected[0])
    np.testing.assert_allclose(model.fitted_weight, expected, rtol=1e-6)


def test_users_without_a_history_have_weights_of_their_own():
    """The same queries, fitted once more without what the user's history says."""
    terms = random_terms(60, 12)
    queries = Queries(choices(*terms, (1.2, 3.0), lambda q: 1))
    model, (of_request, of_user) = Model(*terms), terms
    model.reads_history = True

    def user_terms(interaction, candidates):
        known = interaction["history_length"].unsqueeze(1) > 0
        yield "towers", Score(model.of_user[interaction["user"]] * known)

    model.user_terms = user_terms
    found = fit_weights(model, queries, 100)
    known = found["memory"], found["towers"]
    assert known == pytest.approx(independent(*terms, queries), abs=2e-3)
    nothing = np.zeros_like(of_user)
    expected, _ = independent(of_request, nothing, queries, start=known)
    assert found["memory without a history"] == pytest.approx(expected, abs=2e-3)
    assert abs(expected - known[0]) > 0.05
    alone = found["memory without a history"], found["towers"]
    np.testing.assert_allclose(model.fitted_weight, [known, known, alone], rtol=1e-6)


def test_items_that_are_drawn_stand_for_all():
    """Of 1,500 items, 200 are drawn beside the best 200."""
    terms = random_terms(60, 1500)
    queries = Queries(choices(*terms, (1.0, 1.0), lambda q: 1), step=25)
    found = fit_weights(Model(*terms, start=(1.0, 0.0)), queries, 100)
    expected = independent(*terms, queries, start=(1.0, 0.0))
    assert list(found.values()) == pytest.approx(expected, abs=0.05)


def test_no_more_queries_are_read_than_asked_for():
    terms, read = random_terms(20, 12), []
    queries = Queries(choices(*terms, (1.0, 1.0), lambda q: 1))
    collate = queries.collate_fn
    queries.collate_fn = lambda index: read.extend(index) or collate(index)
    fit_weights(Model(*terms), queries, 7)
    assert len(set(read)) == len(read) == 7


def test_a_catalogue_without_other_items_leaves_the_weights():
    terms = random_terms(4, 2)
    found = fit_weights(Model(*terms), Queries([[1], [1], [], [1]]), 10)
    assert list(found.values()) == pytest.approx([1, 2])
