"""``unit_file``: the test results of each query, for statistics and for inspection.

An ``.npz`` without pickled objects. Its order does not depend on the model, so that the
files of two models with the same test set can be compared entry by entry:

==================  ========================  ==========================================
array               dtype and shape           meaning
==================  ========================  ==========================================
``tokens``          str ``[1 + n_items]``     the catalogue: "", then sorted item tokens
``user``            str ``[n_queries]``       user token
``request``         str ``[n_queries]``       request token
``text``            int64 ``[n_queries]``     index of the request's text in ``texts``
``texts``           uint8                     UTF-8 of a JSON list: the distinct texts
``words``           int64 ``[n_queries]``     number of words of the request, split at
                                              white space
``history``         int64 ``[n_queries]``     number of interactions of the user in
                                              earlier phases
``asked``           int64 ``[n_queries]``     number of training interactions with the
                                              same request text
``positive_unit``   int64 ``[n_positives]``   query of each positive, ascending
``positive_item``   int64 ``[n_positives]``   its item, as an index into ``tokens``
``popularity``      int64 ``[n_positives]``   its number of interactions in training
``rank``            int32 ``[n_positives]``   its rank among the candidates, from 1
``top``             int32 ``[n_queries, K]``  the best K = max(topk) items, best first,
                                              as indexes into ``tokens``; 0 at the end
                                              if there are fewer candidates
==================  ========================  ==========================================

Queries are sorted by user and request, the positives of a query by item. ``rank`` is
1 + the number of candidates with a greater score, or with an equal one that the query's
random order (:mod:`recbole_whisperlite.evaluation.ties`) puts before it. Metrics computed
from it equal RecBole's. (A query was called a unit when this format was made; its names
were kept. Files of version 0.1 have no ``asked``.)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation.processes import gathered, of_each_process
from recbole_whisperlite.files import whole_file

if TYPE_CHECKING:
    from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader

    from recbole_whisperlite.evaluation.ties import TieOrder


class QueryRanks:
    """Collects ranks and best items, batch by batch, during an evaluation."""

    def __init__(self):
        self._query, self._item, self._rank, self._top = [], [], [], []
        self._seen = 0

    def collect(
        self,
        scores: torch.Tensor,
        best: tuple[torch.Tensor, torch.Tensor],
        positive_u: torch.Tensor,
        positive_i: torch.Tensor,
        ties: TieOrder,
    ) -> None:
        """Add one batch.

        Args:
            scores (torch.Tensor): float ``[n_queries, n_items]``, -inf for items that
                are not candidates.
            best (tuple of torch.Tensor): Scores and ids of the best items, as
                :meth:`TieOrder.best` returns them, ``[n_queries, k]``.
            positive_u, positive_i (torch.Tensor): Row and item of each positive, int64
                ``[n_positives]``.
            ties (TieOrder): The order of equal scores.
        """
        score, top = best
        positive_u = positive_u.to(scores.device)
        positive_i = positive_i.to(scores.device)
        listed = top[positive_u] == positive_i[:, None]
        position = listed.int().argmax(dim=1)
        before = ties.places(scores, positive_u, positive_i).clamp(min=top.shape[1])
        rank = torch.where(listed.any(dim=1), position, before) + 1
        self._query.append((positive_u + self._seen).cpu())
        self._item.append(positive_i.cpu())
        self._rank.append(rank.cpu())
        self._top.append(top.masked_fill(score == -torch.inf, 0).cpu())
        self._seen += len(scores)

    def gather(self) -> None:
        """Add what the other processes have collected, all of which call this: each has had
        one query in turn."""
        n, rank = dist.get_world_size(), dist.get_rank()
        self._query = of_each_process(n * torch.cat(self._query) + rank)
        self._item = of_each_process(torch.cat(self._item))
        self._rank = of_each_process(torch.cat(self._rank))
        self._top = [gathered(torch.cat(self._top))]

    def arrays(self) -> tuple[np.ndarray, ...]:
        """Return the positives with their ranks, and the best items of each query.

        Returns:
            tuple of numpy.ndarray: Query (in the order of the evaluation), internal
            item id and rank (from 1), int64 ``[n_positives]`` each; internal item ids,
            best first, int64 ``[n_queries, k]``.
        """
        parts = (self._query, self._item, self._rank, self._top)
        return tuple(torch.cat(part).numpy() for part in parts)


def refuse_values(scores: torch.Tensor) -> None:
    """Raise a UserError for scores that are no matrix, because metrics are value metrics."""
    if scores.dim() != 2:
        raise UserError(
            "unit_file stores ranks, but value metrics (AUC, LogLoss, …) do not "
            "rank items. Choose ranking metrics, or remove unit_file."
        )


def write_ranks(
    path: str | Path, eval_data: AbstractDataLoader, ranks: QueryRanks
) -> None:
    """Write ``unit_file``.

    Args:
        path (str or Path): The file.
        eval_data (AbstractDataLoader): The test dataloader, a ``RequestEvalMixin``.
        ranks (QueryRanks): What was collected in its evaluation.

    Raises:
        UserError: If the dataset has no requests, so that there are no queries.
    """
    dataset = eval_data._dataset
    if not hasattr(dataset, "held_out"):
        raise UserError(
            f"unit_file: dataset '{dataset.dataset_name}' has no requests, so there "
            "are no queries (user, request) whose ranks could be written. Set "
            "request_template to compose requests from its item columns."
        )
    queries = eval_data.queries
    users, items = (
        dataset.field2id_token[field].astype(str)
        for field in (dataset.uid_field, dataset.iid_field)
    )
    items[0] = ""  # sorts first, because no token is empty
    tokens, token = np.unique(items, return_inverse=True)
    requests = dataset.field2id_token[dataset.request_field].astype(str)
    query, item, rank, top = ranks.arrays()
    # Not taken from the inputs of the model: sequential datasets have no rows for first
    # interactions, and for context models texts that are not in training are padding.
    text_id = dataset.text_of_request[queries.request]
    order = np.lexsort((requests[queries.request], users[queries.user]))
    position = np.argsort(order)[query]
    by_position = np.lexsort((token[item], position))
    ids, text = np.unique(text_id[order], return_inverse=True)
    texts = [dataset.request_texts[id_] for id_ in ids]
    content = {
        "tokens": tokens,
        "user": users[queries.user][order],
        "request": requests[queries.request][order],
        "text": text,
        "texts": np.frombuffer(json.dumps(texts).encode(), dtype=np.uint8),
        "words": np.array([len(text.split()) for text in texts])[text],
        "history": dataset.seen_counts()[queries.user][order],
        "asked": dataset.training_text_counts()[text_id[order]],
        "positive_unit": position[by_position],
        "positive_item": token[item][by_position],
        "popularity": dataset.training_counts()[item][by_position],
        "rank": rank[by_position].astype(np.int32),
        "top": token[top][order].astype(np.int32),
    }
    # an open file, because savez would append .npz to a name
    with whole_file(path) as temporary:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **content)


def read_ranks(path: str | Path) -> dict[str, Any]:
    """Return the arrays of a ``unit_file`` by name, ``texts`` as a list of str."""
    with np.load(path) as file:
        content = {name: file[name] for name in file.files}
    content["texts"] = json.loads(content["texts"].tobytes())
    return content
