r"""
recbole_whisperlite.model.nearest
#################################
The vectors that are nearest to each of many; and a term that compares items so

All pairs of a million vectors would be 10^12 cosines. So only up to some ten thousand are
compared with all; of more, each is compared with those of a few clusters, which grows
linearly: the inverted file of Sivic and Zisserman, "Video Google: A Text Retrieval Approach
to Object Matching in Videos", ICCV 2003. It finds most of the nearest, not all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn as nn
from scipy.sparse import csr_matrix
from sklearn.cluster import MiniBatchKMeans
from tqdm import tqdm

from recbole_whisperlite.model.score import ByRows, Sparse
from recbole_whisperlite.model.terms import Candidates, SparseRows

#: The most cosines in memory at once: 64 MB as float32.
MOST_COSINES = 2**24
#: Each vector is compared with all of them if there are no more.
MOST_COMPARED = 2**15
#: Of more: the vectors of a cluster, on average, and the clusters that each is compared with.
CLUSTER_SIZE, N_CLUSTERS = 256, 12
#: Vectors that are as near as the last one that counts, but for rounding, count too.
ROUNDING = 1e-6
# By so many vectors, for each cluster and in all, the clusters are found at most.
_SAMPLE, _MOST_SAMPLED = 64, 2**17
# Vectors whose nearest are looked for at once in clusters.
_STEP = 2**15
_SEED = 2020


class Nearest(NamedTuple):
    r"""The nearest of some vectors, in any order.

    - row(torch.LongTensor): These vectors, shape: [m]
    - of(torch.LongTensor): Whose, as a position in ``row``, shape: [n_found]
    - column(torch.LongTensor): The row of a vector that is near, shape: [n_found]
    - cosine(torch.FloatTensor): Above 0, shape: [n_found]
    """

    row: torch.LongTensor
    of: torch.LongTensor
    column: torch.LongTensor
    cosine: torch.FloatTensor

    def matrix(self, n_columns: int) -> csr_matrix:
        r"""csr_matrix: The cosines, float32, shape: [m, n_columns]."""
        place = self.of.numpy(), self.column.numpy()
        shape = len(self.row), n_columns
        return csr_matrix((self.cosine.numpy(), place), shape=shape)


def nearest(
    vectors: torch.FloatTensor, among: torch.LongTensor, k: int, name: str
) -> Iterator[Nearest]:
    r"""Find the ``k`` vectors with the largest cosine to each, and all that are as near as the
    last of them.

    Only cosines above 0 count, and no vector is near to itself. Where vectors are compared
    with those of some clusters only, no more than 2 ``k`` are found.

    Args:
        vectors (torch.FloatTensor): Of unit length or 0, shape: [n, dim]
        among (torch.LongTensor): The rows that may be found, shape: [n_among]
        k (int): How many
        name (str): What the progress bar says

    Yields:
        Nearest: Of some rows; every row with a vector is in one
    """
    row = vectors.any(dim=1).nonzero().squeeze(1)
    among = among[vectors[among].any(dim=1)]
    k = min(k, len(among))
    if not k:
        return
    search = _of_all if len(among) <= MOST_COMPARED else _of_clusters
    with tqdm(total=len(row), desc=name, delay=1, disable=None) as bar:
        for found in search(vectors, row, among, k):
            yield found
            bar.update(len(found.row))


def as_near(
    vectors: torch.FloatTensor, others: torch.LongTensor, found: Nearest, k: int
) -> Nearest:
    r"""Find those of other vectors that are at least as near as the last of ``k``.

    Args:
        vectors (torch.FloatTensor): As for :func:`nearest`
        others (torch.LongTensor): Their rows, which were not among those that were found,
            shape: [n_others]
        found (Nearest): The ``k`` nearest of some rows; where there are fewer, all others
            whose cosine is above 0 are near
        k (int): How many

    Returns:
        Nearest: Of the same rows
    """
    n_found = torch.bincount(found.of, minlength=len(found.row))
    least = torch.ones(len(found.row)).scatter_reduce_(
        0, found.of, found.cosine, reduce="amin"
    )
    least = torch.where(n_found >= k, least, 0).unsqueeze(1)
    parts, of_others = [], vectors[others].transpose(0, 1)
    position = torch.arange(len(found.row))
    for part in position.split(max(MOST_COSINES // len(others), 1)):
        own = found.row[part]
        cosine = torch.matmul(vectors[own], of_others)
        kept = (cosine >= least[part] - ROUNDING) & (cosine > 0)
        kept &= own.unsqueeze(1) != others
        of, column = torch.where(kept)
        parts.append((part[of], others[column], cosine[kept]))
    return Nearest(found.row, *map(torch.cat, zip(*parts)))


def assembled(
    blocks: list[tuple[np.ndarray, csr_matrix]], shape: tuple[int, int]
) -> csr_matrix:
    r"""Put blocks of rows together; rows of none are empty.

    Args:
        blocks (list): The rows and what is in them, [m] and [m, n_columns]; it is emptied,
            so that only one block is in memory twice
        shape (tuple): Of the result

    Returns:
        scipy.sparse.csr_matrix: float32
    """
    length = np.zeros(shape[0], dtype=np.int64)
    for row, block in blocks:
        length[row] = np.diff(block.indptr)
    begin = np.concatenate([[0], np.cumsum(length)])
    item, value = np.empty(begin[-1], np.int32), np.empty(begin[-1], np.float32)
    while blocks:
        row, block = blocks.pop()
        shift = np.repeat(begin[row] - block.indptr[:-1], np.diff(block.indptr))
        place = np.arange(block.nnz) + shift
        item[place], value[place] = block.indices, block.data
    return csr_matrix((value, item, begin), shape=shape)


class NearestItem(nn.Module):
    r"""NearestItem compares items with that item of the history which is most like it.

    The score is the largest cosine of an item with an item of the history; it is 0 where
    the two are not among each other's nearest, as most pairs are not. Where a mean looks
    for one garment between a coat and a bathing suit, this finds the next coat.

    Args:
        - vectors(torch.FloatTensor): Of the items, of unit length, shape: [n_items, dim]
        - max_neighbors(int): The number of nearest items kept of each item
        - known_items(numpy.ndarray): Items that may be kept whatever the others are, for a
          model that is loaded with new ones, shape: [n_known]; of the others those that are
          at least as near. Default: all
    """

    def __init__(self, vectors, max_neighbors, known_items=None):
        super(NearestItem, self).__init__()
        is_known = torch.ones(len(vectors), dtype=torch.bool)
        if known_items is not None:
            is_known[:] = False
            is_known[known_items] = True
        is_known[0] = False  # padding
        known, others = torch.where(is_known)[0], torch.where(~is_known)[0][1:]
        k, blocks, n = min(max_neighbors, len(known)), [], len(vectors)
        for found in nearest(vectors, known, k, "items that are alike"):
            near = found.matrix(n)
            if len(others):
                near = near + as_near(vectors, others, found, k).matrix(n)
            blocks.append((found.row.numpy(), near))
        self.cosine = SparseRows(assembled(blocks, (n, n)))

    def forward(
        self, history: torch.LongTensor, candidates: Candidates
    ) -> Sparse | ByRows:
        r"""Score candidates.

        Args:
            history (torch.LongTensor): Items, padded by 0, shape: [n, length]
            candidates (Candidates): The items

        Returns:
            Sparse or ByRows: shape: [n, n_candidates]
        """
        found = self.cosine.by_rows(history, candidates, largest=True)
        if found is not None:
            return found
        return self.cosine(history, candidates, largest=True)


def _of_all(vectors, row, among, k):
    r"""The nearest of all."""
    others = vectors[among].transpose(0, 1)
    column = torch.full((len(vectors),), -1)
    column[among] = torch.arange(len(among))
    for own in row.split(max(MOST_COSINES // len(among), 1)):
        cosine = torch.matmul(vectors[own], others)
        itself = torch.where(column[own] >= 0)[0]
        cosine[itself, column[own[itself]]] = 0
        # more than k, since most that tie for the last place are few
        value, found = cosine.topk(min(2 * k, len(among)), dim=1)
        kept = _kept(value, k)
        if len(among) > value.shape[1] and kept[:, -1].any():
            least = value[:, k - 1 : k] - ROUNDING
            kept = (cosine >= least) & (cosine > 0)
            of, found = torch.where(kept)
            yield Nearest(own, of, among[found], cosine[kept])
        else:
            of = torch.where(kept)[0]
            yield Nearest(own, of, among[found[kept]], value[kept])


def _of_clusters(vectors, row, among, k):
    r"""The nearest of those in clusters near to each."""
    centre = _centres(vectors, among)
    cluster = torch.cat(
        [_clusters(vectors[own], centre, 1).squeeze(1) for own in among.split(_STEP)]
    )
    members = _split(cluster, among, len(centre))
    for own in row.split(_STEP):
        near = _clusters(vectors[own], centre, min(N_CLUSTERS, len(centre)))
        of = torch.arange(len(own)).repeat_interleave(near.shape[1])
        value = torch.zeros(len(own), 2 * k)
        found = torch.zeros(len(own), 2 * k, dtype=torch.long)
        for of_cluster, column in zip(_split(near.flatten(), of, len(centre)), members):
            if not (len(of_cluster) and len(column)):
                continue
            asking = own[of_cluster]
            cosine = torch.matmul(vectors[asking], vectors[column].transpose(0, 1))
            cosine[asking.unsqueeze(1) == column] = 0
            before = value[of_cluster], found[of_cluster]
            value[of_cluster], best = torch.cat([before[0], cosine], dim=1).topk(2 * k)
            column = torch.cat([before[1], column.expand_as(cosine)], dim=1)
            found[of_cluster] = column.gather(1, best)
        kept = _kept(value, k)
        yield Nearest(own, torch.where(kept)[0], found[kept], value[kept])


def _kept(value, k):
    r"""Whether each of the largest values, in falling order, is one of the nearest."""
    return (value >= value[:, k - 1 : k] - ROUNDING) & (value > 0)


def _centres(vectors, among):
    n = len(among) // CLUSTER_SIZE
    random = np.random.default_rng(_SEED)
    sample = min(len(among), _SAMPLE * n, _MOST_SAMPLED)
    sample = among[np.sort(random.choice(len(among), sample, replace=False))]
    means = MiniBatchKMeans(
        n, init="random", n_init=1, batch_size=4096, max_iter=10, random_state=_SEED
    )
    return torch.from_numpy(means.fit(vectors[sample].numpy()).cluster_centers_)


def _clusters(vectors, centre, n):
    r"""The clusters whose centres are nearest to each vector, shape: [n_vectors, n]."""
    half_square = (centre**2).sum(dim=1) / 2
    near = []
    for part in vectors.split(max(MOST_COSINES // len(centre), 1)):
        closeness = torch.matmul(part, centre.transpose(0, 1)) - half_square
        near.append(closeness.topk(n, dim=1)[1])
    return torch.cat(near)


def _split(cluster, row, n):
    r"""The rows of each of n clusters."""
    order = torch.argsort(cluster, stable=True)
    return row[order].split(torch.bincount(cluster, minlength=n).tolist())
