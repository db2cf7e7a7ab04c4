"""Equal scores: no model gains by how the catalogue is numbered, or by the values of k."""

import numpy as np
import pytest
import torch
from fixed_scores import FullSort
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.trainer import Trainer
from scipy.stats import kendalltau
from tiny import write_tiny

from recbole_whisperlite.evaluation.rank_file import read_ranks
from recbole_whisperlite.evaluation.ties import TieOrder

N_ITEMS = 40


def names(n, first="n"):
    return np.array([f"{first}{number}" for number in range(n)])


def order_of(n_queries, items=None, seed=0):
    items = names(N_ITEMS) if items is None else items
    return TieOrder.of_tokens(seed, names(n_queries), names(n_queries), items)


def by_sorting(scores, ties):
    """All candidates of each query, best first, by sorting (score, key) in Python."""
    lists = []
    for query, row in enumerate(scores.tolist()):
        key = ties.keys(torch.tensor([query]), torch.arange(len(row))).tolist()
        found = [i for i in range(len(row)) if row[i] > -torch.inf]
        lists.append(sorted(found, key=lambda i: (-row[i], -key[i])))
    return lists


@pytest.fixture
def scores():
    # many ties, within and across the ends of lists; two rows have fewer candidates than k
    rng = torch.Generator().manual_seed(1)
    made = torch.randint(0, 6, (600, N_ITEMS), generator=rng).float()
    made[:200] = made[:200].clamp(max=3)
    made[200:300] = 0
    made[300:400] = torch.rand(100, N_ITEMS, generator=rng)
    made[:, 0] = -torch.inf
    made[400, 3:] = made[401, 2:] = -torch.inf
    return made


@pytest.mark.parametrize("k", [1, 5, N_ITEMS])
def test_the_best_are_those_of_a_sort_by_score_and_key(scores, k):
    ties = order_of(len(scores))
    value, item = ties.best(scores.clone(), k)
    torch.testing.assert_close(value, scores.gather(1, item))
    for row, expected in zip(item.tolist(), by_sorting(scores, ties)):
        length = min(k, len(expected))
        assert row[:length] == expected[:k]
        assert len(set(row)) == k


def test_places_are_those_of_the_sort(scores):
    ties = order_of(len(scores))
    expected = by_sorting(scores, ties)
    query = torch.arange(len(scores)).repeat_interleave(2)
    item = torch.tensor([listed[at] for listed in expected for at in (0, -1)])
    before = [at for listed in expected for at in (0, len(listed) - 1)]
    assert ties.places(scores, query, item).tolist() == before


def test_unequal_scores_are_never_exchanged():
    scores = 1 + torch.arange(N_ITEMS).flip(0) * torch.finfo(torch.float32).eps
    assert len(scores.unique()) == N_ITEMS
    item = order_of(1).best(scores[None], 10)[1]
    assert item.tolist() == [list(range(10))]


def test_the_order_belongs_to_external_ids_and_to_the_seed():
    permuted = np.random.default_rng(0).permutation(N_ITEMS)
    flat = torch.zeros(50, N_ITEMS)
    expected = order_of(50).best(flat, N_ITEMS)[1].numpy()
    found = order_of(50, names(N_ITEMS)[permuted]).best(flat, N_ITEMS)[1].numpy()
    assert (permuted[found] == expected).all()
    assert (order_of(50, seed=1).best(flat, N_ITEMS)[1].numpy() != expected).any()
    # queries have orders of their own, which have nothing to do with each other or the ids
    place = expected.argsort(axis=1)
    taus = [kendalltau(a, b)[0] for a, b in zip(place, place[1:])]
    assert abs(np.mean(taus)) < 3 * 0.11 / np.sqrt(49)  # deviation of tau for 40: .11
    assert abs(place.mean(axis=0) - 19.5).max() < 4 * 11.5 / np.sqrt(50)


class Flat(FullSort, GeneralRecommender):
    """Gives every item the same score."""

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.score.zero_()


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """300 users who all chose i1 last, in a catalogue of 41."""
    choices, requests = [], {}
    for user in range(300):
        for time, item in enumerate((40 + user % 2, user % 7 + 2, user % 9 + 9, 1)):
            request = f"r{user}-{time}"
            choices.append((f"u{user}", f"i{item}", request, time))
            requests[request] = "a hat"
    items = {f"i{n}": f"hat {n}" for n in range(1, 42)}
    return write_tiny(
        tmp_path_factory.mktemp("crowd"),
        choices=choices,
        requests=requests,
        items=items,
    )


def test_equal_scores_have_the_metrics_of_a_random_ranking(crowd, prepare):
    results, ranks = {}, {}
    for topk in ([10], [3, 10, 30]):
        config, _, (train, _, test) = prepare(
            Flat,
            crowd,
            topk=topk,
            valid_metric="NDCG@10",
            metric_decimal_place=8,
            unit_file="units.npz",
        )
        trainer = Trainer(config, Flat(config, train._dataset))
        results[len(topk)] = trainer.evaluate(test, load_best_model=False)
        ranks[len(topk)] = read_ranks("units.npz")["rank"]
    # one positive among 38 candidates: each rank is equally likely
    gain = np.zeros(38)
    gain[:10] = 1 / np.log2(np.arange(2, 12))
    error = gain.std() / np.sqrt(300)
    assert results[1]["ndcg@10"] == pytest.approx(gain.mean(), abs=3 * error)
    # the values of k change neither the metrics at 10 nor any rank
    at_10 = {name: value for name, value in results[3].items() if "@10" in name}
    assert at_10 == dict(results[1])
    assert (ranks[1] == ranks[3]).all()
    assert set(ranks[1]) == set(range(1, 39))


def test_sampled_candidates_are_ranked_by_the_same_order(crowd, prepare):
    args = {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "uni300"}
    found = []
    for mode in ({}, {"eval_args": args}):
        settings = {"unit_file": "units.npz", **mode}
        config, _, (train, _, test) = prepare(Flat, crowd, **settings)
        trainer = Trainer(config, Flat(config, train._dataset))
        trainer.evaluate(test, load_best_model=False)
        found.append(read_ranks("units.npz")["rank"])
    # 300 of 37 are all of them
    assert (found[0] == found[1]).all()
