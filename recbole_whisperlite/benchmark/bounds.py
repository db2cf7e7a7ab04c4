"""How wrong could a table be? Figures of its data and split that bound the worries.

``python -m recbole_whisperlite.benchmark.bounds --config_files=benchmark-hm`` takes the
settings of that benchmark, prepares its split as every model gets it, and prints the
figures that docs/how-this-could-be-wrong.md explains. Nothing is trained: what is ranked
here is ranked by counts.

NDCG@10 is here that of each chosen product, as in :mod:`.slices`; where each request has
one, it is the tables'. Where scores tie, it is the expectation over all orders.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import yaml
from scipy.sparse import csr_matrix, diags

from recbole_whisperlite.benchmark import statistics
from recbole_whisperlite.benchmark.plan import make_plan
from recbole_whisperlite.data.incidence import incidence
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation.ruled_out import ruled_out_items

if TYPE_CHECKING:
    from recbole_whisperlite.evaluation.queries import Queries

K = 10
_BATCH = 500
#: Of the best k = 0 … K, what a product gains that is at one of these ranks.
_GAIN = np.concatenate([[0], np.cumsum(1 / np.log2(np.arange(2, K + 2)))])


@dataclass(frozen=True)
class Split:
    """Training interactions and test queries, with internal ids.

    Attributes:
        user, item, text (numpy.ndarray): Of each training interaction, int64 ``[n]``;
            text 0: without a request.
        time (numpy.ndarray): Its time, float64 ``[n]``; None if the data have none.
        queries (Queries): The test queries.
        query_text, query_time (numpy.ndarray): Of each query, likewise.
        seen (scipy.sparse.csr_matrix): Items of each user before the test, bool
            ``[n_users, n_items]``.
        shape (tuple): Numbers of texts and items, padding included.
    """

    user: np.ndarray
    item: np.ndarray
    text: np.ndarray
    time: np.ndarray | None
    queries: Queries
    query_text: np.ndarray
    query_time: np.ndarray | None
    seen: csr_matrix
    shape: tuple[int, int]

    @property
    def wanted(self) -> tuple[np.ndarray, np.ndarray]:
        """Query and item of each positive, int64 ``[n_positives]`` each."""
        return self.queries.positives.nonzero()


def measure(split: Split, seed: int = 0) -> dict[str, float]:
    """Return the figures by name.

    Args:
        split (Split): From :func:`read`.
        seed (int): For the requests that are exchanged.
    """
    found = {
        "test queries": len(split.queries),
        "items": split.shape[1] - 1,
        **_requests(split, seed),
        **_time(split),
        **_products(split),
    }
    return {name: float(figure) for name, figure in found.items()}


def _requests(split, seed):
    """What the request alone gives away, and what ties are worth."""
    asked = split.text > 0
    counts = csr_matrix(
        (np.ones(asked.sum()), (split.text[asked], split.item[asked])), split.shape
    )
    popular = np.bincount(split.item, minlength=split.shape[1])
    backoff = popular / (popular.max() + 1)
    query, item = split.wanted
    text = split.query_text

    def ranked(score):
        return gains(split, score)

    by_request = ranked(lambda rows: counts[text[rows]].toarray() + backoff)
    match = ranked(lambda rows: (counts[text[rows]] > 0).toarray().astype(float))
    matching = np.diff((counts > 0).indptr)[text[query]]
    other = _exchanged(split, np.random.default_rng(seed))
    exchanged = ranked(lambda rows: counts[other[rows]].toarray() + backoff)
    by_popularity = ranked(lambda rows: np.tile(backoff, (len(rows), 1)))
    _, user = np.unique(split.queries.user[query], return_inverse=True)
    low, high = statistics.bootstrap_interval(by_request[0][:, None], user)[:, 0]
    return {
        "share of queries whose text was asked in training": np.mean(
            np.isin(text, split.text[asked])
        ),
        "products chosen in training for the query's text, median": np.median(matching),
        "NDCG@10, those products in random order": match[0].mean(),
        "NDCG@10, those products by how often (RequestPop)": by_request[0].mean(),
        "NDCG@10, the same with the text of another request of the user": exchanged[
            0
        ].mean(),
        "NDCG@10, without the request (popularity)": by_popularity[0].mean(),
        "RequestPop: ties ordered in the worst way": by_request[1].mean(),
        "RequestPop: ties ordered in the best way": by_request[2].mean(),
        "popularity: ties ordered in the worst way": by_popularity[1].mean(),
        "popularity: ties ordered in the best way": by_popularity[2].mean(),
        "RequestPop: half of the 95 % interval": (high - low) / 2,
    }


def _exchanged(split, rng):
    """Return for each query the text of a random training request of its user.

    A user without one gets no text, for which popularity ranks.
    """
    order = rng.permutation(np.flatnonzero(split.text > 0))
    of_user = np.zeros(split.seen.shape[0], dtype=np.int64)
    of_user[split.user[order]] = split.text[order]
    return of_user[split.queries.user]


def _time(split):
    if split.time is None:
        return {}
    later = len(split.time) - np.searchsorted(
        np.sort(split.time), split.query_time, side="right"
    )
    return {
        "share of training later than the query, mean": later.mean() / len(split.time),
        "share of training later than the query, at most": later.max()
        / len(split.time),
    }


def _products(split):
    """How much of what is wanted do the choices of others know?"""
    query, item = split.wanted
    popular = np.bincount(split.item, minlength=split.shape[1])
    chosen = incidence(split.user, split.item, split.seen.shape).astype(np.int32)
    together = chosen.T @ chosen  # how many users have both
    together.setdiag(0)
    known = split.seen[split.queries.user].astype(np.int32)
    scale = diags(1 / np.sqrt(np.maximum(popular, 1)))
    cosine = (scale @ together @ scale).tocsr()
    neighbors = gains(split, lambda rows: (known[rows] @ cosine).toarray())
    met = np.empty(len(query), dtype=bool)
    for rows in np.array_split(np.arange(len(query)), len(query) // _BATCH + 1):
        reached = known[query[rows]] @ together
        met[rows] = np.asarray(reached[np.arange(len(rows)), item[rows]]).ravel() > 0
    return {
        "NDCG@10, neighbours of the user's products (ItemKNN)": neighbors[0].mean(),
        "share of wanted products never chosen in training": np.mean(
            popular[item] == 0
        ),
        "share of wanted products that others had together with the user's": met.mean(),
        "share of queries whose user has no history": np.mean(
            np.diff(known.indptr)[query] == 0
        ),
    }


def answer_key(split: Split, met: np.ndarray) -> dict[str, float]:
    """Return what a ranker reaches that knows the answer key of stylist-mini.

    Args:
        split (Split): From :func:`read`.
        met (numpy.ndarray): The share of a query's wishes that an item meets, 0 if it has
            what the query rules out, float ``[n_queries, n_items]``.
    """
    expected = gains(split, lambda rows: met[rows])[0]
    return {
        "products that meet all wishes, median": np.median((met == 1).sum(axis=1)),
        "share of wanted products that meet all wishes": np.mean(
            met[split.wanted] == 1
        ),
        "NDCG@10, by the share of wishes met (answer key)": expected.mean(),
    }


def gains(
    split: Split, score: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return NDCG@10 of each positive, with ties in the mean, the worst and the best order.

    Args:
        split (Split): The queries and what is excluded for each.
        score (Callable): From queries, int64 ``[b]``, to their scores of all items,
            float ``[b, n_items]``.

    Returns:
        tuple: Three arrays float64 ``[n_positives]``, in the order of
        :attr:`Split.wanted`.
    """
    query, item = split.wanted
    above, equal = np.empty((2, len(query)), dtype=np.int64)
    for rows in np.array_split(
        np.arange(len(split.queries)), len(split.queries) // _BATCH + 1
    ):
        scores = score(rows).astype(float)
        scores[:, 0] = -np.inf  # padding
        scores[split.queries.excluded[rows].nonzero()] = -np.inf
        inside = np.flatnonzero((query >= rows[0]) & (query <= rows[-1]))
        for part in np.array_split(inside, len(inside) // _BATCH + 1):
            line = scores[query[part] - rows[0]]
            own = line[np.arange(len(part)), item[part]][:, None]
            above[part], equal[part] = (line > own).sum(1), (line == own).sum(1)
    ends = np.minimum(above, K), np.minimum(above + equal, K)
    expected = (_GAIN[ends[1]] - _GAIN[ends[0]]) / equal
    single = np.append(np.diff(_GAIN), 0)  # by rank from 0; nothing beyond K
    worst = single[np.minimum(above + equal - 1, K)]
    return expected, worst, single[ends[0]]


def read(settings: dict, dataset: str) -> tuple[Split, np.ndarray | None]:
    """Prepare a dataset as RecBole does for a general model.

    Args:
        settings (dict): Settings of a benchmark, for all rows.
        dataset (str): Its name.

    Returns:
        tuple: The split; and for a dataset with an answer key (stylist-mini) the
        ``met`` of :func:`answer_key`, else None.

    Raises:
        UserError: If the dataset has no requests.
    """
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation

    given = {"state": "ERROR", "train_neg_sample_args": None, **settings}
    config = Config("Pop", dataset, config_dict=given)
    train, _, test = data_preparation(config, create_dataset(config))
    train, data = train._dataset, test._dataset
    if not hasattr(data, "held_out"):
        raise UserError(f"The dataset '{dataset}' has no requests.")
    feat, asked = train.inter_feat, test.query_feat
    time = data.time_field in feat
    split = Split(
        user=feat[train.uid_field].numpy(),
        item=feat[train.iid_field].numpy(),
        text=feat[train.request_text_field].numpy(),
        time=feat[data.time_field].numpy() if time else None,
        queries=test.queries,
        query_text=asked[data.request_text_field].numpy(),
        query_time=asked[data.time_field].numpy() if time else None,
        seen=data.seen,
        shape=(len(data.request_texts), data.item_num),
    )
    return split, _wishes_met(data, test.queries)


def _wishes_met(data, queries):
    requests, items = data.request_file, data.item_file
    if requests is None or "wished" not in requests.columns:
        return None
    tokens = data.field2id_token[data.request_field][queries.request]
    catalogue = items.frame.reindex(data.field2id_token[data.iid_field], fill_value="")
    met = np.ones((len(tokens), len(catalogue)))
    for line, token in zip(met, tokens):
        by_column = {}
        for predicate in requests.frame.at[token, "wished"].split():
            column, _, value = predicate.partition("=")
            by_column.setdefault(column, []).append(value)
        if by_column:
            each = [catalogue[name].isin(by_column[name]) for name in by_column]
            line[:] = np.mean(each, axis=0)
    met[ruled_out_items(data)[queries.request].nonzero()] = 0
    return met


def main(argv: list[str] | None = None) -> int:
    """Print the figures of a benchmark's data.

    Args:
        argv (list of str, optional): The flags of ``recbole-whisperlite benchmark``.

    Returns:
        int: The exit status; 2 after a message about a user error.
    """
    flags = sys.argv[1:] if argv is None else argv
    try:
        made = make_plan([*flags, "--model=Pop"])
        given = (flag.removeprefix("--").partition("=") for flag in made.flags)
        own = {key: yaml.safe_load(value) for key, _, value in given}
        before, sys.argv = sys.argv, sys.argv[:1]  # RecBole reads them, too
        try:
            settings = {**made.settings, **own, "seed": made.seeds[0]}
            split, met = read(settings, made.dataset)
        finally:
            sys.argv = before
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    figures = measure(split)
    if met is not None:
        figures.update(answer_key(split, met))
    width = max(map(len, figures))
    for name, figure in figures.items():
        told = f"{figure:,.0f}" if figure == int(figure) > 1 else f"{figure:.4f}"
        print(f"{name:{width}}  {told:>9}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
