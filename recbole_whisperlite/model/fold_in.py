r"""
Fold-in
################################################
A query's own history in place of its user's training row, for models that need no training
to take a new one.

Item-item models and autoencoders score a user by the row of his items, and RecBole reads that
row from the training part. On a dataset with requests, the interactions of a query say what is
known of the user at that time (``known_begin`` and ``known_length``, as the setting
``known_at_test`` says): the row is made of these items instead, so that a user's queries have
different rows. Interactions without these fields are scored as in RecBole.
"""

import functools

import numpy as np
import torch
from scipy.sparse import csr_matrix

from recbole.data.interaction import Interaction
from recbole.model.general_recommender import (
    ADMMSLIM,
    EASE,
    ItemKNN,
    MacridVAE,
    MultiDAE,
    MultiVAE,
    RaCT,
    RecVAE,
    SLIMElastic,
)

from recbole_whisperlite.data.history import KNOWN_FIELDS


def make_foldable(model_class: type) -> type:
    r"""Let a model with a method ``user_rows`` score queries by what is known of their users.

    ``user_rows(histories)`` is given how often each query's user has chosen each item,
    ``scipy.sparse.csr_matrix`` float32 ``[n, n_items]``, and returns a dict of those
    attributes of the model that have a row for each user, made for these n. They stand in for
    the model's own while ``full_sort_predict`` and ``predict`` run, and the user ids of the
    interaction are their row numbers. It returns None if the model cannot be given rows.

    Args:
        model_class (type): A general recommender; only what the class itself defines is
            changed.

    Returns:
        type: The class itself.
    """
    for name, changed in (
        ("__init__", _remembering),
        ("predict", _folding),
        ("full_sort_predict", _folding),
    ):
        method = vars(model_class).get(name)
        if method is not None and not hasattr(method, "folds_in"):
            method = functools.wraps(method)(changed(method))
            method.folds_in = True
            setattr(model_class, name, method)
    return model_class


def _remembering(init):
    def __init__(self, config, dataset):
        init(self, config, dataset)
        self._known_items = getattr(dataset, "all_chosen_items", None)

    return __init__


def _folding(score):
    def folded(self, interaction):
        items = getattr(self, "_known_items", None)
        if items is None or KNOWN_FIELDS[0] not in interaction:
            return score(self, interaction)
        histories, row = _histories(interaction, items, self.n_items)
        rows = self.user_rows(histories)
        if rows is None:
            return score(self, interaction)
        own = {name: getattr(self, name) for name in rows}
        fields = {
            field: values
            for field, values in interaction.interaction.items()
            if field not in KNOWN_FIELDS
        }
        fields[self.USER_ID] = row.to(interaction[self.USER_ID].device)
        try:
            for name, value in rows.items():
                setattr(self, name, value)
            return score(self, Interaction(fields))
        finally:
            for name, value in own.items():
                setattr(self, name, value)

    return folded


def _histories(interaction, items, n_items):
    r"""The distinct histories, [n, n_items], and that of each row of the interaction"""
    spans = torch.stack([interaction[field].cpu() for field in KNOWN_FIELDS])
    (begin, length), row = torch.unique(spans, dim=1, return_inverse=True)
    begin, length = begin.numpy(), length.numpy()
    query = np.repeat(np.arange(len(begin)), length)
    step = np.arange(len(query)) - np.repeat(np.cumsum(length) - length, length)
    known = items[begin[query] + step]
    is_item = known > 0  # items that are new since a model was trained are 0
    ones = np.ones(is_item.sum(), dtype=np.float32)
    shape = len(begin), n_items
    # the same item twice counts twice, as in inter_matrix
    return csr_matrix((ones, (query[is_item], known[is_item])), shape=shape), row


def _of_item_knn(self, histories):
    if self.method == "user":
        return None  # a new row would need neighbours of its own
    return {"pred_mat": (histories @ self.w).tocsr()}


def _of_linear(self, histories):
    return {"interaction_matrix": histories}


def _of_autoencoder(self, histories):
    r"""As RecBole's ``history_item_matrix``: items padded with 0, and their values"""
    length = np.diff(histories.indptr)
    shape = len(length), max(length.max(initial=0), 1)
    item, value = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.float32)
    filled = np.arange(shape[1]) < length[:, None]
    item[filled], value[filled] = histories.indices, 1
    rows = {"history_item_id": item, "history_item_value": value}
    return {name: torch.from_numpy(each).to(self.device) for name, each in rows.items()}


@functools.cache  # once
def register() -> None:
    r"""Make RecBole's models foldable."""
    for model_class, user_rows in (
        (ItemKNN, _of_item_knn),
        *((each, _of_linear) for each in (EASE, SLIMElastic, ADMMSLIM)),
        *(
            (each, _of_autoencoder)
            for each in (MultiVAE, MultiDAE, RecVAE, MacridVAE, RaCT)
        ),
    ):
        model_class.user_rows = user_rows
        make_foldable(model_class)
