"""The nearest vectors, beside a comparison of all pairs."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from scipy.sparse import random as random_sparse

from recbole_whisperlite.model import nearest as module
from recbole_whisperlite.model.nearest import as_near, assembled, nearest

N, K = 600, 10


@pytest.fixture
def vectors():
    """Around thirty directions; row 0 and two others are none."""
    generator = torch.Generator().manual_seed(0)
    middle = torch.randn(30, 16, generator=generator)
    rows = middle[torch.randint(30, (N,), generator=generator)]
    rows = F.normalize(rows + torch.randn(N, 16, generator=generator) / 2, dim=1)
    rows[[0, 7, 300]] = 0
    return rows


def all_pairs(vectors, among):
    """The K nearest of each, as sets."""
    cosine = vectors @ vectors[among].T
    cosine[among, torch.arange(len(among))] = 0
    best = cosine.topk(K)
    return [
        {int(among[c]) for c, v in zip(column, value) if v > 0}
        for column, value in zip(best.indices, best.values)
    ]


def found_of(vectors, among, k=K):
    found, rows = {}, []
    for each in nearest(vectors, among, k, "test"):
        rows += each.row.tolist()
        for of, column, cosine in zip(each.of, each.column, each.cosine):
            row = int(each.row[of])
            found.setdefault(row, {})[int(column)] = float(cosine)
    assert sorted(rows) == vectors.any(dim=1).nonzero().squeeze(1).tolist()
    return found


@pytest.mark.parametrize("step", [100, 2**24])
@pytest.mark.parametrize("among", [range(N), range(0, N, 3)])
def test_they_are_those_of_all_pairs(vectors, among, step, monkeypatch):
    monkeypatch.setattr(module, "MOST_COSINES", step)
    among = torch.tensor(among)
    found, expected = found_of(vectors, among), all_pairs(vectors, among)
    for row in range(N):
        assert set(found.get(row, ())) == (expected[row] if row in found else set())
        for column, cosine in found.get(row, {}).items():
            assert cosine == pytest.approx(float(vectors[row] @ vectors[column]))


@pytest.fixture
def clusters(monkeypatch):
    monkeypatch.setattr(module, "MOST_COMPARED", 100)
    monkeypatch.setattr(module, "CLUSTER_SIZE", 20)
    monkeypatch.setattr(module, "_STEP", 250)
    return lambda n: monkeypatch.setattr(module, "N_CLUSTERS", n)


def test_of_all_clusters_they_are_those_of_all_pairs(vectors, clusters):
    clusters(1000)
    among = torch.arange(0, N, 2)
    found, expected = found_of(vectors, among), all_pairs(vectors, among)
    assert len(found) == N - 3
    assert all(set(found[row]) == expected[row] for row in found)


def test_most_of_them_are_in_a_few_clusters(vectors, clusters):
    among, shares = torch.arange(N), []
    expected = all_pairs(vectors, among)
    for n in (1, 4):
        clusters(n)
        found = found_of(vectors, among)
        shares.append(
            np.mean([len(expected[row] & {*found[row]}) / K for row in found])
        )
    assert shares[0] < shares[1] and shares[1] > 0.9
    assert found == found_of(vectors, among)  # and always the same ones


@pytest.mark.parametrize("of_clusters", [False, True])
def test_what_is_as_near_as_the_last_one_counts(of_clusters, clusters, monkeypatch):
    if not of_clusters:
        monkeypatch.setattr(module, "MOST_COMPARED", N)
    angle = torch.cat([torch.zeros(4), torch.linspace(1, 3, 200)])
    vectors = torch.stack([angle.cos(), angle.sin()], dim=1)
    found = found_of(vectors, torch.arange(len(vectors)), k=2)
    assert all({*found[row]} == {0, 1, 2, 3} - {row} for row in range(4))


def test_without_vectors_there_is_nothing_near():
    assert not list(nearest(torch.zeros(5, 3), torch.arange(5), 2, "test"))
    assert not list(nearest(torch.eye(3), torch.zeros(0, dtype=torch.long), 2, "test"))


def test_others_are_near_if_the_last_of_those_found_is_no_nearer(vectors):
    known, others = torch.arange(0, N, 2), torch.arange(1, N, 2)
    (found,) = nearest(vectors, known, K, "test")
    near = as_near(vectors, others, found, K).matrix(N).toarray()
    cosine = (vectors @ vectors.T).fill_diagonal_(0)
    least = cosine[:, known].topk(K).values[:, -1:]
    expected = torch.where((cosine >= least - 1e-6) & (cosine > 0), cosine, 0)
    expected[:, known] = 0
    np.testing.assert_allclose(near, expected[found.row].numpy(), rtol=1e-5)
    assert near.any()


def test_blocks_of_rows_are_put_together():
    whole = csr_matrix(random_sparse(9, 5, density=0.4, random_state=0))
    rows = np.array([8, 1, 3]), np.array([0, 5])
    blocks = [(row, whole[row]) for row in rows]
    expected = np.zeros((9, 5))
    for row in rows:
        expected[row] = whole.toarray()[row]
    np.testing.assert_allclose(assembled(blocks, (9, 5)).toarray(), expected, rtol=1e-6)
    assert assembled([], (4, 3)).shape == (4, 3)
