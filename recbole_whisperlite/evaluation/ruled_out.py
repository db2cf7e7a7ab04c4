"""The items that a request rules out, by predicates over columns of ``.item``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

from recbole_whisperlite.data.incidence import incidence
from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from recbole_whisperlite.data.dataset import RequestDatasetMixin

RULED_OUT_FIELD = "ruled_out"


def ruled_out_items(dataset: RequestDatasetMixin) -> csr_matrix:
    """Return the items that each request rules out.

    The ``.request`` column ``ruled_out:token_seq`` contains predicates ``column=value``
    over columns of ``.item``; an item for which any of them is true is ruled out.

    Args:
        dataset (RequestDatasetMixin): A dataset with requests.

    Returns:
        scipy.sparse.csr_matrix: bool ``[num(request_field), item_num]``.

    Raises:
        UserError: If there is no such column, or a predicate is malformed.
    """
    request_file, item_file = dataset.request_file, dataset.item_file
    requests = dataset.field2id_token[dataset.request_field]
    items = dataset.field2id_token[dataset.iid_field]
    seq_separator = dataset.config["seq_separator"]
    if (
        request_file is None
        or item_file is None
        or RULED_OUT_FIELD not in request_file.columns
    ):
        raise UserError(
            f"The metric Violation needs a column '{RULED_OUT_FIELD}:token_seq' in the "
            ".request file, with predicates column=value over columns of the .item "
            "file, but this dataset has none. Remove Violation from metrics."
        )
    catalogue = item_file.frame.loc[items[1:]]
    matching, rows, columns = {}, [], []
    for row, token in enumerate(requests[1:], start=1):
        for predicate in request_file.frame.at[token, RULED_OUT_FIELD].split(
            seq_separator
        ):
            if not predicate:
                continue
            if predicate not in matching:
                field, equals, value = predicate.partition("=")
                if not equals or field not in item_file.columns:
                    raise UserError(
                        f"{request_file.path}, line {request_file.line(token)}: "
                        f"'{predicate}' is not column=value with a column of "
                        f"{item_file.path.name}: {', '.join(item_file.columns)}."
                    )
                matching[predicate] = 1 + np.flatnonzero(catalogue[field] == value)
            columns.append(matching[predicate])
            rows.append(np.full(len(matching[predicate]), row))
    empty = np.zeros(0, dtype=np.int64)
    return incidence(
        np.concatenate([empty, *rows]),
        np.concatenate([empty, *columns]),
        (len(requests), len(items)),
    )
