"""RecBole's case study on a dataset with requests: a user's row is that of one query.

``full_sort_scores`` makes the input of a general model from the id of the user alone,
takes all rows of a user for a sequential one, and masks seen items for the former only.
A query also has a request and perhaps a history, and a user may have several. So here
the function is given one query for each user in place of the dataloader; scoring,
masking and :func:`recbole.utils.case_study.full_sort_topk` stay RecBole's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from recbole.data.dataloader import NegSampleEvalDataLoader

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation.dataloader import (
    RequestEvalMixin,
    RequestFullSortEvalDataLoader,
)


def scores_by_query(
    full_sort_scores: Callable[..., torch.Tensor],
) -> Callable[..., torch.Tensor]:
    """Make RecBole's ``full_sort_scores`` work on datasets with requests.

    Args:
        full_sort_scores (callable): RecBole's function.

    Returns:
        callable: The same function on other datasets. With requests it returns float
        ``[n_users, n_items]``: row i holds the scores of the latest query of the i-th
        user in ``test_data``, as in its evaluation, with -inf for padding and for the
        items that are excluded there. It raises a UserError for what is no series of
        users with a query, and for a dataloader without queries over the catalogue.
    """

    @functools.wraps(full_sort_scores)
    def scores(uid_series, model, test_data, device=None):
        if isinstance(test_data, RequestFullSortEvalDataLoader):
            query = latest_queries(test_data, uid_series)
            asked = _one_query_a_user(test_data, query)
            return full_sort_scores(np.arange(len(query)), model, asked, device)
        _refuse(test_data)
        return full_sort_scores(uid_series, model, test_data, device)

    return scores


def latest_queries(dataloader: RequestEvalMixin, uid_series: Any) -> np.ndarray:
    """Return the number of each user's latest query, int64 ``[n_users]``.

    Args:
        dataloader (RequestEvalMixin): With the queries of a phase.
        uid_series (numpy.ndarray, torch.Tensor or list): Internal user ids, int
            ``[n_users]``.

    Raises:
        UserError: If these are no internal ids, or a user has no query in the phase.
    """
    dataset, queries = dataloader._dataset, dataloader.queries
    if isinstance(uid_series, torch.Tensor):
        uid_series = uid_series.cpu()
    users = np.asarray(uid_series)
    is_series = users.ndim == 1 and len(users) and users.dtype.kind in "iu"
    if not is_series or users.min() < 1 or users.max() >= dataset.user_num:
        raise UserError(
            f"uid_series is {uid_series!r}; it must be a list or array of internal user "
            f"ids, 1 to {dataset.user_num - 1}. dataset.token2id(dataset.uid_field, "
            "[...]) returns those of your users."
        )
    # a user's queries are in order of time
    latest = np.full(dataset.user_num, -1)
    latest[queries.user] = np.arange(len(queries))
    missing = users[latest[users] < 0]
    if len(missing):
        names = sorted(set(dataset.id2token(dataset.uid_field, missing)))
        raise UserError(
            f"{len(names)} of the users in uid_series have no request in the "
            f"{dataset.phase} part of dataset '{dataset.dataset_name}', so there is "
            f"nothing to rank for them: {', '.join(names[:5])}"
            f"{', …' if len(names) > 5 else ''}. Ask for users in "
            "test_data.queries.user, or choose eval_args that give these users a request "
            f"in {dataset.phase}."
        )
    return latest[users]


def _one_query_a_user(dataloader, query):
    """Return what RecBole's function reads from a dataloader whose users are queries."""
    dataset = dataloader._dataset
    interaction, *_ = dataloader.collate_fn(query)
    excluded = np.empty(len(query), dtype=object)
    for row, items in enumerate(dataloader.queries.excluded[query]):
        excluded[row] = torch.from_numpy(items.indices.astype(np.int64))
    return SimpleNamespace(
        is_sequential=False,  # sequential models get all they need from the query, too
        uid2history_item=excluded,
        dataset=SimpleNamespace(
            uid_field=dataset.uid_field,
            item_num=dataset.item_num,
            get_item_feature=dataset.get_item_feature,
            join=lambda users: interaction,
        ),
    )


def _refuse(dataloader):
    """Raise a UserError for a dataloader that cannot be asked for a user's list."""
    sampled = isinstance(dataloader, NegSampleEvalDataLoader)
    has_requests = hasattr(dataloader._dataset, "held_out")
    if has_requests or (sampled and not dataloader.is_sequential):
        why = " ranks sampled items only" if sampled else " has no queries"
        raise UserError(
            f"The case study ranks the whole catalogue, but {type(dataloader).__name__}"
            f"{why}. Use the test or valid data of a run with mode: full in eval_args."
        )
